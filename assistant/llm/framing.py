"""Bytes of a model's answer -> the JSON values in it, whatever they are framed in. Pure, and linear in what comes.

Server-sent events as the WHATWG defines them (any line end, several `data:` lines, comments, a byte order mark), events
without the blank line between them, JSON lines, and one JSON text as a whole: servers answer in each of these, whatever
they were asked for and whatever their Content-Type says.

Source: WHATWG HTML, "Server-sent events", section 9.2.6; jsonlines.org.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

import orjson

from assistant.llm.provider_error import ProviderError

LONGEST_EVENT_BYTES = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_LONGEST_WORDS = 20_000
SIGNS_OF_LIFE = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
_PINGS = frozenset(name.encode() for name in SIGNS_OF_LIFE)
_FIELDS = (b"event", b"id", b"retry")

Event = tuple[str, Any]  # the name in `event:`, or ""; the JSON value, or DONE
DONE = object()  # the line `data: [DONE]`


class Framing:
    """`feed` what comes, then `end`. Both yield events; both raise ProviderError for what can't be one."""

    def __init__(self, charset: str = "utf-8") -> None:
        self.has_begun = False  # an event has come
        self._charset = charset
        self._start = b""  # until it is known how the bytes are to be read
        self._is_known = False
        self._decoder: codecs.IncrementalDecoder | None = None  # where it is no kind of ASCII
        self._rest: list[bytes] = []  # of a line that has not ended yet
        self._rest_bytes = 0
        self._after_cr = False
        self._is_first_line = True
        self._name = ""
        self._data: list[bytes] = []  # the lines of an event whose end has not come
        self._loose: list[bytes] = []  # lines that are no event's
        self._lines_bytes = 0  # of the last two

    @property
    def words(self) -> str:
        """The beginning of what came outside of all events: a page of HTML, a sentence."""
        return b"\n".join(self._loose)[:_LONGEST_WORDS].decode(errors="replace").strip()

    def feed(self, data: bytes) -> Iterator[Event]:
        if not self._is_known:
            self._start += data
            if len(self._start) < _ENOUGH_TO_KNOW and _may_be_wide(self._start, self._charset):
                return
            data, self._is_known = self._start, True
            self._decoder = _decoder(data, self._charset)
        if self._decoder is not None:
            data = self._decoder.decode(data).encode()
        if not data:
            return
        if self._after_cr or b"\r" in data:
            data = self._with_plain_line_ends(data)
        first, *others = data.split(b"\n")
        self._rest.append(first)
        self._rest_bytes += len(first)
        if self._rest_bytes > LONGEST_EVENT_BYTES:
            raise ProviderError("a line of the stream is too long", 502)
        for following in others:
            line = self._rest[0] if len(self._rest) == 1 else b"".join(self._rest)
            self._rest, self._rest_bytes = [following], len(following)
            yield from self._line(line)

    def end(self) -> Iterator[Event]:
        """What is left when no more bytes come."""
        if not self._is_known:
            self._rest.append(self._start)
        yield from self._line(b"".join(self._rest))
        yield from self._line(b"")
        if self._loose and (value := _loaded(b"\n".join(self._loose), self._charset)) is not None:
            self._loose = []
            yield from self._values(value)

    def _with_plain_line_ends(self, data: bytes) -> bytes:
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _line(self, line: bytes) -> Iterator[Event]:
        if self._is_first_line:
            self._is_first_line, line = False, line.removeprefix(_BOM)
        if line.startswith(b"data:"):
            yield from self._data_line(line[5:].strip())
        elif not line.strip():
            yield from self._event()
        elif line.startswith(b":"):
            return
        else:
            field, _, value = line.partition(b":")
            if field in _FIELDS:
                self._name = value.strip().decode(errors="replace") if field == b"event" else self._name
            else:
                yield from self._loose_line(line)

    def _data_line(self, data: bytes) -> Iterator[Event]:
        """An event's end is a blank line; many servers leave it out, so what is whole by itself is one event."""
        while data.startswith(b"data:"):  # written by one proxy and again by the next
            data = data[5:].lstrip()
        if self._data:
            self._held(self._data, data)
        elif data.strip(b'"').upper() == b"[DONE]":
            self.has_begun = True
            yield self._name, DONE
        elif data.strip(b"[]").lower() in _PINGS:
            return
        elif (value := _loaded(data, self._charset)) is not None:
            yield from self._values(value)
        elif data and data != b"null":
            self._held(self._data, data)

    def _event(self) -> Iterator[Event]:
        name, self._name = self._name, ""
        lines, self._data = self._data, []
        self._lines_bytes -= sum(map(len, lines)) + len(lines)
        if not lines or name in SIGNS_OF_LIFE:
            return
        data = b"\n".join(lines)
        if (value := _loaded(data, self._charset)) is not None:
            self._name = name
            yield from self._values(value)
            self._name = ""
        elif name == "error":
            raise ProviderError(data[:2000].decode(errors="replace"), 502)
        else:
            raise ProviderError(f"the stream holds broken JSON: {data[:200]!r}", 502)

    def _loose_line(self, line: bytes) -> Iterator[Event]:
        value = None if self._loose else _loaded(line, self._charset)
        if isinstance(value, dict | list):
            yield from self._values(value)
        else:
            self._held(self._loose, line)

    def _held(self, lines: list[bytes], line: bytes) -> None:
        lines.append(line)
        self._lines_bytes += len(line) + 1
        if self._lines_bytes > LONGEST_EVENT_BYTES:
            raise ProviderError("an event of the stream is too long, or the answer is no stream", 502)

    def _values(self, value: Any) -> Iterator[Event]:
        """A list is a stream that was sent as one JSON text."""
        self.has_begun = True
        for one in value if isinstance(value, list) else [value]:
            yield self._name, one


_ENOUGH_TO_KNOW = 4
_BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def _may_be_wide(start: bytes, charset: str) -> bool:
    """Whether what begins so may be UTF-16 or UTF-32, in which no line ends where its bytes say so."""
    return start[:2] in _BOMS or start in (b"", b"\xff", b"\xfe") or charset.lower().startswith(("utf-16", "utf-32"))


def _decoder(start: bytes, charset: str) -> codecs.IncrementalDecoder | None:
    """For UTF-16 and UTF-32, where it is told and true, or where a byte order mark tells it; None for all else."""
    charset = _BOMS.get(start[:2], charset)
    if not _may_be_wide(start, charset) or not (start[:2] in _BOMS or b"\x00" in start[:_ENOUGH_TO_KNOW]):
        return None
    try:
        return codecs.getincrementaldecoder(charset)("replace")
    except LookupError:
        return None


def _loaded(data: bytes, charset: str) -> Any:
    """The JSON value, or None. orjson refuses half of a surrogate pair, which a provider may have cut in two."""
    if not data:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    if data[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(_decoded(data, charset), strict=False)
    except (ValueError, RecursionError):
        return None


def _decoded(data: bytes, charset: str) -> str:
    """JSON and event streams are UTF-8; some servers say otherwise, and some of those mean it."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        try:
            return data.decode(charset, errors="replace")
        except LookupError:
            return data.decode(errors="replace")
