"""Connections to servers that fall silent: what the kernel has given up is lost, and made anew."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import Any, cast

import pytest
import redis.asyncio
from django.core.exceptions import ImproperlyConfigured

from assistant.conf import connections
from project import env
from tests.threads import LONG_SECONDS

SOCKET = "unix:///somewhere/valkey.sock"


@pytest.mark.usefixtures("valkey_server")
def test_a_subscription_whose_connection_timed_out_is_made_anew(settings: Any) -> None:
    """And does not look again at once, for ever, as if nothing had come within its own time."""
    options = connections.channel_host(settings.REDIS_URL)
    url = options.pop("address")

    async def scenario() -> Any:
        async with redis.asyncio.Redis.from_url(url, **options) as client:
            listening = client.pubsub()
            await listening.subscribe("silence")
            await listening.get_message(timeout=LONG_SECONDS)  # that it is subscribed
            # What the kernel's ETIMEDOUT becomes.
            reader = cast("Any", listening.connection)._reader
            reader.set_exception(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            hears = asyncio.create_task(anew(listening))
            while not hears.done():
                await client.publish("silence", "words")
                await asyncio.sleep(0.01)
            await listening.aclose()
            return hears.result()

    async def anew(listening: Any) -> Any:
        for _ in range(1000):
            with contextlib.suppress(redis.ConnectionError):  # as the channel layer, which then goes on
                if found := await listening.get_message(ignore_subscribe_messages=True, timeout=0.1):
                    return found["data"]
        raise AssertionError("it has looked again and again")

    assert asyncio.run(asyncio.wait_for(scenario(), LONG_SECONDS)) == b"words"


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_every_connection_to_redis_over_the_network_has_limits(scheme: str) -> None:
    options = connections.redis(f"{scheme}://:secret@redis.example:6379/0")
    assert options["socket_keepalive"] and options["socket_connect_timeout"]
    kernel = options["socket_keepalive_options"]
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in kernel.items():
            one.setsockopt(socket.IPPROTO_TCP, name, value)
    assert connections.redis(SOCKET) == {}, "a socket of this host takes none"
    assert connections.channel_host(SOCKET)["address"] == SOCKET


def test_a_connection_to_postgres_has_limits_which_the_url_may_change(tmp_path: Any) -> None:
    options = env.database(
        "postgres://a:b@db.example/parley?tcp_user_timeout=3000&sslmode=require", tmp_path, pooled=True
    )["OPTIONS"]
    assert {"keepalives_idle", "keepalives_interval", "keepalives_count", "connect_timeout", "pool"} <= set(options)
    assert options["pool"]["reconnect_timeout"] <= 5, (
        "its pauses double: after a minute they would be half a minute long"
    )
    assert (int(options["tcp_user_timeout"]), options["sslmode"]) == (3000, "require")
    with pytest.raises(ImproperlyConfigured):
        env.database("mysql://a", tmp_path, pooled=True)
