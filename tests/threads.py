"""Things that happen at once: real threads with connections of their own, and waiting for conditions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connection

T = TypeVar("T")

LONG_SECONDS = 60.0  # longer than anything here takes on a busy machine


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Does each in a thread with an open connection, all from one barrier; returns results, or what was raised."""
    barrier = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)

    def run(index: int, action: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(LONG_SECONDS)
            results[index] = action()
        except BaseException as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "a thread did not end: a deadlock?"
    return results


def elsewhere(action: Callable[[], T]) -> T:
    """Does it in another thread, with another connection, and waits for its end."""
    [result] = at_once(action)
    if isinstance(result, BaseException):
        raise result
    return result


def eventually(condition: Callable[[], T], seconds: float = LONG_SECONDS) -> T:
    """The condition's first true value."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.01)
    return value
