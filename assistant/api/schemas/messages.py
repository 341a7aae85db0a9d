"""Messages, and what one does with them."""

from __future__ import annotations

from typing import Any, Literal, NotRequired
from uuid import UUID

from ninja import Schema
from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes the standard library's from Python 3.12 on

from assistant.api.schemas.attachments import Attachment
from assistant.api.schemas.base import Content, Input, Person, Problem, Text, UserId, WhenBusy
from assistant.api.schemas.tools import Missing, ToolCall


class Failure(Problem):
    bounced: bool  # no model had begun: whoever asked has the question back


class Tried(Schema):
    """A request to a model in vain."""

    model: str
    code: str
    seconds: float


class Source(Schema):
    url: str
    title: str


class Reasoning(Schema):
    """What the model has thought: never part of the answer, and never told to it again as such."""

    content: str
    seconds: float
    tokens: int | None
    seq: int


class AnswerUsage(TypedDict):
    """What an answer has used, in all its calls of models."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: NotRequired[int]
    cache_write_tokens: NotRequired[int]
    reasoning_tokens: NotRequired[int]
    cost: NotRequired[float | None]
    has_unknown_cost: NotRequired[bool]
    calls: NotRequired[int]
    is_estimate: NotRequired[bool]


class AskedWith(TypedDict):
    """What an answer was asked with."""

    parameters: dict[str, Any]
    system_prompt: str | None  # its id: the text is at GET /api/messages/{id}/settings


class Message(Schema):
    id: str
    session: str
    position: int
    role: Literal["user", "assistant"]
    author: Person | None
    client_id: str | None
    content: str
    html: list[str]
    status: Literal["pending", "processing", "success", "error", "cancelled"]
    version: int
    attempt: int
    interruptions: int
    seq: int
    alive: bool
    reply_to: str | None
    superseded_by: str | None
    when: WhenBusy | None
    taken_by: str | None
    taken_round: int | None
    mentions: list[UserId]
    model: str | None
    settings: AskedWith | None
    cut: Literal["limit"] | None = Field(description="limit: a whole answer that ends at the session's max_tokens.")
    error: Failure | None
    tried: list[Tried]
    missing: list[Missing]
    stopped_by: Person | None
    tool_calls: list[ToolCall]
    attachments: list[Attachment]
    reasoning: Reasoning | None
    sources: list[Source]
    usage: AnswerUsage | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class Messages(Schema):
    messages: list[Message]
    has_more: bool
    has_newer: bool


class NewMessage(Input):
    client_id: Text = Field(min_length=1, max_length=100)
    content: Content
    model: Text = Field("", max_length=200)
    attachments: list[UUID] = Field([], max_length=100)
    when: WhenBusy | None = Field(None, description="While an answer is being written; else the session's when_busy.")


class Pair(Schema):
    message: Message
    reply: Message | None


class Reply(Schema):
    reply: Message


class Retry(Input):
    model: Text = Field("", max_length=200)


class Place(Input):
    before: UUID | None = Field(None, description="A waiting message's id; null: the end of the queue.")


class Settings(Schema):
    model: str
    parameters: dict[str, Any]
    system_prompt: str


class Resent(Input):
    client_id: Text = Field(min_length=1, max_length=100)
    content: Content
    model: Text = Field("", max_length=200)


class NewContent(Input):
    content: Content
