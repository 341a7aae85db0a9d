"""Who one is, and who takes part."""

from __future__ import annotations

from typing import Literal

from ninja import Schema
from pydantic import Field

from assistant.api.schemas.base import GivenUserId, Input, Person, UserId


class Me(Person):
    color: int = Field(description="A hue in degrees, the person's own.")
    is_staff: bool


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
