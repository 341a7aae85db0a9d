"""The load client, as a process: a plan (JSON) comes on stdin, the moments of each stream leave on stdout.

It has a process and an event loop of its own, so that what it costs is not added to what it measures, and it measures its
own lag, so that a late client isn't taken for a late product. Moments are CLOCK_MONOTONIC seconds, comparable with the
provider's.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import aiohttp
import orjson
import uvloop

if TYPE_CHECKING:
    from bench.people import Person

LAG_PERIOD_SECONDS = 0.01
LEAD_SECONDS = 0.3  # between the opening and the first question


Kind = Literal["product", "chainlit", "openai", "bare"]


@dataclass(frozen=True, slots=True)
class Plan:
    """`url` is the address of the product or of Chainlit, or the provider's base URL (`kind` openai and bare).

    There is a person for each offset. Who asks several questions asks one when the one before is answered: the first
    person the questions 0, n, 2n, ... of n people.
    """

    kind: Kind
    url: str
    token: str
    model: str  # as litellm names it, `openai/...`
    questions: list[str]
    offsets: list[float]  # seconds from the common start
    patience_seconds: float  # a stream that isn't done so long after the last person began counts as unfinished
    pause_seconds: float = 0.0  # between an answer and the same person's next question


@dataclass(slots=True)
class Stream:
    """What one viewer saw. `arrivals` are (moment, text), in the order in which they came."""

    question: str
    asked_at: float = 0.0  # the POST begins
    answered_at: float = 0.0  # its response is here
    ended_at: float = 0.0
    arrivals: list[tuple[float, str]] = field(default_factory=list)
    final: str | None = None  # the stored text, as the ending told it
    status: str = "unfinished"
    closes: list[int] = field(default_factory=list)  # the close codes of sockets that the server closed
    holes: int = 0  # how often a `seq` was missing and the viewer asked for a `sync`


@dataclass(slots=True)
class Run:
    streams: list[Stream]
    lags: list[float]  # how much later than asked for the client's loop woke up
    cpu_seconds: float
    seconds: float


def run(plan: Plan, on_begin: Callable[[], None], on_end: Callable[[], None]) -> Run:
    """Runs the plan in a process of its own and waits for it. Raises RuntimeError if that fails.

    `on_begin` is called when everything is open and the first question is about to be asked, `on_end` after the last
    answer, before anything is closed.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parent.parent,
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        process.stdin.write(orjson.dumps(asdict(plan)))
        process.stdin.close()
        for told in (on_begin, on_end):
            if process.stdout.readline():
                told()
        result = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"The load client ended with {process.returncode}.")
    found = orjson.loads(result)
    return Run(**found | {"streams": [Stream(**stream) for stream in found["streams"]]})


async def _measure(plan: Plan) -> Run:
    from bench.people import enter  # only this process needs what they speak with

    streams = [Stream(question) for question in plan.questions]
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    headers = {"Authorization": f"Bearer {plan.token}"} if plan.token else {}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as client:
        people = await enter(client, plan)
        try:
            gc.collect()
            gc.disable()
            lags: list[float] = []
            watch = asyncio.create_task(_watch_lag(lags))
            print("begin", flush=True)
            cpu, began = time.process_time(), time.monotonic()
            start = began + LEAD_SECONDS
            tasks = [
                asyncio.create_task(_ask(person, streams[place :: len(people)], start + offset, plan.pause_seconds))
                for place, (person, offset) in enumerate(zip(people, plan.offsets, strict=True))
            ]
            await asyncio.wait(tasks, timeout=max(plan.offsets) + plan.patience_seconds)
            seconds, cpu = time.monotonic() - began, time.process_time() - cpu
            print("end", flush=True)
            watch.cancel()
            for task in tasks:
                task.cancel()
            for failure in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(failure, Exception):
                    print(f"load client: {type(failure).__name__}: {failure}", file=sys.stderr)
        finally:
            await asyncio.gather(*(person.close() for person in people))
    return Run(streams, lags, cpu, seconds)


async def _ask(person: Person, streams: list[Stream], moment: float, pause: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
    for place, stream in enumerate(streams):
        if place:
            await asyncio.sleep(pause)
        await person.ask(stream)
        stream.ended_at = time.monotonic()


async def _watch_lag(lags: list[float]) -> None:
    while True:
        due = time.monotonic() + LAG_PERIOD_SECONDS
        await asyncio.sleep(LAG_PERIOD_SECONDS)
        lags.append(time.monotonic() - due)


def main() -> None:
    plan = Plan(**orjson.loads(sys.stdin.buffer.read()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.buffer.write(orjson.dumps(asdict(runner.run(_measure(plan)))))


if __name__ == "__main__":
    main()
