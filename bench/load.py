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
from typing import Literal

import aiohttp
import orjson
import uvloop

from bench.viewer import Viewer

LAG_PERIOD_SECONDS = 0.01
SESSIONS_AT_ONCE = 4
LEAD_SECONDS = 0.3  # between the opening and the first question


@dataclass(frozen=True, slots=True)
class Plan:
    """`url` is the product's address (`kind` product) or the provider's base URL (`kind` bare)."""

    kind: Literal["product", "bare"]
    url: str
    token: str
    model: str  # as litellm names it, `openai/...`
    questions: list[str]
    offsets: list[float]  # seconds from the common start, one for each question
    patience_seconds: float  # a stream that isn't done by then counts as unfinished


@dataclass(slots=True)
class Stream:
    """What one viewer saw. `arrivals` are (moment, text), in the order in which they came."""

    question: str
    asked_at: float = 0.0  # the POST begins
    answered_at: float = 0.0  # its response is here
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
    streams = [Stream(question) for question in plan.questions]
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    headers = {"Authorization": f"Bearer {plan.token}"}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as client:
        viewers = await _viewers(client, plan, streams) if plan.kind == "product" else []
        try:
            gc.collect()
            gc.disable()
            lags: list[float] = []
            watch = asyncio.create_task(_watch_lag(lags))
            print("begin", flush=True)
            cpu, began = time.process_time(), time.monotonic()
            start = began + LEAD_SECONDS
            work = [
                _ask(client, plan, viewer, start + offset)
                for viewer, offset in zip(viewers, plan.offsets, strict=True)
            ] if viewers else [
                _read(client, plan, stream, start + offset)
                for stream, offset in zip(streams, plan.offsets, strict=True)
            ]  # fmt: skip
            tasks = [asyncio.create_task(one) for one in work]
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
            await asyncio.gather(*(viewer.close() for viewer in viewers))
    return Run(streams, lags, cpu, seconds)


# --- the product ---


async def _viewers(client: aiohttp.ClientSession, plan: Plan, streams: list[Stream]) -> list[Viewer]:
    """A new session for each stream, and a viewer in it that has its snapshot."""
    room = asyncio.Semaphore(SESSIONS_AT_ONCE)

    async def enter(stream: Stream) -> Viewer:
        async with room:
            async with client.post(f"{plan.url}/api/sessions", json={"title": "bench"}) as response:
                response.raise_for_status()
                session = str((await response.json())["id"])
            return await Viewer.enter(client, plan.url, session, stream)

    return await asyncio.gather(*map(enter, streams))


async def _ask(client: aiohttp.ClientSession, plan: Plan, viewer: Viewer, moment: float) -> None:
    reading = asyncio.create_task(viewer.read())
    try:
        stream = viewer.stream
        body = {"client_id": stream.question, "content": stream.question, "model": plan.model}
        await _sleep_until(moment)
        stream.asked_at = time.monotonic()
        async with client.post(f"{plan.url}/api/sessions/{viewer.session}/messages", json=body) as response:
            await response.read()
            stream.answered_at = time.monotonic()
            response.raise_for_status()
        await reading
    finally:
        reading.cancel()


# --- the bare client ---


async def _read(client: aiohttp.ClientSession, plan: Plan, stream: Stream, moment: float) -> None:
    body = {
        "model": plan.model.removeprefix("openai/"),
        "stream": True,
        "messages": [{"role": "user", "content": stream.question}],
    }
    await _sleep_until(moment)
    stream.asked_at = time.monotonic()
    async with client.post(f"{plan.url}/chat/completions", json=body) as response:
        stream.answered_at = time.monotonic()
        response.raise_for_status()
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            arrived = time.monotonic()
            for choice in orjson.loads(line[6:])["choices"]:
                if text := choice["delta"].get("content"):
                    stream.arrivals.append((arrived, text))
    stream.status, stream.final = "success", "".join(text for _, text in stream.arrivals)


# --- clocks ---


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


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
