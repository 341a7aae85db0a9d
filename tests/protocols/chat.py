"""Chat completions, as those who took over OpenAI's protocol speak them: what Mistral, DeepSeek and OpenRouter share."""

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from aiohttp import web

from tests.provider.frames import dumps
from tests.provider.images import parse_data_url, told
from tests.provider.playing import Plan

from .base import Call, Prompt, Protocol, Refused, Said, json_of

Delta = dict[str, Any]


class Chat(Protocol):
    path: ClassVar[str]
    still_waiting: ClassVar[bytes] = b""

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post(self.path, self.complete)]

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = await json_of(request)
        return await self.answer(request, body, body.get("model"), stream=body.get("stream") is True)

    @abstractmethod
    def deltas(self, said: Said) -> Iterator[Delta]:
        """What the answer is made of, a delta for each token."""

    @abstractmethod
    def usage(self, said: Said) -> dict[str, Any]: ...

    @abstractmethod
    def error(self, said: Said) -> Any:
        """What stands in the stream when it fails."""

    def prompt(self, body: dict[str, Any]) -> Prompt:
        prompt = Prompt(characters=len(json.dumps(body.get("tools") or "")))
        for message in body["messages"]:
            text = text_of(message)
            prompt.characters += len(text) + len(json.dumps(message.get("tool_calls") or ""))
            if message["role"] == "user":
                prompt.question, prompt.rounds, prompt.results = text, 0, ""
                prompt.images = [
                    told(*parse_data_url(url)) if url[:5] == "data:" else url for url in urls_of(message)
                ]
            elif message["role"] == "tool":
                prompt.results = "\n".join(filter(None, [prompt.results, text]))
            elif message["role"] == "assistant":
                prompt.rounds += bool(message.get("tool_calls"))
        return prompt

    def plan(self, said: Said, body: dict[str, Any]) -> Plan:
        ending = [] if said.reason == "none" else [self._last(said)]
        if not said.script.nodone:
            ending.append(b"data: [DONE]\n\n")
        return Plan(
            tokens=(self.chunk(said, delta) for delta in self.deltas(said)),
            opening=self.chunk(said, {"role": "assistant", "content": ""}),
            ending=tuple(ending),
            error=_line(self.error(said)),
            broken=b'data: {"id": "broken", "choices": [{"index": 0, "delta": {"content": "oo\n\n',
            still_waiting=self.still_waiting,
        )

    def _last(self, said: Said) -> bytes:
        """The reason, and the figures in the same chunk."""
        more = {} if said.script.nousage else {"usage": self.usage(said)}
        return self.chunk(said, {"content": ""}, said.reason, **more)

    def head(self, said: Said) -> dict[str, Any]:
        created = 1_700_000_000
        return {
            "id": f"gen-{said.number}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": said.model,
        }

    def chunk(self, said: Said, delta: Delta, reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason} | self.beside(reason)
        return _line(self.head(said) | {"choices": [choice]} | more)

    def beside(self, reason: str | None) -> dict[str, Any]:
        """What stands beside a reason to finish."""
        return {}

    def whole(self, said: Said, body: dict[str, Any]) -> Any:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(said.text)}
        if said.calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in said.calls
            ]
        message |= self.thought(said)
        choice = {"index": 0, "message": message, "finish_reason": said.reason}
        head = self.head(said) | {"object": "chat.completion"}
        return head | {"choices": [choice], "usage": self.usage(said)}

    def thought(self, said: Said) -> dict[str, Any]:
        """The fields of a whole message that tell what was thought."""
        return {}


def text_of(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


def urls_of(message: dict[str, Any]) -> list[str]:
    content = message.get("content")
    parts = [part["image_url"] for part in content if "image_url" in part] if isinstance(content, list) else []
    return [part if isinstance(part, str) else part["url"] for part in parts]


def fragments_of(said: Said, call: Call, index: int) -> Iterator[Delta]:
    """A call as OpenAI's protocol tells it: its name first, then its arguments in pieces."""
    start = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    yield {"tool_calls": [start]}
    for part in said.fragments(call):
        yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def calls_of(message: dict[str, Any]) -> list[str]:
    """The ids of the calls in a message."""
    return [call["id"] for call in message.get("tool_calls") or ()]


def running_turn(messages: list[Any]) -> list[int]:
    """The places of the assistant's messages with calls since the last message of a person."""
    found: list[int] = []
    for place in range(len(messages) - 1, -1, -1):
        if messages[place]["role"] == "user":
            break
        if calls_of(messages[place]):
            found.insert(0, place)
    return found


def check_pairs(messages: list[Any], unanswered: Refused, unasked: Refused) -> None:
    """Raises one of the two if a call has no result right after it, or a result no call right before it."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                raise unasked
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            raise unanswered
        waiting = calls_of(message)
    if waiting:
        raise unanswered


def _line(value: Any) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"
