"""`python -m bench.viewers`: many people watch one session; how late is each piece at each of them?

Counted from the moment in which the provider sent a piece, so that the worker's reading, its 30 ms of collecting, Valkey
and the web server are all in it: more than what the worker's sending alone would give.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import time
import uuid
from pathlib import Path

import aiohttp
import uvloop

from bench import section
from bench.figures import Letters, arrivals_of_tokens, errors, percentile
from bench.load import Stream
from bench.product import cpu_seconds, environment
from bench.viewer import Viewer
from tests.product import ProductProcess
from tests.provider import ProviderProcess, expected_tokens

WARM_UP = "openai/paced-n=20-rate=50"


async def watch(url: str, token: str, model: str, viewers: int, patience_seconds: float) -> list[Stream]:
    """What each of the viewers saw of one answer."""
    question = uuid.uuid4().hex[:8]
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as client:
        async with client.post(f"{url}/api/sessions", json={"title": "viewers"}) as response:
            session = str((await response.json())["id"])
        streams = [Stream(question) for _ in range(viewers)]
        entered = [await Viewer.enter(client, url, session, stream) for stream in streams]
        gc.collect()
        gc.disable()
        reading = [asyncio.create_task(viewer.read()) for viewer in entered]
        body = {"client_id": question, "content": question, "model": model}
        async with client.post(f"{url}/api/sessions/{session}/messages", json=body) as response:
            response.raise_for_status()
        await asyncio.wait(reading, timeout=patience_seconds)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        gc.enable()
        for viewer in entered:
            await viewer.close()
    return streams


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.viewers", description="Many viewers of one session.")
    parser.add_argument("--viewers", default="1,50,200", help="numbers at once: 1,50,200")
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--rate", type=float, default=50.0, help="tokens a second")
    parser.add_argument("--postgres", default="", metavar="URL")
    parser.add_argument("--redis", default="", metavar="URL")
    parser.add_argument("--out", type=Path, help="a document with the markers, e.g. docs/performance.md")
    given = parser.parse_args()
    model = f"openai/paced-n={given.tokens}-rate={given.rate:g}"
    expected = expected_tokens(model)
    began, load_average = time.monotonic(), os.getloadavg()[0]
    rows = []
    with ProviderProcess() as provider:
        settings = environment(provider, [WARM_UP, model], given.postgres, given.redis)
        with ProductProcess(settings) as product:
            token = product.new_user(f"bench-{uuid.uuid4().hex[:12]}")
            for script, viewers in [(WARM_UP, 4), (WARM_UP, 4), *((model, int(n)) for n in given.viewers.split(","))]:
                provider.reset()
                cpu = sum(cpu_seconds(product).values())
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    patience = given.tokens / given.rate + 20
                    streams = runner.run(watch(product.url, token, script, viewers, patience))
                cpu = sum(cpu_seconds(product).values()) - cpu
                if script == model:
                    record = provider.requests(times=True)[-1]
                    rows.append(_row(streams, record["sent_at"], expected, cpu))
                    print(rows[-1], file=sys.stderr)
    head = [
        "viewers",
        "p50",
        "p95",
        "p99",
        "max",
        "lost",
        "doubled",
        "unfinished",
        "resyncs",
        "closed",
        "CPU seconds",
    ]
    text = section.circumstances(time.monotonic() - began, load_average) + (
        f" {given.tokens} tokens at {given.rate:g} a second.\n\nFrom the provider's sending of a piece to its being "
        "read at a viewer (ms):\n\n" + section.table(head, rows)
    )
    if given.out:
        section.write(given.out, "viewers", text)
    print(text)
    return 0


def _row(streams: list[Stream], sent_at: list[float], expected: list[str], cpu: float) -> list[str]:
    letters = Letters()
    delays: list[float] = []
    for stream in streams:
        arrived = arrivals_of_tokens(stream, expected)
        delays += [here - sent for here, sent in zip(arrived, sent_at, strict=False)]
        lost, doubled, _ = errors("".join(text for _, text in stream.arrivals), expected)
        letters.lost += lost
        letters.doubled += doubled
        letters.unfinished += stream.status != "success"
        letters.resyncs += stream.holes
        letters.closes += len(stream.closes)
    shares = [f"{percentile(delays, share) * 1000:.1f}" for share in (0.5, 0.95, 0.99, 1.0)]
    counts = [letters.lost, letters.doubled, letters.unfinished, letters.resyncs, letters.closes]
    return [str(len(streams)), *shares, *map(str, counts), f"{cpu:.2f}"]


if __name__ == "__main__":
    raise SystemExit(main())
