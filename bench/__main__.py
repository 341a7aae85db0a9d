"""The command: `make bench`, or `python -m bench --streams 1,20 --out docs/performance.md`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import plot, report
from bench.measure import Options, measure


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Streams through the real product, beside a bare HTTP client."
    )
    parser.add_argument("--streams", type=_numbers, default=[1, 20, 100, 300], help="numbers at once: 1,20,100,300")
    parser.add_argument("--tokens", type=int, default=300, help="of each answer (300)")
    parser.add_argument("--rate", type=float, default=50.0, help="tokens a second of each answer (50)")
    parser.add_argument("--repeat", type=int, default=0, help="of each number; by default few streams more often")
    parser.add_argument("--postgres", default="", metavar="URL", help="instead of SQLite; a database of its own")
    parser.add_argument("--redis", default="", metavar="URL", help="instead of the embedded Valkey")
    parser.add_argument(
        "--out", type=Path, help="a document with the markers to write into, e.g. docs/performance.md"
    )
    given = parser.parse_args()
    if given.out and not given.out.is_file():
        parser.error(f"there is no {given.out}")
    options = Options(given.streams, given.tokens, given.rate, given.repeat, given.postgres, given.redis)
    result = measure(options, lambda line: print(line, file=sys.stderr, flush=True))
    image = given.out.with_suffix(".svg") if given.out else Path("performance.svg")
    text = report.markdown(result, image.name)
    if given.out:
        plot.draw(result, image)
        report.write(given.out, text)
    print(text)
    return 0


def _numbers(words: str) -> list[int]:
    return sorted({int(word) for word in words.split(",")})


if __name__ == "__main__":
    raise SystemExit(main())
