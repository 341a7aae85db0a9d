"""Sessions and their settings, and the models that there are for them."""

from __future__ import annotations

from typing import Any, Literal

from ninja import Schema
from pydantic import Field

from assistant.api.schemas.base import Input, Text, WhenBusy


class Yours(Schema):
    version: int
    read: int
    unread: int
    mentioned: bool
    archived: bool


class ListedSession(Schema):
    id: str
    version: int
    title: str
    model: str | None
    replies: Literal["every", "mention"]
    when_busy: WhenBusy
    services: list[str]
    role: str | None
    running: bool
    said: int
    queue_paused_until: str | None
    queue_paused_for: dict[str, str] | None
    created_at: str
    updated_at: str
    yours: Yours


class Session(ListedSession):
    system_prompt: str
    parameters: dict[str, Any]


class Reading(Input):
    said: int | None = Field(None, ge=0, le=2**31 - 1, strict=True)


class Sessions(Schema):
    sessions: list[ListedSession]
    has_more: bool


class Parameters(Input):
    """What is asked of the model beside the words, by litellm's names; null is the provider's default.

    A model that does not know one of them is not sent it.
    """

    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, strict=True)
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False, strict=True)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, strict=True, description="Of one answer.")
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None


LONGEST_SYSTEM_PROMPT = 20_000


class SessionChanges(Input):
    """Only what is given is changed, also of the parameters."""

    title: Text | None = Field(None, max_length=200)
    model: Text | None = Field(None, max_length=200)
    system_prompt: Text | None = Field(None, max_length=LONGEST_SYSTEM_PROMPT)
    parameters: Parameters | None = None
    replies: Literal["every", "mention"] | None = None
    when_busy: WhenBusy | None = None
    services: list[Text] | None = Field(None, max_length=100)

    def settings(self) -> dict[str, Any]:
        return self.model_dump(exclude={"title"}, exclude_unset=True)


class NewSession(SessionChanges):
    """A session's title and settings; each has a default."""


class Model(Schema):
    id: str
    label: str


class Models(Schema):
    models: list[Model]
    default: str
