"""Tools, their calls, and what they ask people."""

from __future__ import annotations

import json
from typing import Any, Literal, NotRequired

from ninja import Schema
from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes the standard library's from Python 3.12 on

from assistant.api.schemas.attachments import Attachment
from assistant.api.schemas.base import Input, Person, Text


class ToolKind(Schema):
    name: str
    title: str
    needs_approval: bool


class Service(Schema):
    name: str
    title: str
    description: str
    is_server: bool = Field(description="Of an MCP server: which tools it has, only the workers know.")
    tools: list[ToolKind]


class Services(Schema):
    services: list[Service]


class Missing(Schema):
    """A server without whose tools an answer is written."""

    title: str
    why: str = Field(description="starting, away, or unauthorized: somebody has to connect it again.")


class FormOption(TypedDict):
    value: str
    title: str


class FormField(TypedDict):
    """A field of what a tool asks people; which of the last ones it has depends on its kind."""

    name: str
    title: str
    description: str
    required: bool
    kind: Literal["text", "number", "integer", "boolean", "choice", "choices"]
    default: NotRequired[str | int | float | bool | list[str]]
    format: NotRequired[Literal["email", "uri", "date", "date-time"]]
    least: NotRequired[int | float]
    most: NotRequired[int | float]
    options: NotRequired[list[FormOption]]


class ToolForm(TypedDict):
    """What a running tool asks people: fields to fill in, or a page to open."""

    number: int
    message: str
    fields: list[FormField]
    url: str
    action: NotRequired[Literal["accept", "decline", "cancel", "expired"]]


class ToolCall(Schema):
    id: str
    round: int
    at: int
    reasoning_at: int
    block: int
    name: str
    title: str
    doing: str
    arguments: str = Field(description="What it is run with: JSON as the model wrote it, or as somebody changed it.")
    original_arguments: str | None = Field(description="The model's own, where somebody changed them.")
    status: Literal["pending", "running", "success", "error", "cancelled", "interrupted"]
    approval: Literal["asked", "allowed", "denied"] | None
    decided_by: Person | None
    expires_at: str | None = Field(description="When it is denied, where nobody allows it before.")
    form: ToolForm | None
    filled_by: Person | None
    summary: str
    result: str
    images: list[Attachment]
    started_at: str | None
    finished_at: str | None


class Allowed(Input):
    arguments: dict[str, Any] | Text | None = Field(
        None,
        description="Other arguments to run it with: a JSON object, or its text. Without them, those that are shown.",
    )

    @property
    def as_text(self) -> str | None:
        if isinstance(self.arguments, dict):
            return json.dumps(self.arguments, ensure_ascii=False)
        return self.arguments


class Denied(Input):
    reason: Text = Field("", max_length=1000, description="Why it is not to be run. The model is told so.")


class FilledForm(Input):
    number: int = Field(ge=1, le=2**31 - 1, strict=True, description="Of the form that was shown.")
    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] = Field({}, max_length=100, description="By the fields' names, if it is accepted.")
