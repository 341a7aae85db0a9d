"""Notices that this process's subscriptions were interrupted, and has every viewer's snapshot sent again.

The channel layer reconnects by itself after Valkey was away, but what was published meanwhile is gone, and a viewer can't
know: if the last frame of an answer was among it, nothing later would show the hole. So each web process sends itself a
probe through the layer, over the very connection that carries the viewers' frames. When a probe was lost, or Valkey is
another process than before, then as soon as probes arrive again everyone is sent a snapshot.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from channels.layers import get_channel_layer

from assistant.delivery import valkey
from assistant.sockets import fan_out

logger = logging.getLogger(__name__)

PROBE_SECONDS = 1.0
LOST_SECONDS = 2.0

_viewers: set[str] = set()  # names of their sockets
_watch: _Watch | None = None
_running: set[asyncio.Task[None]] = set()


def add(socket: str) -> None:
    """After each interruption `socket` is told `viewer.resync`, until `discard`.

    By its inbox, not by a call: so it takes its turn among the viewer's frames, and no newer frame is overtaken.
    """
    global _watch
    _viewers.add(socket)
    if _watch is None or _watch.is_over or _watch.loop is not asyncio.get_running_loop():
        _watch = _Watch()
        running = asyncio.create_task(_watch.run(), name="interruptions")
        _running.add(running)  # asyncio itself holds tasks only weakly
        running.add_done_callback(_running.discard)


def discard(socket: str) -> None:
    _viewers.discard(socket)


class _Watch:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_over = False
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
                        self._resync_all()
                await asyncio.sleep(PROBE_SECONDS)
        finally:
            self.is_over = True  # from here on a new viewer starts a new watch
            if channel:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            await client.aclose()

    async def _listen(self, layer: Any, channel: str) -> None:
        while True:
            await layer.receive(channel)
            self._arrived.set()

    async def _is_another_server(self, client: Any) -> bool:
        info = await client.info("server")
        before, self._run_id = self._run_id, info.get("run_id")
        return before not in (None, self._run_id)

    def _resync_all(self) -> None:
        viewers = list(_viewers)
        logger.warning("Valkey is back: %d viewers are sent a fresh snapshot.", len(viewers))
        for viewer in viewers:
            fan_out.tell(viewer, {"type": "viewer.resync"})
