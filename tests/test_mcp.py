"""MCP servers: real server processes over stdio and HTTP, whose tools are offered like our own."""

import asyncio
import contextvars
import json
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import mcp
import mcp.client.session
import pytest
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitRequestURLParams, ImageContent

from assistant.checks import configuration
from assistant.llm.library import library
from assistant.mcp import client, configured, connections, content, names
from assistant.mcp.eliciting import Callers
from assistant.models import McpProblem, McpServer
from assistant.presentation import wire
from assistant.toolbox import registry
from assistant.tools import Context, Offered, Result, ToolError
from assistant.tools.form import Filled
from tests.acting import answer_of, ask
from tests.calling import Caller
from tests.product import free_port
from tests.provider.valid import check_request
from tests.rounds import calls, run_to_the_end

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

ROOT = Path(__file__).parents[1]


def depot(**changes):
    """A server. One that is configured like this is started once for all tests; others need a name of their own."""
    command = (sys.executable, "-m", "tests.mcp_server")
    given = {"name": "depot", "title": "Depot", "command": command, "env": (("DEPOT_OWNER", "alice"),)} | changes
    return configured.Configured(**given)


@contextmanager
def serving(module="tests.mcp_server"):
    """The server over HTTP; yields its address and its process."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", module, str(port)], cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        process.kill()
        process.wait()


class Notes:
    """In the place of the database: what is noted for operators."""

    def __init__(self):
        self.noted = []

    async def call(self, work, *arguments):
        self.noted.append(arguments)


@pytest.fixture(scope="module")
def connected(loop):
    """Ends the servers that tests have begun, after the last of them."""
    yield

    async def close():
        await connections.close()
        await library().close_litellm_async_clients()  # else its sockets are found open later, in another test

    loop.run(close())


@pytest.fixture
def patiently(connected, monkeypatch):
    """Servers are started in the project's folder, and waited for."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(connections, "START_WAIT_SECONDS", 60)


@pytest.fixture
def noted():
    return Notes()


@pytest.fixture
def offered(loop, patiently, noted, monkeypatch):
    """`offered(*servers)`: their tools by name, and the titles and reasons of those that are missing."""

    def look(*servers, patience=60, **options):
        monkeypatch.setattr(connections, "START_WAIT_SECONDS", patience)
        found = loop.run(connections.offered(servers, noted, **options))
        return found[0], [(server.title, server.why) for server in found[1]]

    return look


@pytest.fixture
def talk(loop, offered):
    """`talk(server, tool, **arguments)`: one call over a connection that is kept open. `talk.said`: its status lines."""

    def call(server, tool, **arguments):
        tools, _ = offered(server)
        context = Context(uuid4(), uuid4(), uuid4(), None, {}, status=call.said.append)
        return loop.run(tools[f"{server.name}__{tool}"].run(context, arguments))

    call.said = []
    return call


def until(loop, condition):
    """Lets the loop go on until `condition()`."""

    async def wait():
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.01)

    loop.run(wait())


def test_a_command_s_tools_are_offered_and_called(talk):
    server = depot()
    assert talk(server, "add", a=2, b=3) == Result("5", "5")
    assert talk(server, "store", what="a crate").text == "Stored a crate for alice."
    with pytest.raises(ToolError, match="on fire"):
        talk(server, "fail")


def test_the_connection_is_kept_open(talk):
    server = depot()
    talk(server, "add", a=1, b=1)
    holder = connections._connections["depot"]._holder
    talk(server, "add", a=1, b=2)
    assert connections._connections["depot"]._holder is holder and not holder.done()


def test_an_address_s_tools_are_offered_and_called(talk):
    with serving() as (url, _):
        assert talk(depot(name="far", command=(), url=url), "add", a=20, b=3).text == "23"


def test_the_rule_of_approval(offered):
    def needing(rule):
        return [connections.needs_approval(rule, reads=reads) for reads in (False, True)]

    assert (needing("always"), needing("writes"), needing("never")) == ([True, True], [True, False], [False, False])
    tools, _ = offered(depot())
    assert all(tool.needs_approval for tool in tools.values()), "always is the rule unless told otherwise"
    assert tools["depot__add"].is_idempotent and not tools["depot__store"].is_idempotent
    assert tools["depot__add"].title == "Depot: Add up"


