"""How long a connection to a server may be silent before it is dead.

After a failover, or with a cable cut, no reset comes: without these the kernel sends again for a quarter of an hour, and
waits for an answer for ever. Of a server that lives nobody notices them: its kernel answers, however busy it is.
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as Disconnected

CONNECT_SECONDS = 3
IDLE_SECONDS = 4  # without a packet, then the kernel asks
ASKING_SECONDS = 2  # again and again
ASKED_TIMES = 2
UNHEARD_SECONDS = 8  # what was sent is not acknowledged


def postgres() -> dict[str, Any]:
    """Options for psycopg: libpq's names."""
    return {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": IDLE_SECONDS,
        "keepalives_interval": ASKING_SECONDS,
        "keepalives_count": ASKED_TIMES,
        "tcp_user_timeout": UNHEARD_SECONDS * 1000,
    }


def redis(url: str) -> dict[str, Any]:
    """Options for redis-py; a socket of this host needs none."""
    if urlsplit(url).scheme not in ("redis", "rediss"):
        return {}
    limits = {
        "TCP_KEEPIDLE": IDLE_SECONDS,
        "TCP_KEEPINTVL": ASKING_SECONDS,
        "TCP_KEEPCNT": ASKED_TIMES,
        "TCP_USER_TIMEOUT": UNHEARD_SECONDS * 1000,
    }
    return {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_keepalive": True,
        # As far as this system has them.
        "socket_keepalive_options": {getattr(socket, name): n for name, n in limits.items() if hasattr(socket, name)},
    }


def channel_host(url: str) -> dict[str, Any]:
    """An entry of `hosts` in CHANNEL_LAYERS."""
    return {"address": url, "parser_class": _Parser, **redis(url)}


class _Parser(DefaultParser):  # type: ignore[misc,valid-type]
    """Says of a connection that the kernel has given up that it is lost.

    The kernel's word for it becomes a TimeoutError, which redis-py takes for the end of a subscription's own wait for the
    next message: it would look again at once, for ever, and its loop would do nothing else.
    """

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except TimeoutError as error:
            raise Disconnected(f"Connection lost: {error.strerror or error}") from error
