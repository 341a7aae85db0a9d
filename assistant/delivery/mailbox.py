"""A worker's mailbox: a list in Valkey at which the worker waits, for what other processes have to tell it.

What it is told is a hint: whatever is lost, with the worker or with Valkey, the worker finds out by its next heartbeat, or
who asked asks again. (A group of the channel layer would do, but its subscription is looked at ten times a second.)
"""

from __future__ import annotations

import logging
from typing import Any

import orjson
import redis.asyncio

from assistant.delivery import valkey

logger = logging.getLogger(__name__)

WAITING_SECONDS = 4  # less than a client waits for an answer
_KEPT_SECONDS = 60  # of what nobody takes


def put(mailbox: str, event: dict[str, Any]) -> None:
    """Tells the worker whose mailbox it is; `event` is plain JSON. Never raises."""
    key = _key(mailbox)
    try:
        with valkey.client().pipeline(transaction=False) as pipe:
            pipe.rpush(key, orjson.dumps(event))
            pipe.expire(key, _KEPT_SECONDS)
            pipe.execute()
    except valkey.Unavailable as error:
        logger.warning("%s could not be told %s: %s", mailbox, event["type"], error)


async def taken(client: redis.asyncio.Redis, mailbox: str) -> dict[str, Any] | None:
    """Waits for the next event; None when none has come for WAITING_SECONDS. Raises one of valkey.Unavailable."""
    found: Any = await client.blpop([_key(mailbox)], timeout=WAITING_SECONDS)
    event: dict[str, Any] | None = orjson.loads(found[1]) if found else None
    return event


def _key(mailbox: str) -> str:
    return f"{valkey.PREFIX}:{mailbox}"