def test_a_server_that_dies_in_a_call_is_started_again_for_the_next(talk, monkeypatch):
    monkeypatch.setattr(connections, "REST_SECONDS", 0.0)
    mortal = depot(name="mortal")
    with pytest.raises(ToolError, match="not known whether"):
        talk(mortal, "die")
    assert talk(mortal, "add", a=1, b=1).text == "2"


@pytest.mark.parametrize(
    "server",
    [
        depot(name="dead1", command=("/no/such/program",)),
        depot(name="dead2", command=(), url="http://127.0.0.1:9/mcp"),
        depot(name="dead3", command=(sys.executable, "-c", "import sys; sys.exit('no\\x07 MCP')")),
    ],
)
def test_a_dead_server_offers_nothing_and_is_left_alone_for_a_while(offered, server, noted, caplog):
    assert offered(server) == offered(server) == ({}, [("Depot", "away")])
    assert caplog.text.count(f"{server.name} is away") == 1, "it was tried once"
    ((name, reason),) = noted.noted
    assert name == server.name and reason
    assert ("last words: no MCP" in reason) == ("-c" in server.command), "what it said last is told to operators"


def test_a_start_that_ends_with_a_group_of_cancellations_is_left_alone_too(offered, monkeypatch, noted):
    """Which anyio's task groups raise, and which is no Exception."""
    begun = []

    @asynccontextmanager
    async def client_of(*_):
        begun.append(True)
        raise BaseExceptionGroup("unhandled", [asyncio.CancelledError("gone")])
        yield

    monkeypatch.setattr(connections, "client_of", client_of)
    server = depot(name="grouped")
    assert offered(server) == offered(server) == ({}, [("Depot", "away")])
    assert len(begun) == 1 and noted.noted == [("grouped", "CancelledError: gone")]


def test_while_the_package_is_loaded_the_loop_goes_on(offered, loop, monkeypatch):
    """That takes seconds on a busy machine, and a worker whose loop stands still for a lease is taken for dead."""
    load, goes_on = client.load, threading.Event()

    def slowly():
        loop.get_loop().call_soon_threadsafe(goes_on.set)
        assert goes_on.wait(20), "the loop stands still"
        load()

    monkeypatch.setattr(client, "load", slowly)
    assert "beside__add" in offered(depot(name="beside"))[0]


def test_a_server_that_starts_slowly_is_there_for_a_later_question(offered, talk, tmp_path, loop, noted, monkeypatch):
    monkeypatch.setattr(
        mcp.client.session, "DISCOVER_TIMEOUT_SECONDS", 0.2
    )  # the package stops asking before it is there
    opens = tmp_path / "opens"
    server = depot(name="slow", env=(("DEPOT_OPENS", str(opens)),))
    assert offered(server, patience=0.3) == ({}, [("Depot", "starting")])
    began = time.monotonic()
    assert offered(server, patience=0.3) == ({}, [("Depot", "starting")])
    assert time.monotonic() - began < 0.2, "nobody waits a second time"
    holder = connections._connections["slow"]._holder
    opens.touch()
    assert talk(server, "add", a=1, b=1).text == "2"
    assert connections._connections["slow"]._holder is holder, "it is the start that was begun first"
    until(loop, lambda: noted.noted == [("slow", "")])


def test_a_call_waits_longer_for_its_server_than_a_question(offered, tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "CALL_START_WAIT_SECONDS", 60)
    called, other = (
        depot(name=name, env=(("DEPOT_OPENS", str(tmp_path / name)),)) for name in ("called", "uncalled")
    )
    assert offered(called, other, patience=0.1) == ({}, [("Depot", "starting")] * 2)
    (tmp_path / "called").touch()
    tools, missing = offered(called, other, patience=0.1, called=["called__add"])
    assert "called__add" in tools and missing == [("Depot", "starting")], "for the other one it does not wait"


