"""The end of an outage is noticed also by a process of which no request has failed since."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from assistant import outage
from tests.threads import eventually


class Pool:
    """Its server is away for as many tries."""

    closed = False

    def __init__(self, away: int) -> None:
        self.away, self.back, self.checks = away, threading.Event(), 0

    def check(self) -> None:
        self.checks += 1

    @contextlib.contextmanager
    def connection(self, timeout: float) -> Iterator[None]:
        self.away -= 1
        if self.away >= 0:
            raise OperationalError("away")
        self.back.wait()
        yield


@pytest.fixture
def lately(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(outage, "TRY_SECONDS", 0.001)
    monkeypatch.setattr(outage, "_last", float("-inf"))


def test_a_pool_is_renewed_until_its_server_is_back_and_that_is_when_the_outage_ends(
    lately: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(away=3)
    monkeypatch.setattr(outage, "connection", type("Connection", (), {"pool": pool}))
    outage.note()
    eventually(lambda: pool.away < 0)
    outage.note()  # while it is being renewed nobody else begins to
    monkeypatch.setattr(outage, "_last", float("-inf"))  # as after a long outage
    assert outage.was_recent(), "until it is known to be over"
    pool.back.set()
    eventually(lambda: not outage._renewing.locked())
    assert outage.was_recent() and pool.checks == 4


def test_a_pool_that_is_closed_is_left(lately: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(away=10**9)
    monkeypatch.setattr(outage, "connection", type("Connection", (), {"pool": pool}))
    outage.note()
    eventually(lambda: pool.checks)
    pool.closed = True
    eventually(lambda: not outage._renewing.locked())
