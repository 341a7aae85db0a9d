"""One case of the suite: what a server answers, and what has to come out of it; and the words to write cases in."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.playing import Answer

Call = tuple[str, str]  # name, arguments


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    answers: tuple[Answer, ...]
    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish: str | None = None
    error: str | None = None  # the category; None: there is none
    is_transient: bool | None = None  # None: not looked at
    words: tuple[str, ...] = ()  # in the error's raw note
    usage: tuple[int, int] | None = None  # tokens asked and said; None: not looked at
    requests: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)
    litellm_reads_otherwise: str = (
        ""  # why litellm's own parser can't read this; then only that nothing hangs is asked
    )


def case(name: str, *bodies: bytes | Answer, **expected: Any) -> Case:
    """`bodies`: the answers, in the order of requests."""
    answers = tuple(body if isinstance(body, Answer) else Answer(body) for body in bodies)
    return Case(name, answers, **expected)


def delta(index: Any = 0, **fields: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    choice: dict[str, Any] = {"delta": fields} if index is None else {"index": index, "delta": fields}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def said(text: Any) -> dict[str, Any]:
    return delta(content=text)


def ended(reason: Any = "stop", **fields: Any) -> dict[str, Any]:
    chunk = delta(**fields)
    chunk["choices"][0]["finish_reason"] = reason
    return chunk


def used(asked: Any, said_: Any) -> dict[str, Any]:
    figures = {"prompt_tokens": asked, "completion_tokens": said_, "total_tokens": 0}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": figures}


def call(index: Any = None, id_: Any = None, name: Any = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    """A fragment of a call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    told = {"index": index, "id": id_, "type": "function", "function": function} | more
    return {key: value for key, value in told.items() if value is not None}


def asked(*fragments: dict[str, Any]) -> dict[str, Any]:
    return delta(tool_calls=list(fragments))


def sse(*chunks: Any, done: bool = True, form: str = "data: {}\n\n") -> bytes:
    """An event stream; a chunk that is a text stands in it as it is."""
    lines = [form.replace("{}", one if isinstance(one, str) else json.dumps(one)) for one in chunks]
    return "".join([*lines, form.replace("{}", "[DONE]") if done else ""]).encode("utf-8", "surrogatepass")


def completion(reason: Any = "stop", **message: Any) -> dict[str, Any]:
    """A whole answer, not a stream."""
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": reason}
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
        "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3},
    }  # fmt: skip


def as_json(value: Any, **more: Any) -> Answer:
    """An answer of JSON, by whatever status."""
    return Answer(json.dumps(value).encode(), **({"kind": "application/json"} | more))
