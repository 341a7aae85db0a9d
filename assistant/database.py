"""The database as an event loop sees it: a few threads with connections of their own, and patience."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections, connection

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_PAUSE_SECONDS = 2.0


class Database:
    """Runs synchronous database work off the loop.

    SQLite has one writer: more threads would only wait for each other, with sleeps in between.
    """

    def __init__(self, name: str, threads: int | None = None) -> None:
        wanted = threads or (1 if connection.vendor == "sqlite" else 4)
        self._threads = ThreadPoolExecutor(wanted, thread_name_prefix=name)

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(...)` in a thread; while the database is away it is tried again, for as long as it takes.

        `work` must bear being done twice: a connection may break after the commit and before the answer.
        """
        pause = 0.05
        while True:
            try:
                return await self.call_once(work, *args, **kwargs)
            except (OperationalError, InterfaceError) as error:
                logger.warning(
                    "The database is away (%s); %s waits %.2f s.", str(error).strip(), work.__name__, pause
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def call_once(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `call`, but raises the database's errors."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _run, work, args, kwargs)

    def close(self, *, wait: bool = False) -> None:
        """Takes no more work. With `wait` what is being done has been done, and the threads' connections are closed."""
        self._threads.shutdown(wait=wait, cancel_futures=True)


def _run(work: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    close_old_connections()
    try:
        return work(*args, **kwargs)
    finally:
        close_old_connections()
