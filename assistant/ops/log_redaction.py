"""Keeps the tokens of links out of what is written down: who has one reads a session along, or joins it."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

_TOKEN = re.compile(r"(/(?:shared|invite)/)[A-Za-z0-9_-]{16,}")


def without_tokens(text: str) -> str:
    """`text` with the tokens cut out of the addresses in it."""
    return _TOKEN.sub(r"\1[token]", text)


class WithoutTokens(logging.Filter):
    """For the handlers of LOGGING: Django names the path of whatever it refuses or trips over."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if (safe := without_tokens(text)) != text:
            record.msg, record.args = safe, ()
        return True


def scrubbed(event: Any, hint: Any) -> Any:
    """For Sentry's `before_send`: the same for the address and the referrer of a request."""
    return json.loads(without_tokens(json.dumps(event, default=str)))
