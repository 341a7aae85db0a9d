"""Whole turns in the running product, each played once as it is and once for each step at which something is killed.

Whatever happens, a story ends with the right rows: the text is whole, each call has its one result, no tool was run twice
that must not be, and each request that the provider saw is valid. `mortal` has how a process dies at a step.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.provider import ProviderProcess, expected_text
from tests.provider.valid import check_request

from .people import Person, tagged
from .running import Product, running
from .viewer import Message

FALLBACK, STRONGER = "openai/words-n6-tag=fallback", "openai/words-n7-tag=stronger"
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tests.e2e.mortal_settings",
    "ASSISTANT_HEARTBEAT": "0.5", "ASSISTANT_LEASE": "4", "ASSISTANT_MAX_ATTEMPTS": "8", "ASSISTANT_GRACE": "1",
    "ASSISTANT_TOOLS": "tests.e2e.counting_tools", "ASSISTANT_SERVICES": "counting",
    "ASSISTANT_WORKERS": "3", "ASSISTANT_ROUNDS": "3", "ASSISTANT_CONTINUATIONS": "2", "ASSISTANT_RETRIES": "1",
    "ASSISTANT_FALLBACK_MODELS": FALLBACK, "ASSISTANT_ESCALATION_MODEL": STRONGER,
}  # fmt: skip


@dataclass
class Stage:
    product: Product
    provider: ProviderProcess
    alice: Person
    folder: Path

    # --- what dies, and what the tools did ---

    @property
    def doom(self) -> Path:
        return self.folder / "doom"

    @property
    def counts(self) -> Path:
        return self.folder / "counts"

    def kill_at(self, step: str, nth: int = 1) -> None:
        """The process that comes to this step as the `nth` dies there."""
        made = self.folder / "doom.new"
        made.write_text(f"{step} {nth}")
        made.replace(self.doom)

    def runs(self) -> Counter[str]:
        return Counter(self.counts.read_text().splitlines() if self.counts.exists() else ())

    def open(self, gate: str) -> None:
        (self.folder / f"counts.{gate}").touch()

    def begin(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self.provider.reset()
        self.product.wait_for(lambda: len(self.product.workers()) >= 2, 60)

    # --- people ---

    def insist(self, path: str, **request: Any) -> dict[str, Any]:
        """POSTs until the server answers, as the page does; whoever dies meanwhile."""
        while True:
            try:
                response = self.alice.http.post(path, **request)
            except httpx.TransportError:
                time.sleep(0.1)
                continue
            if response.status_code < 500:
                found: dict[str, Any] = response.json()
                return found

    def ask(self, session: str, content: str = "Well?", model: str = "", **more: Any) -> dict[str, Any]:
        body = {"client_id": uuid.uuid4().hex, "content": content, "model": model, **more}
        sent = self.insist(f"/api/sessions/{session}/messages", json=body)
        assert "message" in sent, sent
        return sent

    def answer_to(self, sent: dict[str, Any]) -> Message:
        """The one answer to a question, once it has ended."""
        session, question = sent["message"]["session"], sent["message"]["id"]

        def found() -> list[Message]:
            return [m for m in self.alice.messages(session) if m["reply_to"] == question]

        (answer,) = self.product.wait_for(found, 60)
        return self.alice.wait_for_end(answer["id"])

    # --- judging ---

    def told(self, *models: str) -> list[dict[str, Any]]:
        """The requests to these models, each valid."""
        bodies = [record["body"] for record in self.provider.requests() if f"openai/{record['model']}" in models]
        for body in bodies:
            check_request(body)
        return bodies

    def check_calls(self, answer: Message, *rounds: list[str]) -> Counter[str]:
        """These tools were called, round by round, each with one result and run as often as it may be; by status."""
        calls = answer["tool_calls"]
        names = [[c["name"] for c in calls if c["round"] == number] for number in range(1, len(rounds) + 1)]
        assert names == list(rounds) and len(calls) == sum(map(len, rounds))
        runs = self.runs()
        for call in calls:
            times = runs.pop(call["id"], 0)
            if call["name"] == "peek":
                assert call["status"] == "success" and times in (1, 2), (call, times)
            elif call["name"] == "note":
                assert call["status"] in ("success", "interrupted"), call
                assert times == 1 or (not times and call["status"] == "interrupted"), (call, times)
        assert not [call for call in runs if len(call) == 36], "a call was run that is not stored"
        return Counter(call["status"] for call in calls)


_DEPOT = "from tests.mcp_server import server; server.run('stdio')"


@pytest.fixture(scope="module")
def stage(provider: ProviderProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("turns")
    files = {"DOOM_FILE": str(folder / "doom"), "COUNT_FILE": str(folder / "counts")}
    # The folder, which the server does not read, tells its processes from others'.
    depot = {"command": sys.executable, "args": ["-c", _DEPOT, str(folder)], "approval": "never"}
    servers = tmp_path_factory.mktemp("servers") / "servers.json"
    servers.write_text(json.dumps({"mcpServers": {"depot": depot}}))
    with running(provider, **SETTINGS, **files, ASSISTANT_MCP=str(servers)) as product:
        (alice,) = product.people("alice")
        with alice:
            yield Stage(product, provider, alice, folder)


@pytest.fixture(autouse=True)
def afresh(stage: Stage) -> None:
    stage.begin()


# --- the stories ---


def three_tools_in_two_rounds(stage: Stage) -> Counter[str]:
    """While another question waits in the queue."""
    model = tagged("words-n8-preamble=2-tool=note:key:a-tool=note:key:b-tool=peek:key:c-rounds=2")
    session = stage.alice.new_session(model)
    with stage.alice.view(session) as viewer:
        sent = stage.ask(session, "Look.")
        waiting = stage.ask(session, "And then?", model=tagged("words-n3"))
        ended = stage.answer_to(sent)
        assert viewer.wait_for_end(ended["id"])["content"] == ended["content"]
    said = [expected_text("words-n2"), expected_text("words-n2"), expected_text("words-n8")]
    assert (ended["status"], ended["content"]) == ("success", "\n\n".join(said)), ended
    assert 3 <= len(stage.told(model)) <= 4
    assert stage.answer_to(waiting)["content"] == expected_text("words-n3")
    return stage.check_calls(ended, *[["note", "note", "peek"]] * 2)


def more_rounds_than_one_job_has(stage: Stage) -> Counter[str]:
    model = tagged("words-n4-think=2-tool=note:key:a-tool=peek:key:b-rounds=5")
    ended = stage.answer_to(stage.ask(stage.alice.new_session(model)))
    assert (ended["status"], ended["content"]) == ("success", expected_text("words-n4"))
    assert ended["reasoning"]["content"] == "\n\n".join(["r0 r1"] * 6), "each round's thoughts once, whatever died"
    assert 6 <= len(stage.told(model)) <= 7
    return stage.check_calls(ended, *[["note", "peek"]] * 5)


def a_loop_that_never_ends(stage: Stage) -> None:
    model = tagged("words-n4-tool=peek:key:a-rounds=99")
    ended = stage.answer_to(stage.ask(stage.alice.new_session(model)))
    assert (ended["status"], ended["error"]["code"]) == ("error", "incomplete_response")
    assert "went on asking for tools" in ended["error"]["detail"]
    rounds = len(ended["tool_calls"])
    assert 9 <= rounds <= 12  # three jobs of three rounds; a killed one begins its share anew
    stage.check_calls(ended, *[["peek"]] * rounds)
    assert stage.told(model)[-1]["tool_choice"] == "none"


def tools_of_an_mcp_server(stage: Stage) -> Counter[str]:
    """Its process belongs to a worker, and does not outlive it."""
    model = tagged("results-tool=depot__store:what:Tea-tool=depot__add:a:2,b:3")
    session = stage.alice.new_session(model)
    assert stage.alice.http.patch(f"/api/sessions/{session}", json={"services": ["depot"]}).status_code == 200
    ended = stage.answer_to(stage.ask(session))
    assert ended["status"] == "success" and len(stage.told(model)) == 2, ended
    stored, added = ended["tool_calls"]
    assert (added["name"], added["status"], added["result"]) == ("depot__add", "success", "5")
    assert stored["status"] == "interrupted" or stored["result"] == "Stored Tea for nobody.", stored

    def owners() -> list[int]:
        processes = psutil.process_iter(["cmdline", "ppid"])
        return [p.info["ppid"] for p in processes if str(stage.folder) in " ".join(p.info["cmdline"] or ())]

    stage.product.wait_for(lambda: {worker.pid for worker in stage.product.workers()}.issuperset(owners()), 30)
    assert owners()
    return Counter(call["status"] for call in ended["tool_calls"])


def an_approval(stage: Stage) -> None:
    model = tagged("results-tool=wipe:what:Home-tool=peek:key:a")
    session = stage.alice.new_session(model)
    answer = stage.ask(session)["reply"]["id"]
    parked = stage.alice.wait_for(answer, lambda m: m["status"] == "pending" and m["tool_calls"])
    assert [call["approval"] for call in parked["tool_calls"]] == ["asked", None]
    assert "wipe Home" not in stage.runs()
    call = parked["tool_calls"][0]["id"]
    decided = stage.insist(f"/api/tool-calls/{call}/approve")
    assert decided.get("code") in (None, "already_decided")
    ended = stage.alice.wait_for_end(answer)
    assert (ended["status"], ended["content"]) == ("success", "Home is gone.\nSeen a."), ended
    assert stage.runs()["wipe Home"] == 1 and len(stage.told(model)) == 2
    stage.check_calls(ended, ["wipe", "peek"])


def of_three_tools_one_crashes_and_one_hangs(stage: Stage) -> None:
    model = tagged("results-tool=note:key:a-tool=crash-tool=hang")
    ended = stage.answer_to(stage.ask(stage.alice.new_session(model)))
    assert [c["status"] for c in ended["tool_calls"]] == ["success", "error", "error"] and ended[
        "status"
    ] == "success"
    noted, crashed, hung = ended["content"].split("\n", 2)
    assert noted == "Noted a." and "longer than 1 seconds" in hung
    assert "error of its own" in crashed and "secret" not in ended["content"]
    stage.check_calls(ended, ["note", "crash", "hang"])
    assert len(stage.told(model)) == 2


def a_tool_that_does_not_exist(stage: Stage) -> None:
    model = tagged("results-tool=teleport:to:Rome-tool=note:key:a")
    ended = stage.answer_to(stage.ask(stage.alice.new_session(model)))
    assert ended["content"].startswith("There is no tool 'teleport'") and ended["content"].endswith("Noted a.")
    assert [c["status"] for c in ended["tool_calls"]] == ["error", "success"]
    stage.check_calls(ended, ["teleport", "note"])
    assert len(stage.told(model)) == 2


def arguments_that_are_no_json(stage: Stage) -> None:
    model = tagged("results-badargs-tool=note:key:a")
    ended = stage.answer_to(stage.ask(stage.alice.new_session(model)))
    assert "arguments are not a JSON object" in ended["content"] and ended["status"] == "success"
    assert [c["status"] for c in ended["tool_calls"]] == ["error"] and not stage.runs()
    assert len(stage.told(model)) == 2


def a_stall_after_the_tools(stage: Stage) -> None:
    model = tagged("empty-tool=note:key:a")
    ended = stage.answer_to(stage.ask(stage.alice.new_session(model)))
    assert (ended["status"], ended["content"]) == ("success", expected_text("words-n7"))
    assert ended["model"] == STRONGER and ended["tried"][-1]["code"] == "stalled"
    stage.check_calls(ended, ["note"])
    assert len(stage.told(model, STRONGER)) >= 3


def a_busy_provider(stage: Stage) -> None:
    model = tagged("words-n6-429-retryafter=2-fails=1")
    ended = stage.answer_to(stage.ask(stage.alice.new_session(model)))
    assert (ended["status"], ended["content"], ended["model"]) == ("success", expected_text("words-n6"), model)
    assert len(stage.told(model)) == 2


def busy_then_broken_then_another_model(stage: Stage) -> None:
    busy = {"status": 429, "retryafter": 1}
    model = stage.provider.script(tagged("x").replace("openai/x-tag=", "busy-"), [busy, {"status": 500}])
    ended = stage.answer_to(stage.ask(stage.alice.new_session(model)))
    assert (ended["status"], ended["content"], ended["model"]) == ("success", expected_text("words-n6"), FALLBACK)
    assert {one["model"] for one in ended["tried"]} == {model}
    assert {one["code"] for one in ended["tried"]} <= {"rate_limited", "provider_error"}
    assert stage.told(model) and stage.told(FALLBACK)


def an_overflow(stage: Stage, characters: int = 1_600) -> None:
    """Nothing that was said is deleted, and one summary stands for it."""
    session = stage.alice.new_session("openai/words-n3")
    for number, length in enumerate((500, 500, 300, 300)):
        stage.answer_to(stage.ask(session, f"Question {number} {'?' * length}"))
    before = stage.alice.messages(session)
    model = tagged(f"words-n6-context={characters}")
    ended = stage.answer_to(stage.ask(session, "And now?", model=model))
    assert (ended["status"], ended["content"]) == ("success", expected_text("words-n6")), ended
    bodies = stage.told(model)
    assert "Question 0" in str(bodies[0]) and "Question 0" not in str(bodies[-1])
    assert [(m["id"], m["content"]) for m in stage.alice.messages(session)][:8] == [
        (m["id"], m["content"]) for m in before
    ]
    with stage.alice.view(session) as viewer:
        assert len(viewer.view.messages) == 10


def two_overflows(stage: Stage) -> None:
    an_overflow(stage, 740)


def a_file(stage: Stage) -> None:
    session, model = stage.alice.new_session(), tagged("words-n4")
    form = {"file": ("notes.txt", b"Mind the gap.")}
    file = stage.insist(f"/api/sessions/{session}/attachments", files=form)["id"]
    ended = stage.answer_to(stage.ask(session, "What is this?", model, attachments=[file]))
    assert (ended["status"], ended["content"]) == ("success", expected_text("words-n4"))
    assert [body["messages"][-1]["content"].count("Mind the gap.") for body in stage.told(model)] == [1]
    stage.product.manage("shell", "--no-imports", "-c", _FORGET_AND_SWEEP)
    stored = stage.product.rows("SELECT key FROM assistant_storedfile WHERE prepared_at IS NOT NULL")
    media = [path.name for path in (stage.product.data_dir / "media").rglob("*") if path.is_file()]
    assert sorted(media) == sorted(Path(key).name for (key,) in stored), "nothing is left of an upload that died"
    assert stage.alice.http.get(f"/api/attachments/{file}/file").content == b"Mind the gap."


_FORGET_AND_SWEEP = """
from datetime import timedelta
from django.db.models import F
from assistant import tasks
from assistant.models import Attachment, StoredFile
Attachment.objects.filter(message=None).update(free_since=F("free_since") - timedelta(days=9))
StoredFile.objects.update(created_at=F("created_at") - timedelta(days=9))
tasks.sweep_files()
"""


def a_message_that_rides_along(stage: Stage) -> None:
    """It joins behind the results of the round, once."""
    model = tagged("words-n4-tool=look:what:up")
    session = stage.alice.new_session(model)
    sent = stage.ask(session)
    stage.product.wait_for(lambda: stage.runs()["look up"] == 1)
    rides = stage.ask(session, "Mind the gap.", when="steer")["message"]["id"]
    stage.open("look")
    ended = stage.answer_to(sent)
    assert (ended["status"], ended["content"]) == ("success", expected_text("words-n4"))
    assert stage.alice.message(rides)["status"] == "success"
    last = stage.told(model)[-1]["messages"]
    assert [m["role"] for m in last] == ["user", "assistant", "tool", "assistant", "user", "assistant", "tool"], last
    assert [m["content"] for m in last].index("Mind the gap.") == 4
    # The scripted model asks again once somebody has spoken.
    assert [(c["name"], c["status"]) for c in ended["tool_calls"]] == [("look", "success")] * 2
    assert stage.runs()["look up"] == 2, "no round that is done is done again"


def an_answer_that_fails(stage: Stage) -> None:
    model = tagged("words-n6-finish=content_filter")
    ended = stage.answer_to(stage.ask(stage.alice.new_session(model)))
    assert (ended["status"], ended["error"]["code"]) == ("error", "content_filtered")
    assert ended["content"] == expected_text("words-n6") and 1 <= len(stage.told(model)) <= 2


STORIES = [
    three_tools_in_two_rounds, more_rounds_than_one_job_has, a_loop_that_never_ends, tools_of_an_mcp_server, an_approval,
    of_three_tools_one_crashes_and_one_hangs, a_tool_that_does_not_exist, arguments_that_are_no_json,
    a_stall_after_the_tools, a_busy_provider, busy_then_broken_then_another_model, an_overflow, two_overflows, a_file,
    a_message_that_rides_along, an_answer_that_fails,
]  # fmt: skip

Story = Callable[[Stage], Any]
EACH = 12  # of so many deaths, one is in each run of the suite


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_ends_well(stage: Stage, story: Story) -> None:
    since = len(stage.product.said)
    statuses = story(stage)
    assert "interrupted" not in (statuses or {})
    assert not [line for line in stage.product.said[since:] if "assistant.worker.turn" in line and "ERROR" in line]


# A story, the step at which something dies, the how-manieth time it comes there, how many calls are interrupted by it.
DEATHS: list[tuple[Story, str, int, tuple[int, ...]]] = [
    (three_tools_in_two_rounds, "before asking.send", 1, (0,)),  # the web server
    (three_tools_in_two_rounds, "after asking.send", 1, (0,)),
    (three_tools_in_two_rounds, "before claiming._claimed", 1, (0,)),
    (three_tools_in_two_rounds, "before Runner._begin", 1, (0,)),
    (three_tools_in_two_rounds, "before context.prompt_for", 1, (0,)),
    (three_tools_in_two_rounds, "before llm.stream", 1, (0,)),
    (three_tools_in_two_rounds, "after _Meter.see", 1, (0,)),  # in the text before the calls
    (three_tools_in_two_rounds, "after _Meter.see", 3, (0,)),  # one call has come
    (three_tools_in_two_rounds, "before ledger.record", 1, (0,)),
    (three_tools_in_two_rounds, "after ledger.record", 1, (0,)),
    (three_tools_in_two_rounds, "before rounds.open_round", 1, (0,)),
    (three_tools_in_two_rounds, "after rounds.open_round", 1, (0,)),
    (three_tools_in_two_rounds, "before rounds.begin_calls", 1, (0,)),
    (three_tools_in_two_rounds, "after rounds.begin_calls", 1, (2,)),
    (three_tools_in_two_rounds, "before CallRunner.result_of", 2, (2,)),
    (three_tools_in_two_rounds, "after counting_tools._note", 2, (2,)),  # in the middle of the tools
    (three_tools_in_two_rounds, "before rounds.settle", 1, (2,)),
    (three_tools_in_two_rounds, "after rounds.settle", 1, (1, 2)),
    (three_tools_in_two_rounds, "after rounds.settle", 2, (0, 1)),
    (three_tools_in_two_rounds, "after rounds.settle", 3, (0,)),
    (three_tools_in_two_rounds, "before steering.take", 1, (0,)),
    (three_tools_in_two_rounds, "before llm.stream", 2, (0,)),
    (three_tools_in_two_rounds, "before rounds.open_round", 2, (0,)),
    (three_tools_in_two_rounds, "after counting_tools._note", 5, (2,)),
    (three_tools_in_two_rounds, "after rounds.settle", 6, (0,)),
    (three_tools_in_two_rounds, "before llm.stream", 3, (0,)),
    (three_tools_in_two_rounds, "before answering.succeed", 1, (0,)),
    (three_tools_in_two_rounds, "after answering.succeed", 1, (0,)),
    (more_rounds_than_one_job_has, "before rounds.continue_later", 1, (0,)),
    (more_rounds_than_one_job_has, "before endings.give_back", 1, (0,)),  # in the transaction, with the job in it
    (more_rounds_than_one_job_has, "after rounds.continue_later", 1, (0,)),
    (more_rounds_than_one_job_has, "before claiming._claimed", 2, (0,)),
    (more_rounds_than_one_job_has, "before Runner._begin", 2, (0,)),
    (more_rounds_than_one_job_has, "after rounds.open_round", 4, (0,)),
    (a_loop_that_never_ends, "after rounds.continue_later", 2, (0,)),
    (tools_of_an_mcp_server, "before rounds.begin_calls", 1, (0,)),
    (tools_of_an_mcp_server, "before rounds.settle", 1, (1,)),
    (an_approval, "before rounds.park", 1, (0,)),
    (an_approval, "before endings.give_back", 1, (0,)),
    (an_approval, "after rounds.park", 1, (0,)),
    (an_approval, "before approving.allow", 1, (0,)),  # the web server
    (an_approval, "after approving.allow", 1, (0,)),
    (an_approval, "before Runner._begin", 2, (0,)),
    (a_stall_after_the_tools, "after events.turn_status", 1, (0,)),
    (a_busy_provider, "before events.turn_status", 1, (0,)),
    (a_busy_provider, "after events.turn_status", 1, (0,)),  # while it waits to ask again
    (busy_then_broken_then_another_model, "before llm.stream", 2, (0,)),
    (busy_then_broken_then_another_model, "after events.turn_status", 2, (0,)),  # between two models
    (busy_then_broken_then_another_model, "after _Meter.see", 2, (0,)),  # in the other one's answer
    (an_overflow, "before summaries.part_to_summarise", 1, (0,)),
    (an_overflow, "after summaries.part_to_summarise", 1, (0,)),
    (an_overflow, "before summaries.store", 1, (0,)),
    (an_overflow, "after summaries.store", 1, (0,)),
    (two_overflows, "before summaries.store", 2, (0,)),
    (two_overflows, "after summaries.store", 2, (0,)),
    (a_file, "after attaching._reserve", 1, (0,)),  # the web server: a row, and no bytes
    (a_file, "after attaching.upload", 1, (0,)),
    (a_file, "before asking.send", 1, (0,)),
    (a_file, "before file_contents.prepare", 1, (0,)),
    (a_file, "before file_contents._keep", 1, (0,)),
    (a_file, "after file_contents.prepare", 1, (0,)),
    (a_message_that_rides_along, "before steering.take", 1, (0,)),
    (a_message_that_rides_along, "after steering.take", 1, (0,)),
    (an_answer_that_fails, "before answering.fail", 1, (0,)),
    (an_answer_that_fails, "after answering.fail", 1, (0,)),
    (more_rounds_than_one_job_has, "after _Meter.see", 1, (0,)),  # while it thinks
    (more_rounds_than_one_job_has, "after _Meter.see", 6, (0,)),  # and once more, in the second round
]


def parameters(number: int, death: tuple[Story, str, int, tuple[int, ...]]) -> Any:
    """Some of the deaths in each run of the suite, all of them with `make test-long`."""
    name = f"{death[0].__name__}: {death[1]} {death[2]}"
    return pytest.param(*death, id=name, marks=[] if number % EACH == 0 else pytest.mark.long)


@pytest.mark.parametrize(
    ("story", "step", "nth", "interrupted"), [parameters(number, death) for number, death in enumerate(DEATHS)]
)
def test_killed_at_a_step_a_story_ends_well(
    stage: Stage, story: Story, step: str, nth: int, interrupted: tuple[int, ...]
) -> None:
    stage.kill_at(step, nth)
    statuses = story(stage)
    assert stage.doom.read_text() == "", f"nothing came to '{step}' for the {nth}th time"
    assert (statuses or {}).get("interrupted", 0) in interrupted, statuses
