"""Calls of tools, put together from the fragments in which a stream sends them. Pure."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assistant.llm.pieces import ToolCall

MOST_CALLS = 64  # of one answer, twice what is run; who asks for more has lost its way


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    parts: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> str:
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are a whole JSON object: then what follows in its place is another call."""
        ends_well = bool(self.parts) and self.parts[-1].rstrip().endswith("}")
        return ends_well and _as_object(self.arguments) is not None


class Fragments:
    """In whichever shape they come: with an index or without, an id in each fragment, only in the first, or none at all.

    A fragment goes on with the call of its index; what has a name and comes after whole arguments begins another.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[Any, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, index: Any, id_: Any, name: Any, arguments: Any, extra: Mapping[str, Any] | None = None) -> None:
        """Takes one fragment. `arguments`: a piece of JSON's text, or the object that it is."""
        index = _index(index)
        id_, name = _text(id_), _text(name)
        call = self._by_index.get(index) if index is not None else None
        if call is None:
            call = self._unplaced(index, id_, name)
        if call is not None and _repeats(call, id_, name, arguments):
            return
        if call is None or _begins_another(call, id_, name):
            call = _Call()
            if len(self._calls) < MOST_CALLS:
                self._calls.append(call)
        if index is not None:
            self._by_index[index] = call
        call.id = call.id or id_
        call.name = _grown(call.name, name)
        if isinstance(arguments, str):
            call.parts.append(arguments)
        elif arguments is not None:  # some send the object, and it is whole
            call.parts = [json.dumps(arguments, ensure_ascii=False)]
        call.extra.update(extra or {})

    def _unplaced(self, index: Any, id_: str, name: str) -> _Call | None:
        """The call that a fragment goes on with whose index says nothing; None: it begins one."""
        if not self._calls:
            return None
        last = self._calls[-1]
        if index is not None:
            return None if name or id_ else last
        if id_ and (known := next((call for call in self._calls if call.id == id_), None)):
            return known
        if id_:
            return None if name else last
        return last if not name or not last.name or (name == last.name and not last.is_whole) else None

    def whole(self) -> list[ToolCall]:
        """The calls, in the order in which they began. One without an id is given one: its result has to name it."""
        found: list[ToolCall] = []
        ids: set[str] = set()
        for call in self._calls:
            if not call.name and not call.arguments.strip():
                continue  # nothing was asked for
            for arguments in _apart(_plain(call.arguments)):
                id_ = call.id if call.id and call.id not in ids else f"call_{uuid.uuid4().hex[:24]}"
                ids.add(id_)
                found.append(ToolCall(id_, call.name.strip(), arguments, call.extra))
        return found


def _index(index: Any) -> Any:
    if isinstance(index, str) and index.isdecimal():
        return int(index)
    return None if isinstance(index, list | dict | str) else index


def _grown(name: str, more: str) -> str:
    """A name with its next fragment: some servers repeat it in each, some send all of it so far, some split it."""
    return more if more.startswith(name) else name + more


def _begins_another(call: _Call, id_: str, name: str) -> bool:
    """Whether a fragment in the place of `call` is of another call: some servers give all calls one index, or one id."""
    if not name or not call.name:
        return False
    if id_ and call.id and id_ != call.id and name != call.name:
        return True
    return call.is_whole


def _repeats(call: _Call, id_: str, name: str, arguments: Any) -> bool:
    """Whether a fragment says what is known: some servers end with the whole call again, or with its name."""
    if name != call.name or (id_ and call.id and id_ != call.id) or not call.is_whole:
        return False
    if arguments in ("", None):
        return True
    said = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return _as_object(said) == _as_object(call.arguments)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _plain(arguments: str) -> str:
    """The arguments as a JSON object's text where they can be read as one; as they came otherwise."""
    for _ in range(_MOST_WRAPPINGS):
        if arguments.strip() == "null":
            return ""
        inner = _loaded(arguments)
        if not isinstance(inner, str):
            break
        unwrapped = inner.strip()
        if unwrapped and unwrapped[0] not in '{"' and unwrapped != "null":
            break
        arguments = unwrapped  # encoded twice
    return arguments


def _apart(arguments: str) -> list[str]:
    """Several objects in a row are several calls, which a server between has put into one; an empty one before the
    arguments, or the same once more, is none."""
    found: list[str] = []
    start, end = 0, len(arguments)
    while start < end:
        start = _BLANKS.match(arguments, start).end()  # type: ignore[union-attr]
        if start == end:
            break
        try:
            value, stop = _DECODER.raw_decode(arguments, start)
        except (ValueError, RecursionError):
            return [arguments]
        if not isinstance(value, dict):
            return [arguments]
        if value and arguments[start:stop] not in found:
            found.append(arguments[start:stop])
        start = stop
    return found if len(found) > 1 or (found and "}{" in arguments) else [arguments]


_MOST_WRAPPINGS = 4
_BLANKS = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


def _as_object(arguments: str) -> dict[str, Any] | None:
    found = _loaded(arguments)
    return found if isinstance(found, dict) else None


def _loaded(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return None
