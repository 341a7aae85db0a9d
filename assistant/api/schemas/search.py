"""What a search finds."""

from __future__ import annotations

from typing import Literal

from ninja import Schema

from assistant.api.schemas.base import Person


class SnippetPiece(Schema):
    text: str
    mark: bool


class SessionFound(Schema):
    id: str
    title: str


class MessageFound(Schema):
    id: str
    session: SessionFound
    role: Literal["user", "assistant"]
    author: Person | None
    model: str | None
    created_at: str
    snippet: list[SnippetPiece]


class Found(Schema):
    sessions: list[SessionFound]
    messages: list[MessageFound]
    has_more: bool
