"""The web server's requests run on threads that stay, each alone on its own."""

import asyncio
import threading
import time

from asgiref.sync import sync_to_async

from assistant.web import threads
from assistant.web.threads import KeptThreads


def application(view):
    """An ASGI application whose work is done by `view(scope)` in a thread, as Django does it."""

    async def serve(scope, receive, send):
        await send(await sync_to_async(view)(scope))

    return KeptThreads(serve)


async def served(app, scope=None):
    said = []

    async def send(message):
        said.append(message)

    await app(scope, None, send)
    return said[0]


def test_one_request_after_the_other_has_the_same_thread(loop):
    app = application(lambda scope: threading.get_ident())

    async def scenario():
        idents = []
        for _ in range(3):
            idents.append(await served(app))
            while not app._idle:
                await asyncio.sleep(0.001)
        return idents

    assert len(set(loop.run(scenario()))) == 1


def test_requests_at_once_have_a_thread_each(loop):
    """However many there are: one that takes long keeps nobody out."""
    together = threading.Barrier(threads.KEPT + 5)

    def view(scope):
        together.wait(20)
        return threading.get_ident()

    app = application(view)

    async def scenario():
        return await asyncio.gather(*(served(app) for _ in range(threads.KEPT + 5)))

    assert len(set(loop.run(scenario()))) == threads.KEPT + 5
    until = time.monotonic() + 20
    while len(app._idle) != threads.KEPT:
        assert time.monotonic() < until, "the idle ones beyond the kept were not ended"
        time.sleep(0.01)


def test_a_thread_that_is_still_at_work_is_not_given_to_the_next_request(loop):
    """Whoever hangs up leaves the view at its work."""
    begun, go_on = threading.Event(), threading.Event()
    at_work = []

    def view(scope):
        if scope == "slow":
            at_work.append(threading.get_ident())
            begun.set()
            go_on.wait()  # however long the next one takes
        return threading.get_ident()

    app = application(view)

    async def scenario():
        hung_up = asyncio.create_task(served(app, "slow"))
        assert await asyncio.to_thread(begun.wait, 20)
        hung_up.cancel()
        try:
            return await asyncio.wait_for(served(app, "next"), 20)
        finally:
            go_on.set()
            await asyncio.gather(hung_up, return_exceptions=True)

    of_next = loop.run(scenario())
    assert len(at_work) == 1 and of_next not in at_work
