"""MCP servers: real server processes over stdio and HTTP, whose tools are offered like our own."""

import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from assistant import checks
from assistant.llm.library import library
from assistant.mcp import configured, connections
from assistant.models import McpServer
from assistant.tools import Result, ToolError, registry
from tests.acting import answer_of, ask
from tests.calling import Caller
from tests.product import free_port
from tests.provider import ProviderProcess
from tests.provider.valid import check_request
from tests.rounds import calls, run_to_the_end

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

ROOT = Path(__file__).parents[1]


def depot(**changes):
    given = {"name": "depot", "title": "Depot", "command": (sys.executable, "-m", "tests.mcp_server")} | changes
    return configured.Configured(**given)


@contextmanager
def serving():
    """The server over HTTP; yields its address and its process."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.mcp_server", str(port)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
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


@pytest.fixture
def afterwards(loop):
    yield

    async def close():
        await connections.close()
        await library().close_litellm_async_clients()  # else its sockets are found open later, in another test

    loop.run(close())


@pytest.fixture
def talk(loop, afterwards, monkeypatch):
    """`talk(server, tool, **arguments)`: one call over a connection that is kept open."""
    monkeypatch.chdir(ROOT)

    async def call(server, tool, arguments):
        tools = await connections.offered([server])
        return await tools[f"{server.name}__{tool}"].run(None, arguments)

    return lambda server, tool, **arguments: loop.run(call(server, tool, arguments))


def test_a_command_s_tools_are_offered_and_called(talk):
    server = depot(env=(("DEPOT_OWNER", "alice"),))
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
        assert talk(depot(command=(), url=url), "add", a=20, b=3).text == "23"


def test_the_rule_of_approval(loop, afterwards, monkeypatch):
    monkeypatch.chdir(ROOT)

    def needing(rule):
        tools = loop.run(connections.offered([depot(approval=rule)])).values()
        return {tool.name.removeprefix("depot__") for tool in tools if tool.needs_approval}

    assert needing("always") == {"add", "store", "fail", "die", "dawdle"}
    assert needing("writes") == {"store", "fail", "die", "dawdle"}
    assert needing("never") == set()
    tools = loop.run(connections.offered([depot()]))
    assert tools["depot__add"].is_idempotent and not tools["depot__store"].is_idempotent
    assert tools["depot__add"].title == "Depot: Add up"


def test_a_server_that_dies_in_a_call_is_started_again_for_the_next(talk, monkeypatch):
    monkeypatch.setattr(connections, "REST_SECONDS", 0.0)
    with pytest.raises(ToolError, match="not known whether"):
        talk(depot(), "die")
    assert talk(depot(), "add", a=1, b=1).text == "2"


@pytest.mark.parametrize("server", [depot(command=("/no/such/program",)), depot(command=(), url="http://127.0.0.1:9/mcp"),
                                    depot(command=(sys.executable, "-c", "print('no MCP')"))])  # fmt: skip
def test_a_dead_server_offers_nothing_and_is_left_alone_for_a_while(loop, afterwards, server, caplog):
    assert loop.run(connections.offered([server])) == loop.run(connections.offered([server])) == {}
    assert caplog.text.count("depot is away") == 1, "it was tried once"


# --- configuring ---


@pytest.fixture
def in_a_file(settings, tmp_path):
    def write(**servers):
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({"mcpServers": servers}))
        settings.ASSISTANT_MCP = str(path)
        configured._read.cache_clear()

    yield write
    configured._read.cache_clear()


def test_the_file_is_in_the_customary_form(in_a_file, monkeypatch):
    monkeypatch.setenv("DEPOT_TOKEN", "s3cret")
    in_a_file(
        depot={"command": "python", "args": ["-m", "x"], "env": {"A": "b"}, "approval": "writes", "timeout": 5},
        remote={"url": "https://example.org/mcp", "headers": {"Authorization": "Bearer ${DEPOT_TOKEN}"}},
    )
    found = configured.of_the_file()
    assert found["depot"].command == ("python", "-m", "x") and found["depot"].approval == "writes"
    assert found["remote"].headers == (("Authorization", "Bearer s3cret"),) and "s3cret" not in repr(found["remote"])
    assert checks.tools_can_be_had(None) == []


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
    (problem,) = checks.tools_can_be_had(None)
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
    session, alice, worker, loop, afterwards, in_a_file, settings, monkeypatch
):
    monkeypatch.chdir(ROOT)
    registry._services.cache_clear()
    command = {"command": sys.executable, "args": ["-m", "tests.mcp_server"], "approval": "never", "timeout": 1}
    in_a_file(depot=command, dead={"command": "/no/such/program"})
    session.services = ["depot", "dead", "clock"]
    session.save()
    with ProviderProcess() as provider:
        monkeypatch.setenv("OPENAI_API_BASE", provider.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        settings.ASSISTANT_MODELS = [("All", "openai/*"), ("Any", "openai/words")]
        model = "openai/results-tool=depot__add:a:2,b:5-tool=depot__fail-tool=depot__dawdle"
        ended = run_to_the_end(loop, answer_of(ask(session, alice, model=model)), worker)
        assert calls(ended) == [("depot__add", "success"), ("depot__fail", "error"), ("depot__dawdle", "error")]
        assert ended.status == "success" and ended.content.startswith("7\n")
        bodies = [record["body"] for record in provider.requests()]
        for body in bodies:
            check_request(body)
        offered = {tool["function"]["name"] for tool in bodies[0]["tools"]}
        assert {"depot__add", "current_time"} <= offered and not any("dead" in name for name in offered)
