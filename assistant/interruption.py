"""Notices that this process's subscriptions were interrupted, and has every viewer's snapshot sent again.

The channel layer reconnects by itself after Valkey was away, but what was published meanwhile is gone, and a viewer can't
know: if the last frame of an answer was among it, nothing later would show the hole. So each web process sends itself a
probe through the layer, over the very connection that carries the viewers' frames. When a probe was lost, or Valkey is
another process than before, then as soon as probes arrive again everyone is sent a snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from channels.layers import get_channel_layer

from assistant import valkey

logger = logging.getLogger(__name__)

PROBE_SECONDS = 1.0
LOST_SECONDS = 2.0

Resync = Callable[[], Awaitable[None]]

_viewers: set[Resync] = set()
_watch: asyncio.Task[None] | None = None


def add(resync: Resync) -> None:
    """`resync` is awaited after each interruption, until `discard`."""
    global _watch
    _viewers.add(resync)
    if _watch is None or _watch.done() or _watch.get_loop() is not asyncio.get_running_loop():
        _watch = asyncio.create_task(_Watch().run(), name="interruptions")


def discard(resync: Resync) -> None:
    _viewers.discard(resync)


class _Watch:
    def __init__(self) -> None:
        self._arrived = asyncio.Event()
        self._run_id: str | None = None

    async def run(self) -> None:
        layer = get_channel_layer()
        assert layer is not None
        client = valkey.async_client()
        channel = ""
        interrupted = False
        try:
            while _viewers:
                try:
                    if not channel:
                        channel = await layer.new_channel("probe.")
                        listening = asyncio.create_task(self._listen(layer, channel), name="probes")
                    self._arrived.clear()
                    await layer.send(channel, {"type": "probe"})
                    await asyncio.wait_for(self._arrived.wait(), LOST_SECONDS)
                    interrupted |= await self._is_another_server(client)
                except (*valkey.Unavailable, TimeoutError):
                    interrupted = True
                else:
                    if interrupted:
                        interrupted = False
                        await self._resync_all()
                await asyncio.sleep(PROBE_SECONDS)
        finally:
            if channel:
                listening.cancel()
            await client.aclose()

    async def _listen(self, layer: object, channel: str) -> None:
        while True:
            await layer.receive(channel)  # type: ignore[attr-defined]
            self._arrived.set()

    async def _is_another_server(self, client: object) -> bool:
        info = await client.info("server")  # type: ignore[attr-defined]
        before, self._run_id = self._run_id, info["run_id"]
        return before not in (None, self._run_id)

    async def _resync_all(self) -> None:
        viewers = list(_viewers)
        logger.warning("Valkey is back: %d viewers are sent a fresh snapshot.", len(viewers))
        for resync in viewers:
            try:
                await resync()
            except Exception:
                logger.exception("A viewer could not be sent a fresh snapshot.")
