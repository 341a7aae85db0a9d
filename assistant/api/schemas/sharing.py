"""Links: to come in by, and to read along by."""

from __future__ import annotations

from typing import Literal

from ninja import Schema
from pydantic import Field

from assistant.api.schemas.attachments import Attachment
from assistant.api.schemas.base import Input, Person
from assistant.api.schemas.messages import Failure, Source
from assistant.models.invitation import (
    LIFETIME_SECONDS,
    LONGEST_LIFETIME_SECONDS,
    MOST_USES,
    SHORTEST_LIFETIME_SECONDS,
)


class NewInvitation(Input):
    role: Literal["editor", "viewer"] = "editor"
    expires_in: int = Field(
        LIFETIME_SECONDS,
        ge=SHORTEST_LIFETIME_SECONDS,
        le=LONGEST_LIFETIME_SECONDS,
        strict=True,
        description="Seconds.",
    )
    max_uses: int | None = Field(None, ge=1, le=MOST_USES, strict=True, description="Null: as many as come.")


class Invitation(Schema):
    id: int
    url: str | None = Field(description="Null if it can't be told any more (SECRET_KEY was changed since).")
    role: Literal["editor", "viewer"]
    created_by: Person
    created_at: str
    expires_at: str
    uses: int
    max_uses: int | None


class Invitations(Schema):
    invitations: list[Invitation]


class SharedToolCall(Schema):
    """That a tool was used: what it was given and what it found is empty."""

    id: str
    round: int
    at: int
    block: int
    name: str
    title: str
    doing: str
    arguments: str
    status: Literal["pending", "running", "success", "error", "cancelled", "interrupted"]
    approval: None
    decided_by: None
    summary: str
    result: str
    images: list[Attachment]
    started_at: str | None
    finished_at: str | None


class SharedMessage(Schema):
    """A message with the fields that are public (assistant/presentation/public.py)."""

    id: str
    session: str
    position: int
    role: Literal["user", "assistant"]
    author: Person | None
    content: str
    html: list[str]
    status: Literal["pending", "processing", "success", "error", "cancelled"]
    version: int
    attempt: int
    seq: int
    alive: bool
    reply_to: str | None
    superseded_by: str | None
    taken_by: str | None
    taken_round: int | None
    model: str | None
    model_label: str | None
    cut: Literal["limit"] | None
    error: Failure | None
    stopped_by: Person | None
    tool_calls: list[SharedToolCall]
    attachments: list[Attachment]
    sources: list[Source]
    created_at: str
    started_at: str | None
    finished_at: str | None


class SharedMessages(Schema):
    messages: list[SharedMessage]
    has_more: bool


class Share(Schema):
    shared: bool
    url: str | None = Field(description="The link, for the owner only.")
