"""What the other shapes build on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, Field

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


class Person(Schema):
    id: UserId
    name: str
