"""What Ada opens and calls, and what the company's operator does; each once, or a few times to be measured."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from assistant.admin.large import MOST
from assistant.models import ChatSession, Message, WorkerProcess
from assistant.models.message import Claim, MessageRole, Status
from assistant.presentation import export
from assistant.prompt import context
from bench.company.filling import Words

Call = Callable[[], Any]


def is_filled() -> bool:
    return Message.objects.exists()


def measured(call: Call, times: int) -> list[str]:
    """The median and the longest of `times`, in milliseconds, and the statements of one more."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    with CaptureQueriesContext(connection) as found:
        call()
    return [f"{statistics.median(taken):,.0f}", f"{max(taken):,.0f}", str(len(found))]


def calls() -> Iterator[tuple[str, Call]]:
    ada = get_user_model()._default_manager.get(username="ada")
    with transaction.atomic():
        client = Client(SERVER_NAME="localhost")
        client.force_login(ada)
        largest = ChatSession.objects.order_by("-said")[0]
        yield from _sessions(client)
        yield from _search(client)
        yield from _largest(client, largest)
        yield from _operator(client, largest)
        transaction.set_rollback(True)


def _get(client: Client, path: str) -> Call:
    def call() -> Any:
        response = client.get(path)
        assert response.status_code == 200, (path, response.status_code)
        return response

    return call


def _sessions(client: Client) -> Iterator[tuple[str, Call]]:
    yield "the welcome, with the sidebar", _get(client, "/new/")
    yield "list of sessions", _get(client, "/api/sessions")
    before = None
    for _ in range(20):
        found = client.get("/api/sessions?limit=100" + (f"&before={before}" if before else "")).json()["sessions"]
        before = found[-1]["id"] if found else before
    yield "list of sessions, 2,000 further down", _get(client, f"/api/sessions?before={before}")
    yield "list of archived sessions", _get(client, "/api/sessions?archived=true")


def _search(client: Client) -> Iterator[tuple[str, Call]]:
    for name, words in {
        "a rare word": Words.RARE,
        "a common word": Words.COMMON + " ",
        "a beginning": Words.PREFIX,
        "a common and a rare word": f"{Words.COMMON} {Words.RARE} ",
        "a word that is nowhere": Words.NOWHERE,
        "a word that only others said": Words.OTHERS + " ",
    }.items():
        yield f"search: {name}", _get(client, f"/api/search?q={words}")
    found = client.get(f"/api/search?q={Words.COMMON} &limit=100").json()["messages"]
    yield (
        "search: a common word, 100 further down",
        _get(client, f"/api/search?q={Words.COMMON} &before={found[-1]['id']}"),
    )


def _largest(client: Client, session: ChatSession) -> Iterator[tuple[str, Call]]:
    path = f"/api/sessions/{session.pk}"
    yield "the largest session: its page", _get(client, f"/s/{session.pk}/")
    yield "the largest session: newest messages", _get(client, f"{path}/messages")
    middle = session.messages.filter(position__gte=session.last_position // 2).in_order()[0]
    yield "the largest session: around one in its middle", _get(client, f"{path}/messages?around={middle.pk}")
    yield "the largest session: prompt", _prompt(session)
    yield "the largest session: first piece of its export", lambda: _first_of_export(session)
    yield "the largest session: its whole export", lambda: sum(map(len, export.as_json(session)))


def _prompt(session: ChatSession) -> Call:
    author = get_user_model()._default_manager.get(username="ada")
    end = session.last_position + 10
    asked = Message.objects.create(
        session=session, role=MessageRole.USER, status=Status.SUCCESS, position=end, author=author,
        content="And now?", client_id=uuid.uuid4().hex,
    )  # fmt: skip
    worker = WorkerProcess.objects.create(host="here", pid=1, boot_id="boot", concurrency=1)
    answer = Message.objects.create(
        session=session, role=MessageRole.ASSISTANT, status=Status.PROCESSING, position=end + 1, reply_to=asked,
        model="test/model", worker=worker, attempt=1, charged_to=author,
    )  # fmt: skip
    claim = Claim(answer.pk, session.pk, worker.pk, 1)
    return lambda: context.prompt_for(claim)


def _first_of_export(session: ChatSession) -> None:
    pieces = export.as_markdown(session)
    for _ in range(20):
        next(pieces)
    del pieces


def _operator(client: Client, session: ChatSession) -> Iterator[tuple[str, Call]]:
    messages = "/admin/assistant/message/"
    one = session.messages.in_order()[0].pk
    yield "metrics", _get(client, "/metrics")
    yield "admin: messages", _get(client, messages)
    last = min(MOST, Message.objects.count()) // 100
    yield "admin: messages, the last page", _get(client, f"{messages}?p={last}")
    yield "admin: messages by a word", _get(client, f"{messages}?q={Words.RARE}")
    yield "admin: messages by an id", _get(client, f"{messages}?q={one}")
    yield "admin: sessions", _get(client, "/admin/assistant/chatsession/")
    yield "admin: participants", _get(client, "/admin/assistant/participant/")
    yield "admin: usage", _get(client, "/admin/assistant/usagerecord/")
    yield "admin: plots of 90 days", _get(client, "/admin/assistant/usagerecord/plots/?days=90")
