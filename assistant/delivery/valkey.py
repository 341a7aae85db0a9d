"""Connections to Valkey (or Redis) for what goes beside the channel layer: the doorbell and the live texts."""

from __future__ import annotations

import threading

import redis
import redis.asyncio
from django.conf import settings

PREFIX = "parley"

# What a call may raise when Valkey is away. Callers decide what that means; nobody falls back to process memory.
Unavailable = (redis.RedisError, OSError)

_lock = threading.Lock()
_clients: dict[str, redis.Redis] = {}


def client() -> redis.Redis:
    """This process's client for synchronous code; its pool is thread-safe and is made anew after a fork."""
    url = settings.REDIS_URL
    with _lock:
        if url not in _clients:
            _clients[url] = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=5)
        return _clients[url]


def async_client() -> redis.asyncio.Redis:
    """A new client for the running event loop; the caller closes it."""
    return redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=5)
