"""Connections to Valkey (or Redis) for what goes beside the channel layer: the doorbell and the live texts."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from assistant.conf import connections

PREFIX = "parley"
RETRIES = 1  # a connection that the server has closed is found out by the first command that it is sent
OLDEST = 7  # Redis' first version with BLMPOP, by which workers wait at the bell

# What a call may raise when Valkey is away. Callers decide what that means; nobody falls back to process memory.
Unavailable = (redis.RedisError, OSError)

_lock = threading.Lock()
_clients: dict[str, redis.Redis] = {}


def client() -> redis.Redis:
    """This process's client for synchronous code; its pool is thread-safe and is made anew after a fork."""
    url = settings.REDIS_URL
    with _lock:
        if url not in _clients:
            _clients[url] = redis.Redis.from_url(url, retry=Retry(NoBackoff(), RETRIES), **_limits(url))
        return _clients[url]


def async_client() -> redis.asyncio.Redis:
    """A new client for the running event loop; the caller closes it."""
    url = settings.REDIS_URL
    return redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), RETRIES), **_limits(url))


def _limits(url: str) -> dict[str, Any]:
    return connections.redis(url) | {"socket_connect_timeout": 2, "socket_timeout": 5}


def too_old() -> str | None:
    """A sentence if the server is one that workers can't wait at. None if it isn't, doesn't answer now, or doesn't tell."""
    try:
        with asked_once() as server:
            # A Valkey gives the Redis that it can stand for.
            version = str(server.info("server")["redis_version"])
    except (*Unavailable, KeyError):
        return None
    if int(version.partition(".")[0]) >= OLDEST:
        return None
    return f"REDIS_URL: the server is Redis {version}, and workers need Redis {OLDEST} or newer, or a Valkey."


def ping() -> None:
    """Raises one of Unavailable if the server does not answer within a few seconds."""
    with asked_once() as server:
        server.ping()


def asked_once() -> redis.Redis:
    """A client that asks whoever is at the URL now, and has no patience."""
    times = {"socket_connect_timeout": 2, "socket_timeout": 2}
    return redis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0), **times)


class Script:
    """A Lua script, run by its hash: its text is sent only to a server that doesn't know it, or no more.

    In a pipeline of `client()` it is looked for, and sent if it is missing, when the pipeline is executed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._hash = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # as the server names it
        self._sync: Any = None

    def run(self, keys: Sequence[str], arguments: Iterable[Any] = (), pipe: Any = None) -> Any:
        """What the script returns; with `pipe` nothing, for then it is among what the pipeline returns."""
        target = pipe if pipe is not None else client()
        if self._sync is None:
            self._sync = client().register_script(self.text)
        return self._sync(keys, arguments, client=target)

    def command(self, keys: Sequence[str], arguments: Iterable[Any] = ()) -> Command:
        """The same for an `Outbox`."""
        return Command(("EVALSHA", self._hash, len(keys), *keys, *arguments), self)


@dataclass(frozen=True, slots=True)
class Command:
    arguments: tuple[Any, ...]
    script: Script | None = None  # that it runs
