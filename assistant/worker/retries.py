"""Asking models that fail: again after a pause, then another model, and a stronger one where a weak one stalls.

What has been said stands: once a model has begun to answer, nothing is asked again behind the people's backs. Thoughts are
no part of an answer: a model that failed while it thought is asked again, or another one is, and what was thought so far
stays where it is shown, apart from what follows.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from assistant import conf, llm
from assistant.failures import REFUSED
from assistant.llm.pieces import Finish, Kept, ModelError, Piece, Usage, has_begun

STALLED = "stalled"  # an empty answer after the results of tools
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0  # a provider that wants a longer one is as good as down
# Another model is asked for these: the question itself is all right.
_ANOTHER_MAY_DO = frozenset(
    {"rate_limited", "out_of_credit", "provider_error", "timeout", "auth", "invalid_model", "unpriced"}
)


Messages = list[dict[str, Any]]
# Asks one model once, as `llm.stream` does: (model, messages, tools, parameters).
Ask = Callable[[str, Messages, Sequence[dict[str, Any]], Mapping[str, Any]], AsyncGenerator[Piece, None]]


def ask_once(
    model: str, messages: Messages, tools: Sequence[dict[str, Any]], parameters: Mapping[str, Any]
) -> AsyncGenerator[Piece, None]:
    return llm.stream(model, messages, tools=tools, parameters=parameters)


@dataclass(frozen=True, slots=True)
class Tried:
    """One request in vain."""

    model: str
    code: str  # of `assistant.failures`, or STALLED
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Pause:
    """The same model is asked again after `seconds`."""

    model: str
    code: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Switch:
    """`model` is asked from now on."""

    model: str
    code: str


class RetryPolicy:
    """Of one turn. A model that took over keeps the rest of the turn.

    `tried` is what was asked in vain, in order; `model` is the one that is asked now, which in the end is the one that
    answered.
    """

    def __init__(self, model: str, ask: Ask = ask_once) -> None:
        self.model = model
        self.tried: list[Tried] = []
        self.is_heard = False  # a model has begun to answer, or to think
        self._ask = ask
        self._fallbacks = [one for one in conf.settings.fallback_models if one != model]
        self._escalation = conf.settings.escalation_model

    async def stream(
        self,
        messages: Messages,
        *,
        tools: Sequence[dict[str, Any]] = (),
        parameters: Mapping[str, Any] = MappingProxyType({}),
    ) -> AsyncGenerator[Piece | Pause | Switch, None]:
        """As `llm.stream`, and what is done about failures meanwhile. Raises the ModelError of the last model asked."""
        is_after_tools = bool(messages) and messages[-1]["role"] == "tool"
        retries = 0
        while True:
            request = _Request(self.model, self._ask)
            async with aclosing(request.pieces(messages, tools, parameters)) as pieces:
                async for piece in pieces:
                    # Some tell what the prompt has cost before they look at it.
                    self.is_heard = self.is_heard or not isinstance(piece, Usage)
                    yield piece
            self.is_heard = self.is_heard or request.finish is not None  # it has answered, if only with nothing
            code = request.code(is_after_tools=is_after_tools)
            step = self._after(request, code, retries) if code else None
            if step is None:
                if request.failure:
                    raise request.failure
                if request.kept:
                    yield request.kept
                if request.finish:
                    yield request.finish
                return
            yield step
            retries = retries + 1 if isinstance(step, Pause) else 0
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)

    def _after(self, request: _Request, code: str, retries: int) -> Pause | Switch | None:
        """What is done about a request in vain; None: nothing more can be."""
        self.tried.append(Tried(self.model, code, round(request.seconds, 2)))
        pause = pause_seconds(request.failure, retries) if request.failure else None
        if pause is not None:
            return Pause(self.model, code, pause)
        return Switch(self.model, code) if self._switch(code) else None

    def _switch(self, code: str) -> bool:
        """Goes over to the next model that may do better; False if there is none."""
        if code == STALLED:
            stronger, self._escalation = self._escalation, ""  # once
            if not stronger or stronger == self.model:
                return False
            self.model = stronger
            return True
        if code not in _ANOTHER_MAY_DO or not self._fallbacks:
            return False
        self.model = self._fallbacks.pop(0)
        return True


class _Request:
    """One request to one model: what came of it."""

    def __init__(self, model: str, ask: Ask) -> None:
        self.failure: ModelError | None = None
        self.finish: Finish | None = None
        self.kept: Kept | None = None
        self._model, self._ask = model, ask
        self._has_begun = False
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    async def pieces(
        self, messages: Messages, tools: Sequence[dict[str, Any]], parameters: Mapping[str, Any]
    ) -> AsyncGenerator[Piece, None]:
        """All but the Finish, which may turn out to be none, and what is Kept of it; a failure is noted, not raised."""
        try:
            async with aclosing(self._ask(self._model, messages, tools, parameters)) as pieces:
                async for piece in pieces:
                    match piece:
                        case Finish():
                            self.finish = piece
                            continue
                        case Kept():
                            self.kept = piece
                            continue
                    self._has_begun = has_begun(self._has_begun, piece)
                    yield piece
        except ModelError as error:
            self.failure = error

    def code(self, *, is_after_tools: bool) -> str | None:
        """Why it was in vain; None if it was not, or if something has been said, which stands."""
        if self._has_begun:
            return None
        if self.failure:
            return self.failure.code
        return STALLED if is_after_tools and not (self.finish and self.finish.reason in REFUSED) else None


def pause_seconds(failure: ModelError, retries: int) -> float | None:
    """Seconds until the same model is asked again; None: not at all.

    Exponential with full jitter over its upper half, so that those who failed together do not come back together; at
    least what the provider asks for.
    """
    if not failure.is_transient or retries >= conf.settings.retries:
        return None
    if (wanted := failure.retry_after or 0.0) > LONGEST_PAUSE_SECONDS:
        return None
    pause = FIRST_PAUSE_SECONDS * 2**retries * random.uniform(0.5, 1.0)
    return min(max(wanted, pause), LONGEST_PAUSE_SECONDS)
