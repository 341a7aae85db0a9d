"""A request's body has an end: Daphne alone would write whatever comes to the disk and then take all of it into memory.

What is longer than the application could want is not kept. The client is read to its end, as far as that is reasonable,
because one that is cut off while it sends never reads the answer.
"""

from __future__ import annotations

from typing import Any

import daphne.http_protocol
from daphne.http_protocol import WebRequest

from assistant import conf

MORE_THAN_THE_FILE_BYTES = 1024 * 1024  # the rest of a form, and any body that is not an upload
READ_ANYHOW_BYTES = 64 * 1024 * 1024
ANSWER = b'{"code": "too_big", "detail": "The request is too big."}'


def limit_bytes() -> int:
    return int(conf.settings.attachment_max_mb * 1024 * 1024) + MORE_THAN_THE_FILE_BYTES


class BoundedRequest(WebRequest):
    _received = 0
    _is_too_long = False

    def gotLength(self, length: int | None) -> None:
        self._is_too_long = length is not None and length > limit_bytes()
        super().gotLength(0 if self._is_too_long else length)

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > limit_bytes():
            self._is_too_long = True
            self.content.seek(0)
            self.content.truncate()
        if not self._is_too_long:
            super().handleContentChunk(data)
        elif self._received > limit_bytes() + READ_ANYHOW_BYTES:
            self.channel.forceAbortClient()

    def process(self) -> Any:
        if not self._is_too_long:
            return super().process()
        self.setResponseCode(413)
        self.setHeader(b"Content-Type", b"application/json")
        self.setHeader(b"Connection", b"close")
        self.write(ANSWER)
        return self.finish()


def install() -> None:
    """Has Daphne use it for every request of this process."""
    daphne.http_protocol.WebRequest = BoundedRequest
