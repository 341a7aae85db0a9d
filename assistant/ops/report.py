"""What the operator is told of a failed turn: one line in the log, and Sentry if SENTRY_DSN is set. Never a secret."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass

import psutil

from assistant.models.message import Claim
from assistant.models.user_id import UserId, shown_id

logger = logging.getLogger(__name__)

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|DSN|DATABASE_URL|REDIS_URL)$")
_LOOKS_SECRET = re.compile(r"\b(sk|pk|rk|key)-[A-Za-z0-9_\-]{8,}|(?i:bearer)\s+[A-Za-z0-9._\-]{8,}")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Under which a turn failed."""

    claim: Claim
    code: str
    model: str
    user_id: UserId
    seconds: float


def failed(what: Circumstances, raw: str, error: Exception | None) -> None:
    """Logs a failure with its raw error and, from what was raised, the stack."""
    fields = {
        "turn_message": str(what.claim.message_id),
        "turn_session": str(what.claim.session_id),
        "turn_user": shown_id(what.user_id),
        "turn_model": what.model,
        "turn_worker": str(what.claim.worker_id),
        "turn_job": what.claim.job,
        "turn_attempt": what.claim.attempt,
        "turn_seconds": round(what.seconds, 2),
        "turn_memory_mb": round(psutil.Process().memory_info().rss / 1e6),
    }
    line = " ".join(f"{name.removeprefix('turn_')}={value}" for name, value in fields.items())
    if error is not None:
        error = _Redacted(error).with_traceback(error.__traceback__)
    logger.error("Turn failed: %s %s: %s", what.code, line, redacted(raw), exc_info=error, extra=fields)


class _Redacted(Exception):
    """Stands for an error in the log, with its stack and without the secrets that its words may hold."""

    def __init__(self, error: Exception) -> None:
        super().__init__(redacted(f"{type(error).__name__}: {error}"))


def redacted(text: str) -> str:
    """`text` without the values of the environment's secrets, and without what looks like a key."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 6:
            text = text.replace(value, f"[{name}]")
    return _LOOKS_SECRET.sub("[secret]", text)
