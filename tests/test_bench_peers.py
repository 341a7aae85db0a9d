"""`make bench-peers`, without what it installs: Parley's half of a small run, and the table."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, WSMsgType, web

from bench import section
from bench.idle import Idle, IdleProcess
from bench.load import Plan, Stream
from bench.peers import table
from bench.peers.contest import BARE, CHAINLIT, ONE, PARLEY, Outcome, Score, Task, run, streams
from bench.people import InChainlit


def cells(text: str, what: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {what} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def score(milliseconds: float, turns: int = 10) -> Score:
    return Score(cpu={"worker": milliseconds * turns / 1000}, turns=turns)


def outcome(product: float, chainlit: float) -> Outcome:
    return Outcome("SQLite", {BARE: {}, CHAINLIT: {ONE: score(chainlit)}, PARLEY: {ONE: score(product)}})


@pytest.mark.long
def test_a_small_run_of_the_half_that_needs_no_installation() -> None:
    """Several questions of several people are each answered to the letter, and every row of it has its figure."""
    tasks = [
        Task(ONE, people=1, turns=2, tokens=5, rounds=2, is_paced=False),
        Task(streams(20).name, people=3, turns=2, tokens=10, rounds=1),
    ]
    found = run(tasks, (BARE, PARLEY), "", "", 0.5, print)
    for scores in found.scores.values():
        assert [score.turns for score in scores.values()] == [4, 6]
        letters = [score.figures.letters for score in scores.values()]
        assert [one.arrived for one in letters] == [20, 60]
        assert not any(one.lost + one.doubled + one.reordered + one.unfinished + one.differing for one in letters)
    text = table.markdown(found, "")
    for what in (
        "CPU of a turn of 5 tokens, ms",
        "20 streams: each token p95, ms",
        "idle: PSS, MB",
        "start to Ready, s",
    ):
        assert float(cells(text, what)[3].replace(",", "")) > 0, what
    assert {process.kind for process in found.idle[PARLEY].processes} >= {"web", "worker", "valkey", "supervisors"}
    assert "A turn of 5 tokens: web " in text
    assert f"{PARLEY}: lost 0, doubled 0, reordered 0, unfinished 0, of 80 tokens" in text


def test_a_row_says_the_ratio_what_is_to_be_reached_and_whether_it_is() -> None:
    what = "CPU of a turn of 5 tokens, ms"
    assert cells(table.markdown(outcome(78, 12), ""), what) == [
        what, "-", "12.0", "78.0", "1.5 x Chainlit's", "missed", "6.50",
    ]  # fmt: skip
    assert cells(table.markdown(outcome(18, 12), ""), what)[5] == "reached"


def test_what_was_not_measured_is_said_to_be_neither_reached_nor_missed() -> None:
    assert cells(table.markdown(outcome(18, 12), ""), "100 streams: each token p95, ms")[1:] == [
        "-", "-", "-", "below 120", "-", "-",
    ]  # fmt: skip


def test_the_ratios_of_the_two_runs_before_stay() -> None:
    text = ""
    for product in (78, 60, 24, 12):
        text = table.markdown(outcome(product, 12), text)
    assert cells(text, "CPU of a turn of 5 tokens, ms")[-1] == "1.00 · 2.00 · 5.00"


def test_memory_cpu_and_the_start_are_rows_as_all_others() -> None:
    found = outcome(18, 12)
    found.idle = {PARLEY: Idle([IdleProcess("web", 90, 80, 4, 0.01, 3), IdleProcess("worker", 100, 20, 4, 0.02, 9)])}
    found.ready_seconds = {PARLEY: 4.0, CHAINLIT: 3.2}
    text = table.markdown(found, "")
    assert cells(text, "idle: PSS, MB")[3:6] == ["190", "below 300", "reached"]
    assert cells(text, "idle: CPU, % of a core")[3:6] == ["3.00", "below 2", "missed"]
    assert cells(text, "start to Ready, s")[1:6] == ["-", "3.20", "4.00", "below 5", "reached"]


def test_a_part_of_a_document_is_read_and_written_between_its_markers(tmp_path: Any) -> None:
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- a b:begin -->\nold\n<!-- a b:end -->\nafter\n")
    assert section.read(document, "a b").strip() == "old"
    section.write(document, "a b", "new")
    assert document.read_text() == "before\n<!-- a b:begin -->\nnew\n<!-- a b:end -->\nafter\n"
    with pytest.raises(SystemExit, match="no <!-- c:begin -->"):
        section.read(document, "c")


def packet(*event: Any) -> str:
    return f"42{orjson.dumps(event).decode()}"


async def chainlit_says(request: web.Request) -> web.WebSocketResponse:
    """What Chainlit 2.12 said to a client with this app, in its order."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str('0{"sid":"a","upgrades":[],"pingTimeout":20000,"pingInterval":25000}')
    async for message in socket:
        assert message.type is WSMsgType.TEXT
        text = message.data
        if text.startswith("40"):
            assert orjson.loads(text[2:])["chatProfile"] == "words-n=2"
            await socket.send_str('40{"sid":"b"}')
        elif text == '42["connection_successful"]':
            for name in ("task_end", "clear_ask", "clear_call_fn"):
                await socket.send_str(packet(name, {}))
        elif text != "3":
            question = orjson.loads(text[2:])[1]["message"]["output"]
            await socket.send_str(packet("task_start", {}))
            await socket.send_str("2")
            await socket.send_str(packet("new_message", {"type": "run", "output": ""}))
            await socket.send_str(packet("stream_start", {"id": "1", "output": "w0"}))
            await socket.send_str(packet("stream_token", {"id": "1", "token": f" {question}"}))
            await socket.send_str(packet("update_message", {"type": "assistant_message", "output": f"w0 {question}"}))
            await socket.send_str(packet("update_message", {"type": "run", "output": ""}))
            await socket.send_str(packet("task_end", {}))
    return socket


def test_chainlit_is_spoken_to_as_its_page_does() -> None:
    async def scenario() -> list[Stream]:
        application = web.Application()
        application.router.add_get("/ws/socket.io/", chainlit_says)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        plan = Plan("chainlit", url, "", "openai/words-n=2", [], [0.0], 1.0)
        found = [Stream("first"), Stream("second")]
        async with ClientSession() as client:
            person = await InChainlit.enter(client, plan)
            for stream in found:
                await person.ask(stream)
            await person.close()
        await runner.cleanup()
        return found

    for stream in asyncio.run(scenario()):
        assert (stream.status, stream.final) == ("success", f"w0 {stream.question}")
        assert [text for _, text in stream.arrivals] == ["w0", f" {stream.question}"]
        assert math.isfinite(stream.arrivals[0][0]) and stream.asked_at < stream.arrivals[0][0]
