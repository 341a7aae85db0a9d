"""Plays one streamed answer: the bytes of a protocol by the schedule, and with the faults, of a script."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web

from .records import Record
from .script import Script
from .wire import Wire

EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass
class Plan:
    """One streamed answer in the bytes of its protocol."""

    tokens: Iterable[bytes]  # what the places of a script count; each one HTTP chunk, or a few frames in it
    opening: bytes = b""
    ending: tuple[bytes, ...] = ()
    error: bytes = b""  # how the protocol says in mid stream that it failed
    broken: bytes = b""  # a frame that can't be read
    still_waiting: bytes = b""  # what keeps a connection alive before the first token; b"" where nothing does
    content_type: str = EVENT_STREAM


class Player:
    """Streams plans; knows who waits at a `hold`."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}

    def release(self, model: str | None) -> None:
        """Of one model the streams that wait, or will wait; or all that wait now."""
        if model is None:
            for gate in self._gates.values():
                gate.set()
            self._gates.clear()
        else:
            self._gates.setdefault(model, asyncio.Event()).set()

    def reset(self) -> None:
        self._gates.clear()

    async def play(self, request: web.Request, record: Record, script: Script, plan: Plan) -> web.StreamResponse:
        wire = Wire(request, plan.content_type)
        response = await wire.open()
        record.status = 200
        start = time.monotonic() + script.first
        while plan.still_waiting and script.keepalive and time.monotonic() + script.keepalive < start:
            wire.chunk(plan.still_waiting)
            await wire.until(time.monotonic() + script.keepalive)
        await wire.until(start)
        if plan.opening:
            wire.chunk(plan.opening)
        if not await self._tokens(wire, record, script, plan, start):
            await _fail(wire, record, script, plan)
            return response
        for part in plan.ending:
            wire.chunk(part)
        await wire.flush()
        record.end("completed")
        return response

    async def _tokens(self, wire: Wire, record: Record, script: Script, plan: Plan, start: float) -> bool:
        """Sends the tokens by the schedule; False if a fault's place was reached, maybe after the last."""
        timed = bool(script.rate or script.pause)
        stop, index = script.stop, -1
        for index, chunk in enumerate(plan.tokens):
            if index == stop:
                return False
            if index == script.bad:
                wire.chunk(plan.broken)
            if index == script.hold:
                start += await self._hold(wire, record)
            due = start + script.offset(index)
            if timed and due > time.monotonic():
                await wire.until(due)
            elif wire.is_full:
                await wire.flush()
                await asyncio.sleep(0)  # a fast long text must not keep the other streams waiting
            if script.dribble and index >= script.dribble[1]:
                await wire.flush()
                await wire.bytewise(chunk, script.dribble[0])
            elif script.split:
                await wire.flush()
                await wire.split(chunk)
            else:
                wire.chunk(chunk)
            record.tokens = index + 1
            record.due_at.append(due)
            record.sent_at.append(time.monotonic())
        if script.bad is not None and script.bad > index:
            wire.chunk(plan.broken)
        if script.hold is not None and script.hold > index:
            await self._hold(wire, record)
        return stop is None

    async def _hold(self, wire: Wire, record: Record) -> float:
        """Waits for the release; returns the seconds waited, by which the schedule moves."""
        await wire.flush()
        record.held, since = True, time.monotonic()
        await self._gates.setdefault(record.model, asyncio.Event()).wait()
        record.held = False
        return time.monotonic() - since


async def _fail(wire: Wire, record: Record, script: Script, plan: Plan) -> None:
    """The fault whose place was reached."""
    if script.error is not None and script.error == script.stop:
        record.end("failed")
        wire.chunk(plan.error)
        await wire.flush()
    elif script.cut is not None and script.cut == script.stop:
        record.end("cut")
        await wire.cut()
    elif script.reset is not None and script.reset == script.stop:
        record.end("reset")
        await wire.reset()
    else:
        await wire.flush()
        await asyncio.Event().wait()  # silence: ends by the client's going
