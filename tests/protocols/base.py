"""What the protocols have in common: a request is checked by the provider's rules, then the script is played.

A protocol says how its requests are read, which rules they must keep, and how an answer looks in its bytes. What is
answered, when, and which faults it meets is the script's (tests/provider/script.py), with the same words for all.
"""

import asyncio
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import web

from tests.provider.frames import dumps
from tests.provider.playing import Plan
from tests.provider.records import Record
from tests.provider.script import Script, ScriptError, all_tokens, script_name, thoughts
from tests.provider.server import Provider


class Refused(Exception):
    """An HTTP error: a rule of the protocol was broken, or the script wants one. `kind` is the provider's word for it."""

    def __init__(
        self, message: str, status: int = 400, kind: str = "", *, headers: Mapping[str, str] = {}, **more: Any
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind = message, status, kind
        self.headers, self.more = headers, more


@dataclass
class Prompt:
    """What the script needs to know of a request."""

    question: str = ""  # the text of the last message that a person wrote
    rounds: int = 0  # of tool calls since then
    results: str = ""
    characters: int = 0  # of everything that the model reads
    images: list[str] = field(default_factory=list)  # of the last question, as tests/provider/images.py tells them


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: str  # JSON, unless the script says `badargs`

    @property
    def value(self) -> dict[str, Any] | None:
        """The arguments; None if they can't be read."""
        try:
            value = json.loads(self.arguments)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class Figures:
    """Tokens: of the whole prompt, of the whole answer, and which of them are special."""

    prompt: int
    answered: int
    thought: int
    cached: int = 0
    written: int = 0


@dataclass(frozen=True)
class Said:
    """An answer, before it is put into a protocol's words."""

    script: Script
    model: str
    number: int
    thoughts: Sequence[str]
    text: Sequence[str]
    calls: Sequence[Call]
    reason: str  # in the protocol's words; "none" for none
    figures: Figures

    def fragments(self, call: Call) -> list[str]:
        size = self.script.fragment
        return [call.arguments[place : place + size] for place in range(0, len(call.arguments), size)]


class Protocol(ABC):
    """One provider's protocol, served under `/<name>`."""

    name: ClassVar[str]
    # The script's reasons to finish (`stop` and `tool_calls` among them) in the protocol's words.
    finishes: ClassVar[Mapping[str, str]]
    # Kind and message of each HTTP status that a script can ask for.
    wording: ClassVar[Mapping[int, tuple[str, str]]]
    says_retry_after: ClassVar[bool] = True
    unplayed: ClassVar[Sequence[str]] = ()  # words of the grammar for which the protocol has no form

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.forget()

    @abstractmethod
    def routes(self) -> Iterable[web.RouteDef]: ...

    @abstractmethod
    def check(self, request: web.Request, body: dict[str, Any]) -> None:
        """Raises Refused for whatever the real provider would refuse."""

    def check_returned(self, body: dict[str, Any], script: Script, record: Record) -> None:
        """Raises Refused if what this model wants back with its calls has not come back, or was changed."""
        return

    @abstractmethod
    def prompt(self, body: dict[str, Any]) -> Prompt:
        """Reads a request that was checked."""

    @abstractmethod
    def plan(self, said: Said, body: dict[str, Any]) -> Plan: ...

    @abstractmethod
    def whole(self, said: Said, body: dict[str, Any]) -> Any:
        """The body of an answer that isn't streamed."""

    @abstractmethod
    def refusal(self, refused: Refused) -> Any:
        """The body of an HTTP error."""

    def error_headers(self, refused: Refused) -> dict[str, str]:
        return {}

    @abstractmethod
    def overflow(self, asked: int, limit: int) -> Refused:
        """The prompt has `asked` tokens where `limit` are allowed."""

    @abstractmethod
    def unpaid(self) -> Refused: ...

    @abstractmethod
    def blocked(self, script: Script) -> Refused | None:
        """How the prompt itself is refused (`filter`, `policy`); None if that isn't an error here but an answer."""

    def call_id(self, number: int, index: int) -> str:
        return f"call_{number}_{index}"

    def figures(self, script: Script, body: dict[str, Any], prompt: Prompt, said: int) -> Figures:
        asked, answered = script.usage or (max(1, prompt.characters // 4), said)
        cached, written = script.cached or (0, 0)
        return Figures(asked, answered, script.think if not script.inline else 0, cached, written)

    def failure(self, status: int, model: str, script: Script) -> Refused:
        """The error of an HTTP status."""
        kind, message = self.wording.get(status, ("", "The request failed."))
        headers = {}
        if script.retryafter is not None and self.says_retry_after:
            headers["Retry-After"] = f"{script.retryafter:g}"
        return Refused(message.format(model=model), status, kind, headers=headers, retryafter=script.retryafter)

    def forget(self) -> None:
        """Forgets earlier requests, if it remembers any."""
        return

    # The way of every request

    async def answer(
        self, request: web.Request, body: dict[str, Any], model: Any, *, stream: bool
    ) -> web.StreamResponse:
        record = self.note(request, body, model, stream=stream)
        with self.provider.answering(record):
            try:
                return await self._answer(request, record)
            except Refused as refused:
                return self._refused(record, refused)

    def note(self, request: web.Request, body: dict[str, Any], model: Any, *, stream: bool) -> Record:
        name = script_name(model) if isinstance(model, str) else ""
        more = {"protocol": self.name, "path": request.path_qs}
        return self.provider.memory.record(name, "", stream, body, request.headers, **more)

    async def _answer(self, request: web.Request, record: Record) -> web.StreamResponse:
        body = record.body
        try:
            self.check(request, body)
            prompt = self.prompt(body)
            record.question = prompt.question
            script = self._script(record)
            self.check_returned(body, script, record)
        except Refused as refused:
            record.problem = refused.message
            raise
        if script.hang is not None:
            await asyncio.sleep(min(script.hang, 1e6))
        self._fail(record.model, script, prompt)
        said = self._said(record, script, prompt)
        if record.stream:
            return await self.provider.player.play(request, record, script, self.plan(said, body))
        await asyncio.sleep(script.first)
        record.status, record.tokens = 200, len(said.text)
        record.end("completed")
        return web.Response(body=dumps(self.whole(said, body)), content_type="application/json")

    def _script(self, record: Record) -> Script:
        try:
            script = self.provider.memory.script_for(record.model, record.question, record.stream)
        except ScriptError as error:
            raise Refused(str(error), kind="invalid_script") from error
        plain = Script()
        for word in self.unplayed:
            if getattr(script, word) != getattr(plain, word):
                raise Refused(f"'{word}' can't be said in the protocol '{self.name}'.", kind="invalid_script")
        if script.finish and script.finish not in {*self.finishes, "none"}:
            raise Refused(f"There is no '{script.finish}' in '{self.name}'.", kind="invalid_script")
        return script

    def _fail(self, model: str, script: Script, prompt: Prompt) -> None:
        """Raises the HTTP error that the script asks for."""
        if script.context is not None and prompt.characters >= script.context:
            limit = max(1, script.context // 4)
            raise self.overflow(max(limit + 1, prompt.characters // 4), limit)
        if (script.filter or script.policy) and (blocked := self.blocked(script)):
            raise blocked
        if script.quota:
            raise self.unpaid()
        if script.status is not None:
            raise self.failure(script.status, model, script)

    def _said(self, record: Record, script: Script, prompt: Prompt) -> Said:
        asked = script.tools if prompt.rounds < script.rounds else ()
        calls = [
            Call(call.id or self.call_id(record.number, index), call.name, call.arguments)
            for index, call in enumerate(asked)
        ]
        tokens = all_tokens(script, record.question, prompt.results, "; ".join(prompt.images))
        if calls:
            tokens = tokens[: script.preamble]
        thought = thoughts(script)
        figures = self.figures(script, record.body, prompt, len(thought) + len(tokens) + 5 * len(calls))
        if script.inline:
            tokens, thought = thought + tokens, []
        reason = script.finish or ("tool_calls" if calls else "stop")
        if calls and any(call.value is None for call in calls) and "malformed" in self.finishes:
            reason = "malformed"
        reason = self.finishes[reason] if reason != "none" else reason
        return Said(script, record.model, record.number, thought, tokens, calls, reason, figures)

    def _refused(self, record: Record, refused: Refused) -> web.Response:
        record.status = refused.status
        record.end("refused")
        if refused.status in (502, 504):  # from a gateway in front of the model
            page = f"<html><head><title>{refused.status} Bad Gateway</title></head><body>nginx</body></html>"
            return web.Response(status=refused.status, text=page, content_type="text/html")
        body = dumps(self.refusal(refused))
        headers = self.error_headers(refused) | dict(refused.headers)
        return web.Response(status=refused.status, headers=headers, body=body, content_type="application/json")


async def json_of(request: web.Request) -> dict[str, Any]:
    """The request's body. Raises web.HTTPBadRequest if it is no object: no test sends such a thing on purpose."""
    try:
        body = await request.json()
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="not an object")
    return body


def signed(*said: str) -> str:
    """What a provider encrypts or signs so that it knows its own words again: letters of base64, one for each text."""
    return "Er" + hashlib.sha256("\0".join(("the provider's secret", *said)).encode()).hexdigest() + "=="


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
