"""What a project may connect to: Django's signals, sent when what they tell of is committed. docs/embedding.md.

They run in the thread and the process that has committed it. An error of a receiver is logged and harms nothing. Each is
sent once at most: a process that dies behind its commit sends nothing.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.db import transaction
from django.dispatch import Signal

logger = logging.getLogger(__name__)

# An answer has ended, well or not: message_id, session_id, status, error_code, model, user_id (whose budget it used).
turn_ended = Signal()

# A tool call has its result, or will get none: call_id, message_id, name, status.
tool_call_ended = Signal()

# Somebody takes part in a session of somebody else's: session_id, user_id, role.
person_joined = Signal()

SLOW_SECONDS = 1.0


def send_after_commit(signal: Signal, sender: type, **what: Any) -> None:
    """Has this transaction send `signal` once it has committed, if anybody listens."""
    if signal.has_listeners(sender):
        transaction.on_commit(lambda: _send(signal, sender, what))


def _send(signal: Signal, sender: type, what: dict[str, Any]) -> None:
    began = time.monotonic()
    signal.send_robust(sender, **what)  # which logs what a receiver raises
    took = time.monotonic() - began
    if took > SLOW_SECONDS:
        logger.warning(
            "The receivers of a signal of %s took %.1f s; other answers wait for them.", sender.__name__, took
        )
