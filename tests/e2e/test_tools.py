"""Workers killed in the middle of an answer with tools: it goes on, no tool is run twice, and each request is valid."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import ProviderProcess
from tests.provider.valid import check_request

from .people import Person, tagged
from .running import Product, running

SPEED = {"ASSISTANT_HEARTBEAT": "0.5", "ASSISTANT_LEASE": "4", "ASSISTANT_MAX_ATTEMPTS": "8", "ASSISTANT_GRACE": "1"}


class Counts:
    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def open(self, gate: str) -> None:
        self.path.with_name(f"{self.path.name}.{gate}").touch()

    def begin(self) -> None:
        for path in self.path.parent.glob("counts*"):
            path.unlink()


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Counts:
    return Counts(tmp_path_factory.mktemp("counts") / "counts")


@pytest.fixture(scope="module")
def product(provider: ProviderProcess, counts: Counts) -> Iterator[Product]:
    tools = {"ASSISTANT_TOOLS": "tests.e2e.counting_tools", "ASSISTANT_SERVICES": "counting,depot,gone"}
    depot = {"command": sys.executable, "args": ["-m", "tests.mcp_server"], "approval": "never"}
    servers = counts.path.with_name("servers.json")
    servers.write_text(json.dumps({"mcpServers": {"depot": depot, "gone": {"command": "/no/such/program"}}}))
    tools["ASSISTANT_MCP"] = str(servers)
    with running(provider, COUNT_FILE=str(counts.path), **tools, **SPEED) as process:
        yield process


@pytest.fixture(scope="module")
def alice(product: Product) -> Iterator[Person]:
    (person,) = product.people("alice")
    with person:
        yield person


@pytest.fixture(autouse=True)
def afresh(product: Product, counts: Counts) -> None:
    counts.begin()
    product.wait_for(lambda: len(product.workers()) == 2, 60)


def statuses(message: dict) -> list[tuple[str, str]]:
    return [(call["name"], call["status"]) for call in message["tool_calls"]]


def check_requests(provider: ProviderProcess, model: str) -> list[dict]:
    bodies = [record["body"] for record in provider.requests(model)]
    for body in bodies:
        check_request(body)
    return bodies


def kill_worker(product: Product, answer: str) -> None:
    product.wait_for(lambda: product.worker_of(answer)).kill()


def test_killed_while_tools_run(provider: ProviderProcess, product: Product, alice: Person, counts: Counts) -> None:
    """One of them may be run again, the other may not."""
    model = tagged("results-tool=pay:amount:5-tool=look:what:left")
    answer = alice.asked(alice.new_session(model))
    product.wait_for(lambda: len(counts.lines()) == 2)
    kill_worker(product, answer)
    counts.open("look")
    ended = alice.wait_for_end(answer)
    assert statuses(ended) == [("pay", "interrupted"), ("look", "success")] and ended["status"] == "success"
    assert sorted(counts.lines()) == ["look left", "look left", "pay 5"]
    assert "not known whether it took effect" in ended["content"] and ended["content"].endswith("Seen left.")
    assert len(check_requests(provider, model)) == 2, "the first round is not asked for again"


def test_killed_while_the_model_answers_after_the_tools(
    provider: ProviderProcess, product: Product, alice: Person, counts: Counts
) -> None:
    counts.open("pay")
    name = tagged("x").rpartition("=")[2]
    call = {"tools": [{"name": "pay", "arguments": {"amount": 7}}], "text": "Let me pay.", "preamble": 99}
    model = provider.script(f"after-{name}", [call, "words-n40-silence=20", "words-n40"])
    answer = alice.asked(alice.new_session(model))
    alice.wait_for(answer, lambda message: message["content"].endswith("w19"))
    kill_worker(product, answer)
    ended = alice.wait_for_end(answer)
    words = " ".join(f"w{number}" for number in range(40))
    assert (ended["content"], ended["attempt"]) == (f"Let me pay.\n\n{words}", 2)
    assert counts.lines() == ["pay 7"] and statuses(ended) == [("pay", "success")]
    check_requests(provider, model)


def test_killed_while_the_model_asks_for_tools(
    provider: ProviderProcess, product: Product, alice: Person, counts: Counts
) -> None:
    counts.open("pay")
    name = tagged("x").rpartition("=")[2]
    call = {"tools": [{"name": "pay", "arguments": {"amount": 9}}], "rounds": 1, "text": "Done.", "preamble": 1}
    model = provider.script(f"asking-{name}", [call | {"silence": 3}, call])
    answer = alice.asked(alice.new_session(model))
    provider.wait_for(lambda it: it.requests(model) and it.requests(model)[0]["tokens"] >= 3)
    kill_worker(product, answer)
    ended = alice.wait_for_end(answer)
    assert ended["status"] == "success" and counts.lines() == ["pay 9"]
    assert statuses(ended) == [("pay", "success")]
    check_requests(provider, model)


@pytest.mark.long
def test_an_answer_that_waits_for_an_approval_survives_everything(
    provider: ProviderProcess, product: Product, alice: Person, counts: Counts
) -> None:
    model = tagged("results-tool=wipe:what:Home")
    answer = alice.asked(alice.new_session(model))
    parked = alice.wait_for(answer, lambda message: message["tool_calls"] and message["status"] == "pending")
    for worker in product.workers():
        worker.kill()
    product.stop()
    product.start()
    assert alice.message(answer)["alive"] and counts.lines() == []
    call = parked["tool_calls"][0]["id"]
    assert alice.http.post(f"/api/tool-calls/{call}/approve").status_code == 200
    ended = alice.wait_for_end(answer)
    assert (ended["status"], ended["content"], counts.lines()) == ("success", "Home is gone.", ["wipe Home"])
    assert alice.http.post(f"/api/tool-calls/{call}/deny").json()["code"] == "already_decided"
    check_requests(provider, model)


def test_a_stop_reaches_a_running_tool(product: Product, alice: Person, counts: Counts) -> None:
    answer = alice.asked(alice.new_session(tagged("results-tool=look:what:up")))
    product.wait_for(lambda: counts.lines() == ["look up"])
    assert alice.stop(answer).status_code == 200
    ended = alice.message(answer)
    assert ended["status"] == "cancelled" and statuses(ended) == [("look", "cancelled")]
    product.wait_for(lambda: counts.lines() == ["look up", "looks away"], 20)


def with_depot(product: Product, alice: Person, calls: str) -> tuple[dict[str, Any], str]:
    """The answer for which the model makes `calls`, and the model. An answer waits three seconds for a server to start, and
    is written without it then: on a machine with much to do it is asked for again.
    """

    def ended_with_it() -> tuple[dict[str, Any], str] | None:
        model = tagged(f"results-tool={calls}")
        ended = alice.wait_for_end(alice.asked(alice.new_session(model)))
        return None if "depot is still being started" in ended["content"] else (ended, model)

    found: tuple[dict[str, Any], str] = product.wait_for(ended_with_it)
    return found


def test_a_worker_uses_an_mcp_server_and_starts_it_again_when_it_died(
    provider: ProviderProcess, product: Product, alice: Person
) -> None:
    for calls, answer in (("depot__add:a:2,b:3", "5"), ("depot__add:a:4,b:3", "7")):
        ended, model = with_depot(product, alice, calls)
        assert (ended["status"], ended["content"]) == ("success", answer), ended
    ended, _ = with_depot(product, alice, "depot__die")
    assert ended["status"] == "success" and "not known whether" in ended["content"]
    check_requests(provider, model)
