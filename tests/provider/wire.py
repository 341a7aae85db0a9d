"""Bytes on the socket of one response, and the clock that decides when."""

import asyncio
import socket
import struct

from aiohttp import web

_ONE_WRITE_BYTES = 64 * 1024


class Wire:
    """Writes HTTP chunks past aiohttp's writer, which costs several times as much CPU for each.

    Every piece given to `chunk` is one HTTP chunk; pieces collected until `flush` share one system call.
    """

    def __init__(self, request: web.Request, content_type: str) -> None:
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._response = web.StreamResponse(headers={"Content-Type": content_type})
        self._response.enable_chunked_encoding()
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    async def open(self) -> web.StreamResponse:
        """Sends the headers now, not together with the first chunk."""
        writer = await self._response.prepare(self._request)
        assert writer is not None and self._request.transport is not None
        self._writer = writer
        self._transport = self._request.transport
        writer.send_headers()
        return self._response

    def chunk(self, data: bytes) -> None:
        self._pending.append(b"%x\r\n%b\r\n" % (len(data), data))
        self._pending_bytes += len(data)

    @property
    def is_full(self) -> bool:
        return self._pending_bytes >= _ONE_WRITE_BYTES

    async def flush(self) -> None:
        """Hands the collected chunks to the socket; waits while the client reads too slowly."""
        if self._transport.is_closing():
            raise ConnectionResetError("The client is gone.")
        if self._pending:
            self._transport.write(b"".join(self._pending))
            self._pending.clear()
            self._pending_bytes = 0
            if self._transport.get_write_buffer_size() > _ONE_WRITE_BYTES:
                await self._writer.drain()

    async def until(self, moment: float) -> None:
        """Flushes, then sleeps to a moment of the loop's clock; moments on a fixed schedule don't drift."""
        await self.flush()
        delay = moment - self._loop.time()
        if delay > 0:
            await asyncio.sleep(delay)

    async def bytewise(self, data: bytes, seconds: float) -> None:
        for number in range(len(data)):
            self.chunk(data[number : number + 1])
            await self.flush()
            await asyncio.sleep(seconds)

    async def split(self, data: bytes) -> None:
        """Sends one frame in parts, the cut inside a character of several bytes if there is one."""
        inside = next((place for place, byte in enumerate(data) if byte & 0xC0 == 0x80), len(data) // 2)
        for part in (data[: inside // 2], data[inside // 2 : inside], data[inside:]):
            if part:
                self.chunk(part)
                await self.flush()
                await asyncio.sleep(0.001)  # otherwise the kernel may join the parts again

    async def cut(self) -> None:
        """Closes the connection without the chunk that would end the body."""
        await self.flush()
        self._transport.close()

    async def reset(self) -> None:
        await self.flush()
        await asyncio.sleep(0.05)  # the client should have read what came before
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
