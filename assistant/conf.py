"""The app's settings with their defaults, read from Django's settings at each use (so tests can override them)."""

from __future__ import annotations

from typing import Any

from django.conf import settings

_DEFAULTS: dict[str, Any] = {
    "ASSISTANT_MODELS": [],
    "ASSISTANT_FAST_LANE": True,
    "ASSISTANT_TIMEOUT": 60.0,
    "ASSISTANT_DEADLINE": 600.0,
    "ASSISTANT_RETRIES": 2,
    "ASSISTANT_FALLBACK_MODELS": [],
    "ASSISTANT_ESCALATION_MODEL": "",
    "ASSISTANT_WORKERS": 2,
    "ASSISTANT_CONCURRENCY": 200,
    "ASSISTANT_HEARTBEAT": 2.0,
    "ASSISTANT_LEASE": 10.0,
    "ASSISTANT_MAX_ATTEMPTS": 3,
    "ASSISTANT_GRACE": 5.0,
    "ASSISTANT_MAX_LENGTH": 10_000,
    "ASSISTANT_SIGNUP": "closed",
    "ASSISTANT_PRESENCE": 30.0,
    "ASSISTANT_SHARE_READERS": 100,
    "ASSISTANT_SHARE_RATE": 600,
    "ASSISTANT_QUEUE_LIMIT": 32,
    "ASSISTANT_QUEUE_PAUSE": 30.0,
    "ASSISTANT_SYSTEM_PROMPT": "",
    "ASSISTANT_TITLES": True,
    "ASSISTANT_TOOLS": [
        "assistant.tools.clock",
        "assistant.tools.calculator",
        "assistant.tools.recall",
        "assistant.tools.web",
    ],
    "ASSISTANT_MCP": "",
    "ASSISTANT_SERVICES": [],
    "ASSISTANT_USER_CONTEXT": "",
    "ASSISTANT_ROUNDS": 8,
    "ASSISTANT_SLICE": 300.0,
    "ASSISTANT_CONTINUATIONS": 5,
    "ASSISTANT_RESULT_LENGTH": 20_000,
    "ASSISTANT_HISTORY_TOKENS": 100_000,
    "ASSISTANT_VISION_MODELS": [],
    "ASSISTANT_ATTACHMENT_STORAGE": "default",
    "ASSISTANT_ATTACHMENT_TYPES": [
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "application/pdf",
        "text/plain",
    ],
    "ASSISTANT_ATTACHMENT_MAX_MB": 20.0,
    "ASSISTANT_ATTACHMENT_MAX_COUNT": 10,
    "ASSISTANT_ATTACHMENT_MAX_TEXT": 100_000,
    "ASSISTANT_ATTACHMENT_USER_QUOTA_MB": 2_000.0,
    "ASSISTANT_ATTACHMENT_SESSION_QUOTA_MB": 1_000.0,
    "ASSISTANT_ATTACHMENT_KEEP_HOURS": 24.0,
    "ASSISTANT_BUDGET_TOKENS": 0,
    "ASSISTANT_BUDGET_COST": 0.0,
    "ASSISTANT_PRICES": {},
    "ASSISTANT_RATE_LIMIT": 30,
    "ASSISTANT_UPLOAD_RATE": 60,
    "ASSISTANT_SIGN_IN_RATE": 10,
    "ASSISTANT_BEHIND_PROXY": False,
}


def get(name: str) -> Any:
    """The value of an ASSISTANT_ setting. Raises KeyError for a name that is not one."""
    return getattr(settings, name, _DEFAULTS[name])
