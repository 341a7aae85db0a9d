"""Watches one call of a model from outside and writes it into the ledger when it ends, in whatever way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from assistant import llm
from assistant.database import Database
from assistant.lifecycle import budgets, ledger
from assistant.models.message import Claim
from assistant.models.user_id import UserId

logger = logging.getLogger(__name__)

LEDGER_SECONDS = 3.0  # for the ledger, when a call was cancelled: its ending must not wait for long


async def metered(
    stream: AsyncGenerator[llm.Piece, None],
    claim: Claim,
    model: str,
    messages: Sequence[dict[str, Any]],
    database: Database,
    user_id: UserId = None,
    tools: Sequence[dict[str, Any]] = (),
) -> AsyncGenerator[llm.Piece, None]:
    """Passes on the pieces of `stream`, a call of `model` with `messages` and `tools`. Raises what it raises; ModelError
    `unpriced`, before it is begun, where nobody would know what to take off whose budget.

    `user_id` is charged if the message is gone by then; else who it is charged to.

    The row is written before the last piece's reader goes on, or before the error arrives. What the provider didn't come
    to tell (the call was stopped, or broke) is estimated from the texts.
    """
    if not llm.is_priced(model) and await database.call(budgets.pays_in_dollars, claim.message_id):
        raise llm.ModelError("unpriced", f"{model}: litellm lists no price, and ASSISTANT_PRICES names none")
    meter = _Meter(claim, model, [*messages, *tools], user_id)
    try:
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                meter.see(piece)
                yield piece
    except llm.ModelError as error:
        meter.error_code = error.code
        await database.call(ledger.record, meter.call())
        raise
    except (asyncio.CancelledError, GeneratorExit):
        meter.error_code = "" if meter.is_finished else "stopped"
        await _write_soon(database, meter.call())
        raise
    else:
        await database.call(ledger.record, meter.call())


async def _write_soon(database: Database, call: ledger.Call) -> None:
    writing = asyncio.create_task(database.call(ledger.record, call), name=f"ledger {call.message_id}")
    done, _ = await asyncio.wait({writing}, timeout=LEDGER_SECONDS)
    if not done:
        logger.warning("The ledger's row of a stopped call of answer %s is late.", call.message_id)


class _Meter:
    def __init__(self, claim: Claim, model: str, sent: Sequence[dict[str, Any]], user_id: UserId) -> None:
        self._claim, self._model, self._sent, self._user_id = claim, model, sent, user_id
        self._began = time.monotonic()
        self._first: float | None = None
        self._written = self._thought = 0  # bytes; the second is part of the first
        self._told: dict[str, Any] = {}
        self.is_finished = False
        self.error_code = ""

    def see(self, piece: llm.Piece) -> None:
        match piece:
            case llm.Text(text):
                self._written += llm.weight(text)
            case llm.Reasoning(text):
                self._written += llm.weight(text)
                self._thought += llm.weight(text)
            case llm.WasThought():
                self._thought = self._written
            case llm.ToolCall(name=name, arguments=arguments):
                self._written += llm.weight(name) + llm.weight(arguments)
            case llm.Usage(figures):
                self._told = figures or self._told
                return
            case llm.Finish():
                self.is_finished = True
        if self._first is None:
            self._first = time.monotonic()

    def call(self) -> ledger.Call:
        is_whole = bool(self._told) and self.is_finished and not self.error_code
        figures = self._told if is_whole else self._estimated()
        return ledger.Call(
            message_id=self._claim.message_id,
            attempt=self._claim.attempt,
            model=self._model,
            prompt_tokens=figures["prompt_tokens"],
            completion_tokens=figures["completion_tokens"],
            cost=figures["cost"],
            cached_tokens=figures.get("cached_tokens", 0),
            cache_write_tokens=figures.get("cache_write_tokens", 0),
            reasoning_tokens=figures.get("reasoning_tokens") or self._thought_of(figures["completion_tokens"]),
            is_estimate=not is_whole,
            error_code=self.error_code,
            user_id=self._user_id,
            first_token_ms=None if self._first is None else _ms(self._first - self._began),
            total_ms=_ms(time.monotonic() - self._began),
        )

    def _thought_of(self, tokens: int) -> int:
        """How many of the written tokens were thinking, where the provider counts it among them and doesn't say."""
        return round(tokens * self._thought / self._written) if self._thought else 0

    def _estimated(self) -> dict[str, Any]:
        """With what the provider has told by then: some tell what they have read before they write.

        Of a call that brought nothing but an error the provider has most probably charged nothing.
        """
        written = self._written // llm.BYTES_PER_TOKEN
        if self._told:
            return llm.extended(self._model, self._told, written)
        if self._first is None and self.error_code not in ("", "stopped", "timeout"):
            return {"prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0}
        read = llm.weight(self._sent) // llm.BYTES_PER_TOKEN
        return {"prompt_tokens": read, "completion_tokens": written, "cost": llm.cost(self._model, read, written)}


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
