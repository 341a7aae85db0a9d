"""Slow models are not dead: `python -m chaos.slow --postgres`. Nothing is killed, and no answer may be taken over.

Many answers are written with a word each 20 seconds, so each outlives its worker's lease several times between two signs
of its own life. Meanwhile other sessions are kept as busy as the machine allows. Whatever is recovered was recovered
falsely.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from chaos.stage import Stage, staged
from tests.e2e.people import Person
from tests.provider import expected_text

SLOW = "openai/words-n{words}-rate={rate}-salt"
BUSY = "openai/markdown-n600-rate=150"
SAMPLE_SECONDS = 0.5
ASKERS = 8


@dataclass
class Looks:
    """What was seen from outside, again and again, until it is over."""

    oldest_heartbeat: float = 0.0  # of a living worker, in seconds
    loads: list[float] = field(default_factory=list)  # the machine's load average
    most_at_once: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chaos.slow", description="Counts false recoveries of slow answers."
    )
    parser.add_argument("--answers", type=int, default=1000, help="slow ones (1000)")
    parser.add_argument("--words", type=int, default=4, help="in each (4)")
    parser.add_argument("--pause", type=float, default=20.0, help="seconds between two words (20)")
    parser.add_argument("--busy", type=int, default=8, help="sessions that are answered fast all the time (8)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (2)")
    parser.add_argument("--lease", type=float, default=10.0, help="ASSISTANT_LEASE (10)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL and Redis servers of its own")
    given = parser.parse_args()
    began, looks, over = time.monotonic(), Looks(), threading.Event()
    with staged(given.postgres, given.lease, attempts=3, workers=given.workers) as stage:
        (alice,) = stage.product.people("alice")
        with alice, ThreadPoolExecutor(given.busy + 1 + ASKERS) as threads:
            looking = threads.submit(look_on, stage, looks, over)
            busy = [threads.submit(keep_busy, alice, over) for _ in range(given.busy)]
            model = SLOW.format(words=given.words, rate=1 / given.pause)
            asked = dict(threads.map(lambda number: ask(alice, model, number), range(given.answers)))
            say(f"{len(asked)} asked after {time.monotonic() - began:.0f} s")
            while left := sum(
                message.id in asked and message.status in ("pending", "processing") for message in stage.messages()
            ):
                say(f"{left} unfinished after {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")
                time.sleep(10)
            over.set()
            fast = sum(one.result() for one in busy)
            looking.result()
            while stage.unfinished():
                time.sleep(0.5)
        stored = [message for message in stage.messages() if message.role == "assistant"]
        log = [line for line in stage.product.said if "recovered" in line or "nobody writes it" in line]
    slow = [message for message in stored if message.id in asked]
    taken_over = [message for message in stored if message.recoveries or message.attempt > 1]
    wrong = [m for m in slow if (m.status, m.content) != ("success", expected_text(model, asked[m.id]))]
    print(
        f"{stage.name}: {len(slow)} slow answers of {given.words} words, one each {given.pause:g} s, "
        f"{looks.most_at_once} answers at once at most, {fast} fast answers in {given.busy} sessions beside them; "
        f"{given.workers} worker processes, a lease of {given.lease:g} s, {os.cpu_count()} cores, load average "
        f"{min(looks.loads):.1f} to {max(looks.loads):.1f}, {time.monotonic() - began:.0f} s. "
        f"Taken over from a living worker: {len(taken_over)}. Not whole: {len(wrong)}. "
        f"The oldest heartbeat seen: {looks.oldest_heartbeat:.1f} s."
    )
    print("".join(log), file=sys.stderr)
    return 1 if taken_over or wrong else 0


def ask(person: Person, model: str, number: int) -> tuple[str, str]:
    """(the answer's id, the question)"""
    question = f"Slowly, {number}?"
    return person.asked(person.new_session(), question, model), question


def keep_busy(person: Person, over: threading.Event) -> int:
    """Asks one fast answer after the other; returns how many were whole."""
    session, whole = person.new_session(), 0
    with person.view(session) as viewer:
        while not over.is_set():
            ended = viewer.wait_for_end(person.asked(session, model=BUSY), 300)
            whole += ended["status"] == "success"
    return whole


def look_on(stage: Stage, looks: Looks, over: threading.Event) -> None:
    age = (
        "extract(epoch FROM now() - heartbeat_at)"
        if stage.postgres
        else "(julianday('now') - julianday(heartbeat_at)) * 86400"
    )
    while not over.wait(SAMPLE_SECONDS):
        ((oldest,),) = stage.product.rows(f"SELECT max({age}) FROM assistant_workerprocess WHERE stopped_at IS NULL")
        ((writing,),) = stage.product.rows("SELECT count(*) FROM assistant_message WHERE status = 'processing'")
        looks.oldest_heartbeat = max(looks.oldest_heartbeat, float(oldest or 0))
        looks.most_at_once = max(looks.most_at_once, int(writing))
        looks.loads.append(os.getloadavg()[0])


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
