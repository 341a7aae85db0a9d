"""A worker's mailbox: what it is told arrives in order, and nobody suffers from what nobody takes."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from uuid import uuid4

import pytest

from assistant.delivery import mailbox, valkey
from assistant.models.worker import WorkerProcess
from assistant.presentation import events
from assistant.worker.runner import Runner
from tests.threads import LONG_SECONDS, eventually


def in_turn(box: str, count: int) -> list[dict[str, Any] | None]:
    async def scenario() -> list[dict[str, Any] | None]:
        client = valkey.async_client()
        try:
            return [await mailbox.taken(client, box) for _ in range(count)]
        finally:
            await client.aclose()

    return asyncio.run(scenario())


def test_what_a_worker_is_told_it_takes_in_order_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "WAITING_SECONDS", 0.05)
    box = f"worker.{uuid4().hex}"
    told = [{"type": "turn.stop", "attempt": n} for n in range(3)]
    for event in told:
        mailbox.put(box, event)
    assert in_turn(box, 4) == [*told, None]
    assert in_turn(f"worker.{uuid4().hex}", 1) == [None], "it is nobody else's"


def test_what_nobody_takes_expires() -> None:
    box = f"worker.{uuid4().hex}"
    mailbox.put(box, {"type": "turn.stop"})
    [key] = valkey.client().keys(f"*{box}")
    assert 0 < valkey.client().ttl(key) <= 60


def test_while_valkey_is_away_telling_is_a_line_in_the_log(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    mailbox.put("worker.x", {"type": "turn.stop"})
    [line] = caplog.messages
    assert "worker.x could not be told turn.stop" in line


def test_a_worker_whose_valkey_is_away_says_nothing_of_it_again_and_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits = threading.Semaphore(0)

    async def away(*args: Any) -> None:
        waits.release()
        raise ConnectionError("away")

    async def at_once(seconds: float) -> None: ...

    runner = Runner()
    runner._client = None  # type: ignore[assignment]
    monkeypatch.setattr(mailbox, "taken", away)
    monkeypatch.setattr(asyncio, "sleep", at_once)
    for _ in range(3):
        asyncio.run(runner._listen())
    assert all(waits.acquire(timeout=LONG_SECONDS) for _ in range(3)) and not caplog.messages


@pytest.mark.django_db(transaction=True)
def test_a_worker_hears_it_and_subscribes_to_nothing(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """A subscription of the channel layer is looked at ten times a second, by each worker of an idle product too."""
    settings.ASSISTANT_GRACE = 0
    stopped: list[tuple[str, int]] = []
    before = set(valkey.client().pubsub_channels("*worker*"))
    runner = Runner()
    monkeypatch.setattr(runner.turns, "stop_lost", lambda message_id, attempt: stopped.append((message_id, attempt)))
    runner.start()
    try:
        eventually(lambda: WorkerProcess.objects.filter(pk=runner.worker.pk).exists())
        message_id = uuid4()
        events.stop_turn(runner.worker.mailbox, message_id, 2)
        eventually(lambda: stopped)
        assert stopped == [(str(message_id), 2)]
        assert set(valkey.client().pubsub_channels("*worker*")) == before
    finally:
        runner.drain()
        runner.join()
