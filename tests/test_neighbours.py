"""While a provider is slow, in whatever way, its neighbours on the same loop go on: nothing done for it waits there."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from assistant import llm
from assistant.llm import facts
from assistant.llm.pieces import Finish
from tests.protocols import ProtocolsProcess
from tests.test_every_model import PROTOCOLS

# litellm trips over its own libraries' warnings, which are errors in these tests.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

QUESTION = [{"role": "user", "content": "Hello?"}]
TICKS = 50
LONGEST_CALLBACK_SECONDS = 0.05
LOOK = {"type": "object", "properties": {}}
TOOLS = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": LOOK}}]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the tests' own thread, where the loop runs, has waited for."""
    found: list[str] = []

    def watched(name: str, original: Callable[..., Any], is_waiting: Callable[..., bool]) -> Callable[..., Any]:
        def watched(*args: Any, **more: Any) -> Any:
            if threading.current_thread() is threading.main_thread() and is_waiting(*args):
                found.append(f"{name}{args[1:]}"[:200])
            return original(*args, **more)

        return watched

    for name in ("connect", "recv", "recv_into", "send", "sendall"):
        of_socket = watched(name, getattr(socket.socket, name), lambda sock, *_: sock.gettimeout() != 0.0)
        monkeypatch.setattr(socket.socket, name, of_socket)
    monkeypatch.setattr(socket, "getaddrinfo", watched("getaddrinfo", socket.getaddrinfo, lambda *_: True))
    monkeypatch.setattr(time, "sleep", watched("sleep", time.sleep, lambda seconds: seconds > 0))
    return found


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Callbacks of the loop that have used the processor for too long, by the thread's own clock: load isn't theirs."""
    found: list[str] = []
    run = asyncio.Handle._run

    def watched(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        used = time.thread_time() - began
        if used > LONGEST_CALLBACK_SECONDS and threading.current_thread() is threading.main_thread():
            found.append(f"{used:.3f} s: {handle!r}"[:300])

    monkeypatch.setattr(asyncio.Handle, "_run", watched)
    return found


@pytest.mark.parametrize("lane", [True, False], ids=["fast", "litellm's"])
@pytest.mark.parametrize("slow", ["before-the-first-word", "in-mid-answer"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_slow_provider_holds_up_nobody(
    loop: asyncio.Runner,
    protocols: ProtocolsProcess,
    settings: Any,
    waits: list[str],
    busy: list[str],
    protocol: str,
    slow: str,
    lane: bool,
):
    settings.ASSISTANT_FAST_LANE = lane
    words = "words-n9-hold=0" if slow == "before-the-first-word" else "words-n9-hold=5"
    model = PROTOCOLS[protocol] + words
    facts.learnt.pop(model, None)

    async def ask() -> list[Any]:
        async with aclosing(llm.stream(model, QUESTION, tools=TOOLS)) as pieces:
            return [piece async for piece in pieces]

    async def scenario() -> list[Any]:
        asking = asyncio.create_task(ask())
        await asyncio.to_thread(protocols.wait_for, lambda it: it.held() == 1)
        for _ in range(TICKS):
            await asyncio.sleep(0.001)
        # By nobody else: a loop that stood still would never come here.
        await asyncio.to_thread(protocols.release)
        return await asking

    pieces = loop.run(scenario())
    assert isinstance(pieces[-1], Finish) and waits == [] and busy == []
    assert protocols.problems() == []
