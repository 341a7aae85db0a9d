"""Admission: a job becomes a turn on the loop, if this process has room for it and is not stopping.

Runs in the thread in which django-q2's worker function was called.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from uuid import UUID

from django.db import InterfaceError, OperationalError

from assistant.lifecycle import answering
from assistant.models.message import Claim
from assistant.models.worker import WorkerProcess
from assistant.prompt import context

logger = logging.getLogger(__name__)

RETRY_SECONDS = 10.0
LOOK_SECONDS = 0.2  # between two looks whether this process is stopping, while it is full

FirstPrompt = Future[context.Prompt | None]


class Admission:
    """`begin(claim, prompt)` has the loop run the turn; it takes over the room that was taken for it."""

    def __init__(
        self, worker: WorkerProcess, room: threading.Semaphore, begin: Callable[[Claim, FirstPrompt], None]
    ) -> None:
        self._worker, self._room, self._begin = worker, room, begin
        self._is_open: Future[None] = Future()
        self._is_closed = threading.Event()

    def open(self) -> None:
        """The loop is ready; who came before has waited."""
        self._is_open.set_result(None)

    def close(self) -> None:
        """From now on jobs are put back. Callable repeatedly."""
        self._is_closed.set()

    @property
    def is_closed(self) -> bool:
        return self._is_closed.is_set()

    def once_open(self, call: Callable[[], object]) -> None:
        self._is_open.add_done_callback(lambda _: call())

    def admit(self, message_id: UUID) -> bool:
        """Claims the message's turn and lets the loop run it; waits while this process is full.

        Returns False if there was nothing to do: a duplicate delivery, a stopped or deleted answer, or this process is
        stopping (then the turn has a fresh job that another one will get).
        """
        self._is_open.result()
        while not self._room.acquire(timeout=LOOK_SECONDS):
            if self.is_closed:
                break
        else:
            if not self.is_closed:
                return self._claim(message_id)
            self._room.release()
        answering.put_back(message_id)
        return False

    def _claim(self, message_id: UUID) -> bool:
        try:
            claim = _while_away(lambda: answering.claim(message_id, self._worker))
        except BaseException:
            self._room.release()
            raise
        if claim is None:
            self._room.release()
            return False
        prompt: FirstPrompt = Future()
        prompt.set_running_or_notify_cancel()  # a turn that is stopped meanwhile takes nothing back
        # The turn first: from the claim on there is somebody to be stopped, and a clock that runs.
        self._begin(claim, prompt)
        prompt.set_result(first_prompt(claim))
        return True


def first_prompt(claim: Claim) -> context.Prompt | None:
    """What the turn asks first, made in the thread that has just claimed it: its connection and its caches are warm.

    None: the turn makes it itself, since it may take long, and the next job waits for this thread; or since it fails, which
    the turn then tells.
    """
    if claim.ends:
        return None  # what was said meanwhile joins first
    try:
        return context.quick_prompt_for(claim)
    except Exception:
        logger.debug("Answer %s has no first prompt from its claim.", claim.message_id, exc_info=True)
        return None


def _while_away(work: Callable[[], Claim | None]) -> Claim | None:
    """`work()` while the database is briefly away. After that the error is django-q2's, and the sweep delivers again."""
    until = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError):
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