def test_a_start_that_takes_too_long_is_given_up(offered, tmp_path, monkeypatch, noted):
    monkeypatch.setattr(connections, "START_SECONDS", 0.5)
    server = depot(name="late", env=(("DEPOT_OPENS", str(tmp_path / "never")),))
    assert offered(server) == ({}, [("Depot", "away")])
    assert "was not ready within 0.5 seconds" in noted.noted[0][1]


def test_what_a_command_says_on_its_standard_error_is_logged_within_bounds(caplog):
    caplog.set_level("INFO")
    words = client.Words("depot")
    words.data_received("Gr\u00fcße\r\nBearer abcdefghijkl\n".encode()[:3])
    words.data_received("Gr\u00fcße\r\nBearer abcdefghijkl\n".encode()[3:])
    words.data_received(b"x" * 100_000 + b"\n")
    for number in range(300):
        words.data_received(f"line {number}\n".encode())
    assert "says: Grüße" in caplog.text and "abcdefghijkl" not in caplog.text
    assert len(caplog.records) == client.LINES_LOGGED + 1 and max(map(len, caplog.messages)) < 600
    assert words.last == "line 297 / line 298 / line 299"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_list_that_has_changed_is_asked_for_again(offered, talk, loop, monkeypatch, mode):
    monkeypatch.setattr(mcp, "Client", partial(mcp.Client, mode=mode))
    server = depot(name=mode)
    assert f"{mode}__lift" not in offered(server)[0]
    talk(server, "hire")
    until(loop, lambda: connections._connections[mode]._listed_at == float("-inf"))
    assert talk(server, "lift").text == "Up."


def test_progress_is_the_call_s_status_line(talk, loop):
    assert talk(depot(), "fetch").text == "Here it is."
    until(loop, lambda: len(talk.said) >= 2)
    assert talk.said == ["On my way · 1 of 2", "2 of 2"]


# --- what a result holds ---


def test_images_of_a_result_are_kept_apart_and_named(talk):
    result = talk(depot(), "look")
    assert result.text == "The yard:\n[Image 1]\n[Image 2]" and result.summary == "The yard:"
    assert [(image.name, image.data[:4]) for image in result.images] == [
        ("Image 1", b"\x89PNG"),
        ("Image 2", b"no i"),
    ]


def test_what_is_no_text_keeps_its_name_and_address(talk):
    assert talk(depot(), "papers").text.splitlines() == [
        "[Resource: list <depot://list>]",
        "What there is.",
        "[Resource: today.txt <depot://notes/today.txt>]",
        "Two crates.",
        "[Resource: bill.pdf <depot://bill.pdf>, application/pdf, 1,000 bytes, which can't be read here]",
        "[Audio, audio/wav, which can't be played here]",
    ]
    assert json.loads(talk(depot(), "weigh").text) == {"kilograms": 12}


def test_a_result_has_a_bounded_number_and_size_of_images(monkeypatch):
    def result(*images):
        blocks = [ImageContent(type="image", data=data, mime_type="image/png") for data in images]
        return content.result_of(CallToolResult(content=blocks))

    assert len(result(*["AAAA"] * 20).images) == content.MOST_IMAGES
    assert result(*["AAAA"] * 20).text.count("left out") == 20 - content.MOST_IMAGES
    monkeypatch.setattr(content, "MOST_IMAGE_BYTES", 10)
    assert [len(image.data) for image in result("AAAA", "A" * 12, "AAAA").images] == [3, 3]
    assert result("AA=A").images == () and "can't be read" in result("A").text


# --- what a server asks people ---


def filling(tools, name, loop, *fillers, **arguments):
    """Calls a tool once for each of `fillers`, all at once, who are asked what it wants to know."""

    async def call(filler):
        context = Context(uuid4(), uuid4(), uuid4(), None, {}, ask=filler)
        return (await tools[name].run(context, arguments)).text

    async def all_at_once():
        return await asyncio.gather(*map(call, fillers))

    return loop.run(all_at_once())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_what_a_server_asks_is_a_form_of_the_call(offered, loop, monkeypatch, mode):
    monkeypatch.setattr(mcp, "Client", partial(mcp.Client, mode=mode))
    tools, _ = offered(depot(name=f"asks_{mode}"))
    asked = []

    async def fill(form):
        asked.append(form)
        return Filled("accept", {"seats": 2, "window": True})

    async def refuse(form):
        return Filled("decline")

    book = f"asks_{mode}__book"
    assert filling(tools, book, loop, fill, train="ICE 7") == ["ICE 7: 2 seats at the window."]
    assert filling(tools, book, loop, refuse, train="ICE 7") == ["ICE 7: decline."]
    (form,) = asked
    assert form.message == "Where would you like to sit?"
    assert [(f["name"], f["kind"], f["title"], f["required"]) for f in form.fields] == [
        ("seats", "integer", "Seats", True),
        ("window", "boolean", "At the window", False),
    ]
    if mode == "legacy":
        sign = filling(tools, f"asks_{mode}__sign", loop, fill)
        assert sign == ["They said: accept."] and asked[-1].url == "https://sign.example/form?id=7"


