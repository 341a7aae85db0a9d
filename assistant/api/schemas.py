"""The shapes of the HTTP API, as OpenAPI shows them. Fields are explained in docs/events.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypeAlias
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes the standard library's from Python 3.12 on

from assistant.models.invitation import (
    LIFETIME_SECONDS,
    LONGEST_LIFETIME_SECONDS,
    MOST_USES,
    SHORTEST_LIFETIME_SECONDS,
)
from assistant.models.user_id import key_type, read_id


class Input(Schema):
    model_config = ConfigDict(extra="forbid")  # a misspelt field is an error, not silence


def _is_unicode(text: str) -> str:
    """JSON can carry half of a surrogate pair, which no database stores."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("contains half a character") from None
    return text


def _is_plain(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the character NUL")
    return text


Content = Annotated[str, AfterValidator(_is_unicode)]
Text = Annotated[str, AfterValidator(_is_unicode), AfterValidator(_is_plain)]


# A user's id, of the type that the project's user model has for its key: a number, a UUID or another text. Shown as JSON
# has it; given, it becomes what rows have, or is refused.
if TYPE_CHECKING:
    UserId = int | str
    GivenUserId: TypeAlias = Any
    UserIdInPath: TypeAlias = Any
else:
    _FORMAT = {"json_schema_extra": {"format": "uuid"}} if key_type() is UUID else {}
    UserId = Annotated[int if key_type() is int else str, Field(description="A user's id.", **_FORMAT)]
    UserIdInPath = Annotated[UserId, AfterValidator(read_id)]  # where every value is a text
    GivenUserId = Annotated[UserId, Field(strict=True), AfterValidator(read_id)]

WhenBusy = Literal["queue", "steer", "interrupt"]


class Problem(Schema):
    """What every error is answered with."""

    code: str = Field(
        description="For programs. There may be more of them later: take an unknown one for `internal`."
    )
    detail: str = Field(description="A sentence for people.")


class Failure(Problem):
    bounced: bool  # no model had begun: whoever asked has the question back


class Tried(Schema):
    """A request to a model in vain."""

    model: str
    code: str
    seconds: float


class Missing(Schema):
    """A server without whose tools an answer is written."""

    title: str
    why: str = Field(description="starting, away, or unauthorized: somebody has to connect it again.")


class Person(Schema):
    id: UserId
    name: str


class Me(Person):
    color: int = Field(description="A hue in degrees, the person's own.")
    is_staff: bool


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


class Attachment(Schema):
    id: str
    name: str
    type: str
    size: int
    url: str
    width: int | None
    height: int | None
    problem: str | None


class Source(Schema):
    url: str
    title: str


class Resource(Schema):
    """Something that an MCP server has to read."""

    server: str
    server_title: str
    uri: str
    name: str
    description: str
    type: str
    size: int | None


class Resources(Schema):
    resources: list[Resource]
    missing: list[Missing]


class ChosenResource(Input):
    server: Text = Field(max_length=24)
    uri: Text = Field(min_length=1, max_length=4_000)


class Usage(Schema):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = Field(description="Of the prompt's: read from the provider's cache.")
    cache_write_tokens: int = Field(description="Of the prompt's: put into its cache.")
    reasoning_tokens: int = Field(description="Of the completion's: thinking.")
    cost: float | None
    has_unknown_cost: bool
    calls: int
    is_estimate: bool


class ModelUsage(Usage):
    model: str


class SessionUsage(Usage):
    models: list[ModelUsage]


class DayUsage(Usage):
    day: str


class Budget(Schema):
    tokens_per_day: int | None
    cost_per_day: float | None
    used_tokens: int
    used_cost: float
    is_spent: bool
    seconds_to_reset: int


class OwnUsage(Usage):
    budget: Budget
    days: list[DayUsage]
    models: list[ModelUsage]


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
    arguments: str
    status: Literal["pending", "running", "success", "error", "cancelled", "interrupted"]
    approval: Literal["asked", "allowed", "denied"] | None
    decided_by: Person | None
    form: ToolForm | None
    filled_by: Person | None
    summary: str
    result: str
    images: list[Attachment]
    started_at: str | None
    finished_at: str | None


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


class FilledForm(Input):
    number: int = Field(ge=1, le=2**31 - 1, strict=True, description="Of the form that was shown.")
    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] = Field({}, max_length=100, description="By the fields' names, if it is accepted.")


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


class Participant(Schema):
    id: UserId
    name: str
    handle: str | None = Field(description="The user name, by which one is mentioned too; null if it is an address.")
    role: Literal["owner", "editor", "viewer"]
    color: int = Field(description="A hue in degrees, the person's own.")


class Participants(Schema):
    participants: list[Participant]


class NewRole(Input):
    role: Literal["editor", "viewer"]


class NewOwner(Input):
    user: GivenUserId = Field(description="The id of a participant.")


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


class Model(Schema):
    id: str
    label: str


class Models(Schema):
    models: list[Model]
    default: str


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
