"""A session as a file: Markdown to read, JSON with everything, in pages and under a name that every system takes."""

import asyncio
import json
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient

from assistant.lifecycle import asking, resending
from assistant.models import ApiToken, ChatSession, Message
from assistant.models.message import MessageRole, Status
from assistant.presentation import export
from tests.acting import answer_of, ask, claimed, fail, finish
from tests.calling import Caller, problem
from tests.files import uploaded

pytestmark = pytest.mark.django_db(transaction=True)


def body(response):
    return b"".join(response.streaming_content).decode()


def exported(user, session, format="md"):
    return body(Caller(user)("get", f"/sessions/{session.pk}/export?format={format}"))


def test_markdown_has_who_said_what_and_when(session, alice, bob, worker):
    finish(claimed(answer_of(ask(session, alice, "What is a *lease*?")), worker), "It **ends**.")
    fail(claimed(answer_of(ask(session, bob, "And then?")), worker), "Half an ans")
    text = exported(alice, session)
    assert text.startswith("# A room\n\nalice, bob, vera · exported 20")
    for part in ("## alice · 20", "What is a *lease*?", "## Test · test/model · 20", "It **ends**.", "## bob · 20",
                 "Half an ans\n\n*The model's provider had a problem.*"):  # fmt: skip
        assert part in text
    assert text.index("It **ends**.") < text.index("And then?")


def test_markdown_has_the_versions_that_the_conversation_goes_on_with(session, alice, worker):
    old = ask(session, alice, "a tpyo")
    finish(claimed(old.reply, worker), "old answer")
    sent = resending.resend(old.message, alice, "a typo", uuid.uuid4().hex)
    finish(claimed(sent.reply, worker), "first version")
    finish(claimed(asking.retry(sent.reply), worker), "second version")
    fail(claimed(asking.retry(sent.reply), worker), "")
    text = exported(alice, session)
    assert "second version" in text and "a typo" in text
    assert not any(part in text for part in ("tpyo", "old answer", "first version"))


def test_json_has_everything(session, alice, worker):
    old = ask(session, alice, "a tpyo")
    finish(claimed(old.reply, worker), "old answer")
    sent = resending.resend(old.message, alice, "a typo", uuid.uuid4().hex)
    withdrawn = ask(session, alice, "never mind").message
    asking.withdraw(withdrawn)
    finish(claimed(sent.reply, worker), "first version")
    finish(claimed(asking.retry(sent.reply), worker), "second version")
    data = json.loads(exported(alice, session, "json"))
    assert (data["format"], data["session"]["title"]) == ("parley-session", "A room")
    assert [person["name"] for person in data["participants"]] == ["alice", "bob", "vera"]
    stored = session.messages.in_order()
    assert [m["id"] for m in data["messages"]] == [str(m.pk) for m in stored]
    assert [m["content"] for m in data["messages"]] == [m.content for m in stored]
    assert data["messages"][0]["superseded_by"] == str(sent.message.pk) and "html" not in data["messages"][0]


def test_files_are_named(session, alice):
    attachment = uploaded(alice, session=session)
    asking.send(session, alice, "Read this", uuid.uuid4().hex, attachments=[attachment.pk])
    assert f"*File: {attachment.name}*" in exported(alice, session)


def test_an_empty_session_is_a_file_too(session, alice):
    assert exported(alice, session).startswith("# A room")
    assert json.loads(exported(alice, session, "json"))["messages"] == []


@pytest.mark.parametrize("format", ["md", "json"])
def test_a_long_session_is_read_in_pages_with_few_queries(session, alice, format, django_assert_max_num_queries):
    questions = [
        Message(session=session, role=MessageRole.USER, author=alice, content=f"number {i}", status=Status.SUCCESS,
                position=2 * i) for i in range(1, 1001)
    ]  # fmt: skip
    answers = [
        Message(session=session, role=MessageRole.ASSISTANT, content="Fine.", status=Status.SUCCESS, reply_to=question,
                position=question.position + 1) for question in questions
    ]  # fmt: skip
    Message.objects.bulk_create(questions + answers, batch_size=500)
    with django_assert_max_num_queries(80):
        text = b"".join(getattr(export, {"md": "as_markdown", "json": "as_json"}[format])(session)).decode()
    assert all(f"number {i}" in text for i in (1, 100, 101, 500, 1000)) and text.count("number ") == 1000


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd", "etc-passwd.md"),
        ('a"b\r\nX: y', "a-b-X-y.md"),
        ("Ärger: mit/dem Lease?", "Ärger-mit-dem-Lease.md"),
        ("🔥", "session.md"),
        ("CON", "CON.md"),
        ("x" * 200, f"{'x' * 80}.md"),
    ],
)
def test_the_name_is_safe(session, alice, title, name):
    ChatSession.objects.filter(pk=session.pk).update(title=title)
    session.refresh_from_db()
    assert export.file_name(session, "md") == name
    response = Caller(alice)("get", f"/sessions/{session.pk}/export")
    assert (
        response["Content-Disposition"].startswith("attachment; filename")
        and "\n" not in response["Content-Disposition"]
    )
    assert response["Content-Type"] == "text/markdown; charset=utf-8"


def test_another_format_is_refused(session, alice):
    problem(Caller(alice)("get", f"/sessions/{session.pk}/export?format=pdf"), 422, "invalid")


def test_the_web_server_sends_it_piece_by_piece(session, alice, worker):
    """Under ASGI: an asynchronous response, made in threads."""
    finish(claimed(answer_of(ask(session, alice)), worker), "It ends.")
    token = ApiToken.issue(alice)

    async def scenario():
        response = await AsyncClient().get(
            f"/api/sessions/{session.pk}/export", headers={"Authorization": f"Bearer {token}"}
        )
        assert response.is_async
        whole = b"".join([chunk async for chunk in response.streaming_content])
        await sync_to_async(connections.close_all)()
        return whole

    assert b"It ends." in asyncio.run(scenario())
