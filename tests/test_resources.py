"""What MCP servers have to read, attached to messages: a web process asks a worker for it, which has the connection."""

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections as databases

from assistant.database import Database
from assistant.delivery import mailbox, valkey
from assistant.models import Attachment, ChatSession
from assistant.models.attachment import storage
from assistant.worker import errands
from assistant.worker.errands import Errands
from tests.calling import Caller, problem
from tests.test_mcp import connected, in_a_file, patiently  # noqa: F401  (the servers)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture
def room(session, in_a_file, patiently):  # noqa: F811
    command = {"command": sys.executable, "args": ["-m", "tests.mcp_server"], "title": "Depot"}
    in_a_file(depot=command, dead={"command": "/no/such/program", "title": "Dead"}, other=command)
    session.services = ["clock", "depot", "dead"]
    session.save()
    return session


@pytest.fixture
def told(monkeypatch):
    """What workers were told to do: (mailbox, event)."""
    events = []
    monkeypatch.setattr(mailbox, "put", lambda worker, event: events.append((worker, event)))
    return events


@pytest.fixture
def request_of(room, worker, loop, told):
    """`request_of(user)(method, path, body)`: a request, while a worker listens."""

    def by(user):
        def happen(method, path, body=None):
            def ask():
                try:
                    return Caller(user)(method, f"/sessions/{room.pk}{path}", body)
                finally:
                    databases.close_all()

            async def scenario():
                database, client = Database("test"), valkey.async_client()
                running = Errands(database, client)
                asked = asyncio.get_running_loop().run_in_executor(threads, ask)
                while not asked.done():
                    await asyncio.sleep(0.01)
                    while told:
                        box, event = told.pop()
                        assert box == worker.mailbox
                        running.start(json.loads(json.dumps(event)))
                await running.close()
                database.close(wait=True)
                await client.aclose()
                return await asked

            with ThreadPoolExecutor(1) as threads:
                return loop.run(scenario())

        return happen

    return by


def test_resources_of_the_session_s_servers_are_listed(request_of, alice):
    found = request_of(alice)("get", "/resources").json()
    assert [(one["server"], one["uri"], one["name"]) for one in found["resources"]] == [
        ("depot", "depot://list", "The list"),
        ("depot", "depot://yard.png", "yard"),
        ("depot", "depot://broken", "broken"),
    ]
    assert found["resources"][0]["description"] == "What there is."
    assert found["missing"] == [{"title": "Dead", "why": "away"}]


def test_one_is_attached_as_if_it_had_been_uploaded(request_of, alice, room):
    made = request_of(alice)("post", "/resources", {"server": "depot", "uri": "depot://list"})
    assert made.status_code == 201 and (made.json()["name"], made.json()["type"]) == ("The list", "text/plain")
    attachment = Attachment.objects.get()
    assert (attachment.uploader, attachment.session, attachment.message) == (alice, room, None)
    with storage().open(attachment.file.key) as stored:
        assert stored.read() == b"Two crates."
    image = request_of(alice)("post", "/resources", {"server": "depot", "uri": "depot://yard.png"}).json()
    assert (image["type"], image["width"]) == ("image/png", 40), "it is what its content says"


def test_what_can_not_be_attached_says_why_and_leaves_nothing(request_of, alice, settings):
    attach = lambda **chosen: request_of(alice)("post", "/resources", {"server": "depot"} | chosen)  # noqa: E731
    problem(attach(uri="depot://other"), 422, "no_such_resource")
    problem(attach(uri="file:///etc/passwd"), 422, "no_such_resource")
    assert "could not read this" in problem(attach(uri="depot://broken"), 422, "no_such_resource")
    problem(attach(server="other", uri="depot://list"), 404, "not_found")  # it is not switched on here
    problem(attach(server="dead", uri="depot://list"), 422, "no_such_resource")
    settings.ASSISTANT_ATTACHMENT_TYPES = ["image/png"]
    problem(attach(uri="depot://list"), 422, "wrong_type")
    assert not Attachment.objects.exists()


def test_without_a_worker_it_says_so(room, alice, told, monkeypatch, worker):
    monkeypatch.setattr(errands, "WAITING_SECONDS", 0.1)
    problem(Caller(alice)("get", f"/sessions/{room.pk}/resources"), 503, "busy")
    assert len(told) == 1
    worker.delete()
    problem(Caller(alice)("get", f"/sessions/{room.pk}/resources"), 503, "busy")
    assert len(told) == 1, "there is nobody to be told"


def test_without_servers_no_worker_is_asked(room, alice, told):
    ChatSession.objects.update(services=["clock"])
    found = Caller(alice)("get", f"/sessions/{room.pk}/resources").json()
    assert found == {"resources": [], "missing": []} and not told


def test_what_nobody_fetches_expires(loop, worker, room):
    async def scenario():
        database, client = Database("test"), valkey.async_client()
        running = Errands(database, client)
        key = f"{valkey.PREFIX}:errand:forgotten"
        running.start(
            {"kind": "attach", "key": key, "what": {"session": str(room.pk), "user": 0, "server": "x", "uri": "y"}}
        )
        await asyncio.gather(*running._running)
        left = await client.ttl(key)
        database.close(wait=True)
        await client.aclose()
        return left

    assert 0 < loop.run(scenario()) <= errands.KEPT_SECONDS


def test_attaching_is_bounded_before_a_server_is_asked(room, alice, told, monkeypatch, worker, settings):
    monkeypatch.setattr(errands, "WAITING_SECONDS", 0.1)
    settings.ASSISTANT_UPLOAD_RATE = 1
    chosen = {"server": "depot", "uri": "depot://list"}
    problem(Caller(alice)("post", f"/sessions/{room.pk}/resources", chosen), 503, "busy")
    problem(Caller(alice)("post", f"/sessions/{room.pk}/resources", chosen), 429, "too_fast")
    assert len(told) == 1
