"""The web server's threads: kept from request to request, with their database connections.

Django gives each request a thread of its own under ASGI, made for it and ended with it. On SQLite a new thread means a new
connection, which takes longer than most of our requests do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext

KEPT = 16

Application = Callable[[Any, Any, Any], Awaitable[None]]


class KeptThreads:
    """An ASGI application around Django's: each request has a thread to itself, as before, but one that was there already.

    There is no bound on the number at once: a slow upload must not keep others out. At most `KEPT` idle ones stay.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._idle: list[ThreadPoolExecutor] = []  # the one used last is used next: its connection is warm

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, thread_name_prefix="request")
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self._application(scope, receive, send)
        finally:
            # Whoever hung up may have left a view at work: the thread is idle only when it comes to this.
            thread.submit(self._keep, thread)

    def _keep(self, thread: ThreadPoolExecutor) -> None:
        if len(self._idle) < KEPT:
            self._idle.append(thread)
        else:
            thread.shutdown(wait=False)
