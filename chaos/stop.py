"""Stop, seen from the model's provider: `python -m chaos.stop --out docs/reliability.md`.

Answers are stopped at random moments, in each of the situations in which a model may be. From the moment in which the
request to stop begins it is measured when the provider's socket is closed, when the request is answered, and when a viewer
sees the answer as stopped. Product, provider and viewers share the machine.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import section
from chaos.ledger import percentile
from chaos.stage import Stage, staged
from tests.e2e.people import Person
from tests.provider import ProviderProcess

TARGET_MS = 100.0
LONG = 2_000  # tokens of an answer that nobody stops

WRITING = f"paced-n{LONG}-rate=50"
SITUATIONS = {  # the provider's script, and whether there is a text to wait for
    "it is writing, 50 tokens a second": (WRITING, True),
    "it is writing, 1000 tokens a second": ("words-n1000000-rate=1000", True),
    "it has not begun: headers, and no token": ("paced-first=60", False),
    "it does not even answer": ("words-hang", False),
    "it has fallen silent in the middle": ("words-silence=5", True),
}
BUSY = "it is writing, and so are {busy} others"


@dataclass
class Row:
    """Milliseconds from the request to stop: to the provider's socket, to its answer, to the viewer."""

    name: str
    provider: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    viewer: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.stop", description="How soon Stop reaches the provider.")
    parser.add_argument("--times", type=int, default=40, help="stops in each situation (40)")
    parser.add_argument("--busy", type=int, default=20, help="other answers in one of them (20)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (1)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL and Redis servers of its own")
    parser.add_argument("--out", type=Path, help="a document with the markers, e.g. docs/reliability.md")
    given = parser.parse_args()
    if given.out and "<!-- stop:end -->" not in given.out.read_text():
        parser.error(f"{given.out} has no place for it")
    began = time.monotonic()
    rows: list[Row] = []
    load = os.getloadavg()[0]
    for lane in ("on", "off"):
        with staged(given.postgres, 10.0, 3, 2, ASSISTANT_FAST_LANE=lane) as stage, ExitStack() as stack:
            (alice,) = stage.product.people("alice")
            stack.enter_context(alice)
            by = "" if lane == "on" else ", read by litellm"
            warm_up(stage, alice)
            bench = Bench(stage, alice, random.Random(given.seed), given.times)
            for name, (script, speaks) in SITUATIONS.items():
                rows.append(bench.row(name + by, script, speaks))
            with bench.busy(given.busy):
                rows.append(bench.row(BUSY.format(busy=given.busy) + by, WRITING, True))
            where = stage.name
    text = markdown(rows, where, given.times, load, time.monotonic() - began)
    print(text)
    if given.out:
        section.write(given.out, "stop", text)
    return 0


def model(script: str) -> str:
    """A name that no other request has, so that its record can be told apart."""
    return f"openai/{script}-tag={uuid.uuid4().hex[:10]}"


def warm_up(stage: Stage, person: Person) -> None:
    for _ in range(8):
        person.wait_for_end(person.asked(person.new_session(), model=model("words-n5")))


class Bench:
    def __init__(self, stage: Stage, person: Person, dice: random.Random, times: int) -> None:
        self._provider, self._person, self._dice, self._times = stage.provider, person, dice, times

    @contextmanager
    def busy(self, number: int) -> Iterator[None]:
        """So many other answers are being written meanwhile."""
        asked = model(f"paced-n{LONG * 10}-rate=50")
        others = [self._person.asked(self._person.new_session(), model=asked) for _ in range(number)]
        self._provider.wait_for(lambda p: p.active() == number)
        try:
            yield
        finally:
            for other in others:
                self._person.stop(other)

    def row(self, name: str, script: str, speaks: bool) -> Row:
        row = Row(name)
        for _ in range(self._times):
            self._stop_one(row, model(script), speaks)
        print(f"{name}: {percentile(row.provider, 0.95):.0f} ms (p95)", file=sys.stderr, flush=True)
        return row

    def _stop_one(self, row: Row, asked: str, speaks: bool) -> None:
        session = self._person.new_session()
        seen: dict[str, float] = {}
        with self._person.view(session, lambda message: note(seen, message)) as viewer:
            answer = self._person.asked(session, model=asked)
            self._provider.wait_for(lambda p: p.requests(asked), 60)
            if speaks:
                viewer.wait_for(lambda: viewer.view.text(answer))
            time.sleep(self._dice.uniform(0.05, 0.5))
            began = time.monotonic()
            response = self._person.stop(answer)
            row.answered.append((time.monotonic() - began) * 1000)
            assert response.status_code == 200, response.text
            record = self._provider.wait_for(ended(asked), 60)
            assert record["ended"] == "disconnected", record
            row.provider.append((record["ended_at"] - began) * 1000)
            viewer.wait_for_end(answer)
            row.viewer.append((seen[answer] - began) * 1000)


def note(seen: dict[str, float], message: dict[str, object]) -> None:
    if message["status"] == "cancelled":
        seen.setdefault(str(message["id"]), time.monotonic())


def ended(asked: str) -> Callable[[ProviderProcess], dict[str, object] | None]:
    return lambda provider: next((r for r in provider.requests(asked) if r["ended"]), None)


def markdown(rows: list[Row], where: str, times: int, load: float, seconds: float) -> str:
    everything = [value for row in rows for value in row.provider]
    late = sum(value > TARGET_MS for value in everything)
    told = (
        f"{where}: {len(everything)} stops, {times} in each situation. At the provider's socket within {TARGET_MS:.0f} ms: "
        f"{len(everything) - late} of {len(everything)}. {section.circumstances(seconds, load)}"
    )
    head = [
        "ms after Stop, when the model is stopped while", "the provider's socket: p50", "p95", "max",
        "the answer to Stop: p50", "p95", "a viewer: p50", "p95",
    ]  # fmt: skip
    return f"{told}\n\n{section.table(head, [_cells(row) for row in rows])}\n"


def _cells(row: Row) -> list[str]:
    values = [percentile(row.provider, 0.5), percentile(row.provider, 0.95), max(row.provider)]
    values += [percentile(series, share) for series in (row.answered, row.viewer) for share in (0.5, 0.95)]
    return [row.name, *(f"{value:.0f}" for value in values)]


if __name__ == "__main__":
    raise SystemExit(main())
