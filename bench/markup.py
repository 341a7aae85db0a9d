"""`python -m bench.markup`: what drawing a growing answer costs the worker, and sends to each viewer, for each delta."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from assistant.markup import LiveBlocks, warm
from bench import section
from bench.figures import percentile
from bench.texts import long_texts

PIECE_CHARACTERS = 40


def row(kind: str, text: str) -> list[str]:
    drawing = LiveBlocks()
    costs: list[float] = []
    sent = 0
    for start in range(0, len(text), PIECE_CHARACTERS):
        before = time.perf_counter()
        _, html = drawing.append(text[start : start + PIECE_CHARACTERS])
        costs.append(time.perf_counter() - before)
        sent += sum(map(len, html))
    quarter = len(costs) // 4
    first, last = (sum(part) / len(part) * 1e6 for part in (costs[:quarter], costs[-quarter:]))
    return [
        kind,
        f"{first:.0f}",
        f"{last:.0f}",
        f"{percentile(costs, 0.99) * 1e6:.0f}",
        f"{max(costs) * 1000:.1f}",
        f"{sent / len(costs):,.0f}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.markup", description="What a delta costs.")
    parser.add_argument("--kilobytes", type=int, default=200)
    parser.add_argument("--out", type=Path, help="a document with the markers, e.g. docs/performance.md")
    given = parser.parse_args()
    warm()
    began, load_average = time.monotonic(), os.getloadavg()[0]
    rows = [row(kind, text) for kind, text in long_texts(given.kilobytes * 1000).items()]
    head = [
        f"{given.kilobytes} KB of",
        "µs a delta, first quarter",
        "last quarter",
        "p99",
        "slowest (ms)",
        "bytes of HTML a delta",
    ]
    text = section.circumstances(time.monotonic() - began, load_average)
    text += f" Deltas of {PIECE_CHARACTERS} characters.\n\n" + section.table(head, rows)
    if given.out:
        section.write(given.out, "markup", text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
