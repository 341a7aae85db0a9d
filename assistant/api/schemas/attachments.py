"""Files of messages."""

from __future__ import annotations

from ninja import Schema


class Attachment(Schema):
    id: str
    name: str
    type: str
    size: int
    url: str
    width: int | None
    height: int | None
    problem: str | None
