"""What the sockets of this process hear: each group is subscribed to once, and each event decoded once for all of them.

Each socket has an inbox, in which events of its group wait in line with what its client sends. The channel layer knows only
the groups: fifty viewers of a session are one subscription, and a new one is another inbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from channels.layers import get_channel_layer

from assistant.delivery import valkey

logger = logging.getLogger(__name__)

Inbox = asyncio.Queue[Any]

_inboxes: dict[str, Inbox] = {}  # of all open sockets, by their names
_groups: dict[str, _Group] = {}


def open_inbox(socket: str) -> Inbox:
    inbox = _inboxes[socket] = asyncio.Queue()
    return inbox


def close_inbox(socket: str) -> None:
    _inboxes.pop(socket, None)


def tell(socket: str, event: dict[str, Any]) -> None:
    """Tells one socket of this process. The event takes its turn: no newer frame is overtaken."""
    if inbox := _inboxes.get(socket):
        inbox.put_nowait(event)


async def join(name: str, socket: str) -> None:
    """From when this returns on the socket hears the group. Raises one of valkey.Unavailable; `leave` it then as well."""
    group = _groups.get(name)
    if group is None or group.loop is not asyncio.get_running_loop():
        group = _groups[name] = _Group(name)
    group.listeners[socket] = _inboxes[socket]
    await group.settle()


async def leave(name: str, socket: str) -> None:
    group = _groups.get(name)
    if group is None or group.listeners.pop(socket, None) is None:
        return
    await group.settle()
    if not group.listeners and _groups.get(name) is group:
        del _groups[name]


class _Group:
    def __init__(self, name: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.listeners: dict[str, Inbox] = {}
        self._name = name
        self._changing = asyncio.Lock()
        self._layer: Any = get_channel_layer()
        self._channel = ""  # none: not subscribed to, not even half
        self._relaying: asyncio.Task[None] | None = None

    async def settle(self) -> None:
        """Subscribes if anybody listens, and ends the subscription if nobody does. What fails may have begun."""
        async with self._changing:
            if self.listeners and self._relaying is None:
                self._channel = self._channel or await self._layer.new_channel("group.")
                await self._layer.group_add(self._name, self._channel)
                self._relaying = asyncio.create_task(self._relay(), name=f"relay {self._name}")
            elif not self.listeners and self._channel:
                await self._end()

    async def _relay(self) -> None:
        while True:
            try:
                event = await self._layer.receive(self._channel)
            except Exception:
                logger.exception("What came for %s could not be read.", self._name)
                await asyncio.sleep(1)
                continue
            for inbox in self.listeners.values():
                inbox.put_nowait(event)

    async def _end(self) -> None:
        with contextlib.suppress(*valkey.Unavailable):
            await self._layer.group_discard(self._name, self._channel)
        # Who receives is the one to end the subscription of the channel: the layer does it when they are cancelled.
        receiving = self._relaying or asyncio.ensure_future(self._layer.receive(self._channel))
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        self._channel, self._relaying = "", None
