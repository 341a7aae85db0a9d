"""What MCP servers have to read."""

from __future__ import annotations

from ninja import Schema
from pydantic import Field

from assistant.api.schemas.base import Input, Text
from assistant.api.schemas.tools import Missing


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
