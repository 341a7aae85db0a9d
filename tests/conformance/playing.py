"""Raw answers of HTTP as data, and a TCP server that plays them byte for byte."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Headers = tuple[tuple[str, str], ...]
# How the body ends: by closing the connection, by its Content-Length, by a last chunk; or not well: closed before its
# Content-Length, closed before the last chunk, reset.
End = Literal["close", "length", "chunked", "short", "unchunked", "reset"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sends to one request."""

    body: bytes = b""
    status: int = 200
    kind: str = "text/event-stream"  # the Content-Type; "": none
    headers: Headers = ()
    cut: int = 0  # bytes in one TCP write; 0: all at once
    end: End = "close"

    def pieces(self) -> list[bytes]:
        size = self.cut or len(self.body) or 1
        return [self.body[start : start + size] for start in range(0, len(self.body), size)]

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Whatever", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.kind:
            lines.append(f"Content-Type: {self.kind}")
        if self.end in ("chunked", "unchunked"):
            lines.append("Transfer-Encoding: chunked")
        elif self.end != "close":
            lines.append(f"Content-Length: {len(self.body) + (self.end in ('short', 'reset'))}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, as it came."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]


@dataclass(slots=True)
class Player:
    """Answers the requests of one case: the first with its first answer, ..., later ones with its last."""

    url: str = ""
    answers: tuple[Answer, ...] = ()
    requests: list[Sent] = field(default_factory=list)

    def load(self, *answers: Answer) -> None:
        self.answers, self.requests = answers, []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await _read(reader))
            answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
            await self._write(writer, answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client is gone
        finally:
            writer.close()

    async def _write(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elsewhere = self.url.replace("127.0.0.1", "localhost")
        writer.write(answer.head().replace(b"{url}", self.url.encode()).replace(b"{elsewhere}", elsewhere.encode()))
        is_chunked = answer.end in ("chunked", "unchunked")
        for piece in answer.pieces():
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            await writer.drain()
            await asyncio.sleep(0)  # the client is on this loop, and reads it by itself
        if answer.end == "chunked":
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if answer.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await asyncio.sleep(0.02)  # what was sent is to arrive before


async def _read(reader: asyncio.StreamReader) -> Sent:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Sent(head[0].split(" ")[1], headers, json.loads(body) if body else {})


@asynccontextmanager
async def playing() -> AsyncIterator[Player]:
    player = Player()
    async with await asyncio.start_server(player.serve, "127.0.0.1", 0) as server:
        player.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield player
