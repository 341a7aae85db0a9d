"""All of a request runs in one thread, that of its view, and what Django's own handler takes this one takes too."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.handlers import asgi
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from assistant.web import one_thread

threads: list[str] = []


def note(get_response):
    def middleware(request):
        threads.append(threading.current_thread().name)
        return get_response(request)

    return middleware


def view(request):
    threads.append(threading.current_thread().name)
    return HttpResponse("plain")


async def coroutine(request):
    await asyncio.sleep(0)
    return HttpResponse("awaited")


async def stream(request):
    async def parts():
        yield b"str"
        await asyncio.sleep(0)
        yield b"eamed"

    return StreamingHttpResponse(parts())


def wrong(request):
    raise ValueError("wrong")


def handler500(request):
    return HttpResponse("failed", status=500)


urlpatterns = [path("plain", view), path("coroutine", coroutine), path("stream", stream), path("wrong", wrong)]


async def body_of(application, where):
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": where,
        "query_string": b"",
        "headers": [],
    }
    talk = ApplicationCommunicator(application, scope)
    await talk.send_input({"type": "http.request", "body": b""})
    start = await talk.receive_output(60)
    body = b""
    while True:
        part = await talk.receive_output(60)
        body += part.get("body", b"")
        if not part.get("more_body"):
            await talk.wait(60)
            return start["status"], body


@pytest.mark.parametrize(
    ("where", "status", "body"),
    [
        ("/plain", 200, b"plain"),
        ("/coroutine", 200, b"awaited"),
        ("/stream", 200, b"streamed"),
        ("/wrong", 500, b"failed"),
    ],
)
@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[f"{__name__}.note"] * 2, DEBUG=False)
def test_every_kind_of_view_is_answered_as_by_djangos_own(where, status, body):
    async def scenario():
        for make in (one_thread.OneThreadHandler, asgi.ASGIHandler):
            got = await body_of(make(), where)
            assert got == (status, body)

    asyncio.run(scenario())


@override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[f"{__name__}.note"] * 2)
def test_middlewares_and_view_share_a_thread_that_is_changed_to_once(monkeypatch):
    changes = []
    real = one_thread.sync_to_async
    for module in (one_thread, asgi):
        monkeypatch.setattr(module, "sync_to_async", lambda f, **kw: changes.append(f) or real(f, **kw))
    monkeypatch.setattr("django.core.handlers.base.sync_to_async", lambda f, **kw: changes.append(f) or real(f, **kw))
    application = one_thread.OneThreadHandler()
    changes.clear()
    threads.clear()
    asyncio.run(body_of(application, "/plain"))
    assert len(threads) == 3 and len(set(threads)) == 1
    assert [change.__name__ for change in changes] == ["get_response", "close"]
