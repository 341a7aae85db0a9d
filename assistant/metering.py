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
from assistant.lifecycle import usage
from assistant.models.message import Claim

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 3.0  # for the ledger, when a call was cancelled: its ending must not wait for long
IMAGE_TOKENS = 1_000  # about what an image counts, where the provider did not say


async def metered(
    stream: AsyncGenerator[llm.Piece, None],
    claim: Claim,
    model: str,
    messages: Sequence[dict[str, Any]],
    database: Database,
    user_id: int | None = None,
) -> AsyncGenerator[llm.Piece, None]:
    """Passes on the pieces of `stream`, a call of `model` with `messages`. Raises what it raises.

    `user_id` is charged if the message is gone by then; else who it is charged to.

    The row is written before the last piece's reader goes on, or before the error arrives. Where the provider sent no
    figures (the call was stopped, or broke) they are estimated from the texts.
    """
    meter = _Meter(claim, model, messages, user_id)
    try:
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                meter.see(piece)
                yield piece
    except llm.ModelError as error:
        meter.error_code = error.code
        await database.call(usage.record, meter.call())
        raise
    except (asyncio.CancelledError, GeneratorExit):
        meter.error_code = "" if meter.is_finished else "stopped"
        await _write_soon(database, meter.call())
        raise
    else:
        await database.call(usage.record, meter.call())


async def _write_soon(database: Database, call: usage.Call) -> None:
    writing = asyncio.create_task(database.call(usage.record, call), name=f"ledger {call.message_id}")
    done, _ = await asyncio.wait({writing}, timeout=PATIENCE_SECONDS)
    if not done:
        logger.warning("The ledger's row of a stopped call of answer %s is late.", call.message_id)


class _Meter:
    def __init__(self, claim: Claim, model: str, messages: Sequence[dict[str, Any]], user_id: int | None) -> None:
        self._claim, self._model, self._messages, self._user_id = claim, model, messages, user_id
        self._began = time.monotonic()
        self._first: float | None = None
        self._letters = 0
        self._figures: dict[str, Any] | None = None
        self.is_finished = False
        self.error_code = ""

    def see(self, piece: llm.Piece) -> None:
        match piece:
            case llm.Text(text) | llm.Reasoning(text):
                self._letters += len(text)
            case llm.ToolCall(name=name, arguments=arguments):
                self._letters += len(name) + len(arguments)
            case llm.Usage(figures):
                self._figures = figures
                return
            case llm.Finish():
                self.is_finished = True
        if self._first is None:
            self._first = time.monotonic()

    def call(self) -> usage.Call:
        figures = self._figures or self._estimate()
        return usage.Call(
            message_id=self._claim.message_id,
            attempt=self._claim.attempt,
            model=self._model,
            prompt_tokens=figures["prompt_tokens"],
            completion_tokens=figures["completion_tokens"],
            cost=figures["cost"],
            is_estimate=self._figures is None,
            error_code=self.error_code,
            user_id=self._user_id,
            first_token_ms=None if self._first is None else _ms(self._first - self._began),
            total_ms=_ms(time.monotonic() - self._began),
        )

    def _estimate(self) -> dict[str, Any]:
        """Of a call that brought nothing but an error the provider has most probably charged nothing."""
        if self._first is None and self.error_code not in ("", "stopped", "timeout"):
            return {"prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0}
        read = sum(_size(message.get("content")) for message in self._messages)
        written = self._letters // usage.LETTERS_PER_TOKEN
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "cost": llm.cost(self._model, read, written),
        }


def _size(content: Any) -> int:
    """About how many tokens a message's content has."""
    if isinstance(content, list):
        return sum(IMAGE_TOKENS if part.get("type") == "image_url" else _size(part.get("text")) for part in content)
    return len(content or "") // usage.LETTERS_PER_TOKEN


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