def test_over_http_each_of_many_calls_asks_its_own_people(offered, loop, monkeypatch):
    monkeypatch.setattr(mcp, "Client", partial(mcp.Client, mode="legacy"))
    with serving() as (url, _):
        tools, _ = offered(depot(name="rail", command=(), url=url))
        assert _asked_together(tools, "rail__book", loop) == ["X: 1 seats.", "X: 2 seats."]


def test_where_a_question_belongs_to_no_call_two_calls_have_a_program_each(offered, loop, monkeypatch):
    monkeypatch.setattr(mcp, "Client", partial(mcp.Client, mode="legacy"))
    tools, _ = offered(depot(name="old"))

    async def first(form):
        second = asyncio.create_task(
            tools["old__book"].run(Context(*[uuid4()] * 3, None, {}, ask=two), {"train": "Y"})
        )
        assert (await second).text == "Y: 2 seats."
        return Filled("accept", {"seats": 1})

    async def two(form):
        return Filled("accept", {"seats": 2})

    assert filling(tools, "old__book", loop, first, train="X") == ["X: 1 seats."]


def _asked_together(tools, name, loop):
    """Two calls, neither of which is answered before both have asked."""
    both = asyncio.Barrier(2)

    def filler(seats):
        async def fill(form):
            await both.wait()
            return Filled("accept", {"seats": seats})

        return fill

    return filling(tools, name, loop, filler(1), filler(2), train="X")


def test_a_question_that_may_be_anybody_s_is_put_before_nobody(loop):
    callers = Callers("depot")

    async def never(form):
        raise AssertionError("asked")

    async def scenario():
        contexts = [Context(uuid4(), uuid4(), uuid4(), None, {}, ask=never) for _ in range(2)]
        with callers.calling(contexts[0]), callers.calling(contexts[1]):
            asked = ElicitRequestFormParams(message="?", requested_schema={"type": "object", "properties": {}})
            of_no_call = asyncio.create_task(callers.elicit(None, asked), context=contextvars.Context())
            return await of_no_call

    assert loop.run(scenario()).action == "cancel"


def test_a_server_is_told_what_can_not_be_asked(loop):
    asked = ElicitRequestFormParams(
        message="?", requested_schema={"type": "object", "properties": {"a": {"type": "object"}}}
    )
    evil = ElicitRequestURLParams(message="?", url="javascript:alert(1)", elicitation_id="1")

    async def scenario():
        callers = Callers("depot")
        with callers.calling(Context(uuid4(), uuid4(), uuid4(), None, {})):
            return [await callers.elicit(None, parameters) for parameters in (asked, evil)]

    wrong, evil = loop.run(scenario())
    assert "neither text" in wrong.message and "begins with https://" in evil.message


# --- names ---


def a_tool(server, name):
    made = names.name_of(server, name)
    return Offered(made, name, name, name, {}, 1, False, False, run=lambda *_: (server, name), is_async=False)


def test_no_tool_hides_another_whatever_servers_call_theirs():
    long = "t" * 60
    pairs = [("depot", "add"), ("depot", f"{long}1"), ("depot", f"{long}2"), ("depot", "a.b"), ("depot", "a_b"),
             ("depot", "数"), ("depot", "字"), ("a", "b__c"), ("a__b", "c"), ("a_", "b"), ("a", "_b"),
             ("x", names.name_of("x__y", "z").removeprefix("x__")), ("x__y", "z")]  # fmt: skip
    found = names.apart([a_tool(*pair) for pair in pairs], taken={"depot__add"})
    assert sorted(tool.run() for tool in found.values()) == sorted(pairs)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) and tool.name == name for name, tool in found.items())
    assert "depot__add" not in found, "that is a tool of ours"


