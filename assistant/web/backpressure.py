"""A viewer who can't keep up is not sent more and more: Daphne alone would keep every frame in memory until it is read.

When the connection's own buffer is full, frames for this viewer are dropped; once it has drained the application hears a
`sync`, as if the viewer had asked, and answers with one fresh snapshot. So a viewer costs at most a buffer and a snapshot.

Nor may one client keep the application busy: Daphne would queue what it sends without a bound. Who sends more than
`MOST_FRAMES_A_SECOND` is closed with 4429, before the application has heard of the rest. And what the application closes a
socket with is what the client is told.
"""

from __future__ import annotations

import logging
import struct
import time
from collections import deque
from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

logger = logging.getLogger(__name__)

BUFFER_BYTES = 512 * 1024
LONGEST_INCOMING_BYTES = 64 * 1024
MOST_FRAMES_A_SECOND = 30  # the page sends one in a few seconds
TOO_MANY_FRAMES = 4429
TEXT = 0x81  # a frame that is the last of its message, and text


@implementer(IPushProducer)
class BoundedSocket(WebSocketProtocol):
    """Daphne's protocol, which Twisted tells when its write buffer is full (pause) and empty again (resume)."""

    is_congested = False
    dropped = 0

    def onOpen(self) -> None:
        super().onOpen()
        self.arrivals: deque[float] = deque(maxlen=MOST_FRAMES_A_SECOND)
        self.maxMessagePayloadSize = self.maxFramePayloadSize = LONGEST_INCOMING_BYTES
        self.transport.bufferSize = BUFFER_BYTES
        self.transport.unregisterProducer()  # the HTTP channel that this connection was
        self.transport.registerProducer(self, True)

    def pauseProducing(self) -> None:
        self.is_congested = True

    def resumeProducing(self) -> None:
        self.is_congested = False
        if self.dropped:
            logger.info(
                "A viewer at %s fell behind by %d frames and is sent a snapshot.", self.client_addr, self.dropped
            )
            self.dropped = 0
            self.application_queue.put_nowait({"type": "websocket.receive", "text": '{"type": "sync"}'})

    def stopProducing(self) -> None:
        pass

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self._may_be_heard():
            super().onMessage(payload, isBinary)

    def onPing(self, payload: bytes) -> None:
        """The protocol's own pings too: each is answered, and who reads nothing would have the answers pile up."""
        if self._may_be_heard() and not self.is_congested:
            super().onPing(payload)

    def _may_be_heard(self) -> bool:
        if self.state != self.STATE_OPEN:
            return False  # it is being closed, and sends on
        now = time.monotonic()
        if len(self.arrivals) == MOST_FRAMES_A_SECOND and now - self.arrivals[0] < 1.0:
            logger.warning("A client at %s sent too many frames and was sent away.", self.client_addr)
            self.sendClose(code=TOO_MANY_FRAMES, reason="Too many frames.")
            return False
        self.arrivals.append(now)
        return True

    def serverClose(self, code: int | None = None) -> None:
        """With the code as it is. Autobahn's own `sendClose` raises at 1013, try again later, which is registered."""
        self.sendCloseFrame(code=1000 if code is None else code)

    def serverSend(self, content: Any, binary: bool = False) -> None:
        if self.state != self.STATE_OPEN:
            return  # the viewer has left, and the application has not heard of it yet
        if self.is_congested:
            self.dropped += 1
            return
        if not binary and not self.websocket_extensions_in_use:
            self.transport.write(_framed(content))
            return
        # Autobahn holds what is sent to the same limit as what is received; a snapshot may well be longer.
        self.maxMessagePayloadSize = self.maxFramePayloadSize = 0
        try:
            super().serverSend(content, binary)
        finally:
            self.maxMessagePayloadSize = self.maxFramePayloadSize = LONGEST_INCOMING_BYTES


_last: tuple[str | None, bytes] = (None, b"")


def _framed(text: str) -> bytes:
    """A text as a server's WebSocket frame, whole and unmasked (RFC 6455, 5.2): made once for all who are sent it."""
    global _last
    if _last[0] is not text:
        payload = text.encode()
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", TEXT, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", TEXT, 126, size)
        else:
            head = struct.pack("!BBQ", TEXT, 127, size)
        _last = text, head + payload
    return _last[1]


def install() -> None:
    """Has Daphne use it for every WebSocket of this process."""
    WebSocketFactory.protocol = BoundedSocket
