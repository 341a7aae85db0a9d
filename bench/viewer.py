"""A viewer as docs/events.md wants it: a snapshot, then each delta once, a `sync` where one is missing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

if TYPE_CHECKING:
    from bench.load import Stream

FINISHED = frozenset({"success", "error", "cancelled"})
RECONNECT_SECONDS = 0.5
_DELTA = '{"type":"message.delta"'


class Viewer:
    """Reads its session's answer into `stream`, one after the other. A delta costs one parse: a client can hold many."""

    def __init__(self, client: aiohttp.ClientSession, url: str, session: str, stream: Stream) -> None:
        self.session, self.stream = session, stream
        self._client = client
        self._address = f"{url.replace('http', 'ws', 1)}/ws/sessions/{session}/"
        self._socket: aiohttp.ClientWebSocketResponse
        self._attempt = self._seq = 0
        self._is_syncing = False
        self._ended: set[str] = set()  # answers of earlier streams

    @classmethod
    async def enter(cls, client: aiohttp.ClientSession, url: str, session: str, stream: Stream) -> Viewer:
        """Opens the socket and waits for the snapshot."""
        viewer = cls(client, url, session, stream)
        await viewer._connect()
        frame = orjson.loads(await viewer._socket.receive_str())
        if frame["type"] != "session.snapshot":
            raise RuntimeError(f"The first frame was {frame['type']}, not a snapshot.")
        viewer._ends(frame, time.monotonic())  # an answer that is being written already
        return viewer

    def turn_to(self, stream: Stream) -> None:
        """The next answer is read into `stream`."""
        self.stream = stream
        self._attempt = self._seq = 0

    async def _connect(self) -> None:
        self._socket = await self._client.ws_connect(self._address, max_msg_size=0)
        self._is_syncing = False

    async def close(self) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._socket.close()

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        """The frames as they are, deltas left out, until the socket is closed."""
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT and not message.data.startswith(_DELTA):
                yield orjson.loads(message.data)

    async def read(self) -> None:
        """Reads until the answer has ended; a socket that the server closes is opened again, as the page does."""
        while not await self._read_socket():
            self.stream.closes.append(self._socket.close_code or 0)
            await asyncio.sleep(RECONNECT_SECONDS)
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await self._connect()

    async def _read_socket(self) -> bool:
        """True once the answer has ended, False if the socket has."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            arrived = time.monotonic()
            frame = orjson.loads(message.data)
            if message.data.startswith(_DELTA):
                await self._add(frame, arrived)
            elif self._ends(frame, arrived):
                return True
        return False

    async def _add(self, frame: dict[str, Any], arrived: float) -> None:
        if frame["attempt"] != self._attempt:
            self._begin(frame["attempt"])
        if frame["seq"] <= self._seq or self._is_syncing:
            return
        if frame["seq"] > self._seq + 1:
            self.stream.holes += 1
            self._is_syncing = True
            await self._socket.send_str('{"type":"sync"}')
            return
        self._seq = frame["seq"]
        self.stream.arrivals.append((arrived, frame["text"]))

    def _ends(self, frame: dict[str, Any], arrived: float) -> bool:
        if frame["type"] == "message.reset":
            self._begin(frame["attempt"])
        elif frame["type"] == "session.snapshot":
            answers = [message for message in frame["messages"] if message["role"] == "assistant"]
            if answers and answers[-1]["id"] not in self._ended:
                return self._take(answers[-1], arrived)
        elif frame["type"] == "message.updated":
            message = frame["message"]
            is_end = message["role"] == "assistant" and message["status"] in FINISHED
            return is_end and message["id"] not in self._ended and self._take(message, arrived)
        return False

    def _take(self, message: dict[str, Any], arrived: float) -> bool:
        """Takes a message's whole text: after a hole, and at the ending. What deltas had brought stays as it came."""
        self._is_syncing = False
        if message["attempt"] != self._attempt:
            self._begin(message["attempt"])
        held = "".join(text for _, text in self.stream.arrivals)
        if message["content"].startswith(held) and message["content"] != held:
            self.stream.arrivals.append((arrived, message["content"][len(held) :]))
        self._seq = max(self._seq, message["seq"])
        if message["status"] in FINISHED:
            self._ended.add(message["id"])
            self.stream.status, self.stream.final = message["status"], message["content"]
            return True
        return False

    def _begin(self, attempt: int) -> None:
        self._attempt, self._seq = attempt, 0
        self.stream.arrivals.clear()
