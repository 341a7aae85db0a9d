"""What a server answers to a call, as a result: its words, and its images. What is neither is named. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from assistant.tools.declare import Image, Result, first_line

MOST_IMAGES = 8  # of one result
MOST_IMAGE_BYTES = 20 * 1024 * 1024  # of one result, together


def result_of(answer: Any) -> Result:
    """`answer` is what the package calls a CallToolResult."""
    reading = _Reading()
    for block in answer.content:
        reading.add(block)
    if not reading.parts and answer.structured_content is not None:
        reading.parts.append(orjson.dumps(answer.structured_content, default=str).decode())
    text = "\n".join(reading.parts)
    return Result(text or "Done.", first_line(text) or "Done", tuple(reading.images))


class _Reading:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.images: list[Image] = []
        self._bytes = 0

    def add(self, block: Any) -> None:
        match block.type:
            case "text":
                self.parts.append(block.text)
            case "image":
                self.parts.append(self._image(block.data, f"Image {len(self.images) + 1}"))
            case "audio":
                self.parts.append(f"[Audio, {block.mime_type}, which can't be played here]")
            case "resource_link":
                self.parts.append(_lines(_named(block.title or block.name, block.uri), block.description))
            case "resource":
                self.parts.append(self._resource(block.resource))
            case other:
                self.parts.append(f"[{other}]")

    def _resource(self, resource: Any) -> str:
        name = resource.uri.rstrip("/").rpartition("/")[2] or resource.uri
        text = getattr(resource, "text", None)
        if text is not None:
            return _lines(_named(name, resource.uri), text)
        if (resource.mime_type or "").startswith("image/"):
            return _lines(_named(name, resource.uri), self._image(resource.blob, name))
        size = len(resource.blob) * 3 // 4 - resource.blob[-2:].count("=")
        kind = resource.mime_type or "of an unknown kind"
        return f"[Resource: {name} <{resource.uri}>, {kind}, {size:,} bytes, which can't be read here]"

    def _image(self, data: str, name: str) -> str:
        if len(self.images) >= MOST_IMAGES:
            return f"[An image was left out: a result has {MOST_IMAGES} at most]"
        if self._bytes + len(data) * 3 // 4 > MOST_IMAGE_BYTES:
            return f"[An image was left out: those of a result have {MOST_IMAGE_BYTES // 1024**2} MB at most]"
        try:
            image = Image(base64.b64decode(data), name)
        except (binascii.Error, ValueError):
            return "[An image that can't be read]"
        self.images.append(image)
        self._bytes += len(image.data)
        return f"[{name}]"


def _named(name: str, uri: str) -> str:
    return f"[Resource: {name} <{uri}>]"


def _lines(*parts: str | None) -> str:
    return "\n".join(part for part in parts if part)