def test_a_tool_s_name_does_not_depend_on_what_else_is_offered():
    assert names.name_of("depot", "add") == "depot__add"
    assert (
        names.apart([a_tool("depot", "a.b")], ()).keys()
        <= names.apart([a_tool("depot", "a_b"), a_tool("depot", "a.b")], ()).keys()
    )


# --- configuring ---


@pytest.fixture
def in_a_file(settings, tmp_path):
    def write(**servers):
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}))
        settings.ASSISTANT_MCP = str(path)
        configured.read.cache_clear()

    yield write
    configured.read.cache_clear()


def test_the_file_is_in_the_customary_form(in_a_file, monkeypatch):
    monkeypatch.setenv("DEPOT_TOKEN", "s3cret")
    in_a_file(
        depot={"command": "python", "args": ["-m", "x"], "env": {"A": "b"}, "approval": "writes", "timeout": 5},
        remote={"url": "https://example.org/mcp", "headers": {"Authorization": "Bearer ${DEPOT_TOKEN}"}},
    )
    found = configured.of_the_file()
    assert found["depot"].command == ("python", "-m", "x") and found["depot"].approval == "writes"
    assert found["remote"].headers == (("Authorization", "Bearer s3cret"),) and "s3cret" not in repr(found["remote"])
    assert configuration.tools_can_be_had(None) == []


@pytest.mark.parametrize(
    "servers",
    [
        {"a b": {"command": "x"}},
        {"x": {}},
        {"x": {"command": "y", "url": "z"}},
        {"x": {"command": "y", "approval": "?"}},
    ],
)
def test_a_wrong_file_fails_a_check_with_a_sentence(in_a_file, servers):
    in_a_file(**servers)
    (problem,) = configuration.tools_can_be_had(None)
    assert problem.msg.startswith("ASSISTANT_MCP: the file ") and problem.id == "assistant.E004"


@pytest.mark.django_db(transaction=True)
def test_what_an_administrator_enters_is_a_service(session, alice):
    McpServer.objects.create(name="depot", title="Depot", url="https://example.org/mcp")
    McpServer.objects.create(name="off", title="Off", url="https://example.org/mcp", is_enabled=False)
    call = Caller(alice)
    assert "depot" in {service["name"] for service in call("get", "/tools").json()["services"]}
    assert call("patch", f"/sessions/{session.pk}", {"services": ["clock", "depot"]}).json()["services"] == [
        "clock",
        "depot",
    ]
    refused = call("patch", f"/sessions/{session.pk}", {"services": ["off"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_service")


# --- in a turn ---


@pytest.mark.django_db(transaction=True)
def test_a_model_uses_a_server_s_tool_and_a_dead_server_costs_only_its_tools(
    session, alice, worker, loop, patiently, in_a_file, asked_here
):
    registry.services_of.cache_clear()
    command = {"command": sys.executable, "args": ["-m", "tests.mcp_server"], "approval": "never"}
    in_a_file(depot=command, dead={"command": "/no/such/program"})
    session.services = ["depot", "dead", "clock"]
    session.save()
    model = "openai/results-tool=depot__add:a:2,b:5-tool=depot__fail"
    ended = run_to_the_end(loop, answer_of(ask(session, alice, model=model)), worker)
    assert calls(ended) == [("depot__add", "success"), ("depot__fail", "error")]
    assert ended.status == "success" and ended.content.startswith("7\n")
    bodies = [record["body"] for record in asked_here.requests()]
    for body in bodies:
        check_request(body)
    told = {tool["function"]["name"] for tool in bodies[0]["tools"]}
    assert {"depot__add", "current_time"} <= told and not any("dead" in name for name in told)
    assert wire.message_json(ended)["missing"] == [{"title": "dead", "why": "away"}]
    assert "/no/such/program" in McpProblem.objects.get().reason and McpProblem.objects.get().name == "dead"
