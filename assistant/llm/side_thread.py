"""A place beside the worker's loop for streams that may stand still: a thread with its own loop, one for each provider.

litellm signs in, looks up and imports wherever it happens to need it, with whatever library a provider has (google.auth,
boto3, ...), and waits there. Here that is its own trouble: other providers' answers, heartbeats and Stop go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TypeVar

from assistant import conf
from assistant.llm.question import Question
from assistant.llm.reader import Raw

T = TypeVar("T")

ENDING_SECONDS = 2.0  # with a stream that is told to end; it goes on ending by itself
THREADS = 2
ANSWER_SECONDS = 5.0  # for a place to say that its loop still turns
MOST_WAITING = 1_000  # pieces; then it waits for the reader


_threads: dict[str, ThreadPoolExecutor] = {}
_places: dict[str, asyncio.AbstractEventLoop] = {}
_lock = threading.Lock()


async def streamed(provider: str, source: Callable[[], AsyncGenerator[Raw, None]]) -> AsyncGenerator[Raw, None]:
    """The pieces of `source()`, which is read in `provider`'s place. Raises what it raises.

    Silence is for the source to count. Where it can't, because something blocks the place, TimeoutError is raised, at the
    earliest after ASSISTANT_TIMEOUT without a piece. Closing the iterator, or cancelling the task that reads it, closes the
    source at once, and waits a moment for it.
    """
    reading = _Reading(_place(provider), source)
    try:
        while (piece := await reading.next()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece
    finally:
        await reading.stop()


async def called(provider: str, work: Callable[[Question], T], question: Question) -> T:
    """`work(question)` in a thread of `provider`'s, which may sign in there, or take long."""
    with _lock:
        if provider not in _threads:
            _threads[provider] = ThreadPoolExecutor(THREADS, thread_name_prefix=f"aside {provider}")
    return await asyncio.get_running_loop().run_in_executor(_threads[provider], work, question)


class _Reading:
    """One stream in another thread's loop, as seen from the running one."""

    def __init__(self, place: asyncio.AbstractEventLoop, source: Callable[[], AsyncGenerator[Raw, None]]) -> None:
        self._coming: asyncio.Queue[Raw | Exception | None] = asyncio.Queue()
        self._home, self._place, self._source = asyncio.get_running_loop(), place, source
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None  # the place's
        place.call_soon_threadsafe(self._begin)

    async def next(self) -> Raw | Exception | None:
        """The next piece, or how the stream has ended; None: well. Raises TimeoutError where its place is blocked."""
        while True:
            try:
                async with asyncio.timeout(conf.settings.timeout):
                    return await self._coming.get()
            except TimeoutError:  # a long call of a tool is one piece: bytes may well have come
                if not await self._is_turning() and self._coming.empty():
                    raise TimeoutError(
                        "Something blocks the thread in which this provider's answers are read."
                    ) from None

    async def _is_turning(self) -> bool:
        turns = asyncio.Event()
        self._place.call_soon_threadsafe(self._tell, turns.set)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(turns.wait(), ANSWER_SECONDS)
        return turns.is_set()

    async def stop(self) -> None:
        if self._ended.is_set():
            return
        self._place.call_soon_threadsafe(self._cancel)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), ENDING_SECONDS)

    # What follows runs in the place's thread.

    def _begin(self) -> None:
        self._task = self._place.create_task(self._read())
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _read(self) -> None:
        async with aclosing(self._source()) as pieces:
            async for piece in pieces:
                self._tell(self._coming.put_nowait, piece)
                while self._coming.qsize() > MOST_WAITING:
                    await asyncio.sleep(0.01)

    def _end(self, task: asyncio.Task[None]) -> None:
        last = asyncio.CancelledError() if task.cancelled() else task.exception()
        if last is not None and not isinstance(last, Exception):  # the reader would take it for its own end
            last = RuntimeError(f"The stream was broken off over there: {last!r}")
        self._tell(self._coming.put_nowait, last)
        self._tell(self._ended.set)

    def _tell(self, what: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the reader's loop is closed: nobody is interested
            self._home.call_soon_threadsafe(what, *args)


def _place(provider: str) -> asyncio.AbstractEventLoop:
    with _lock:
        if provider not in _places:
            loop = _places[provider] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name=f"litellm {provider}", daemon=True).start()
        return _places[provider]
