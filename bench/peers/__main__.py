"""The command: `make bench-peers`, or `python -m bench.peers --streams 1,20 --out docs/performance.md`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import section
from bench.idle import SECONDS
from bench.peers import table
from bench.peers.contest import BARE, EVERYBODY, PARLEY, SHORT, run, streams


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--streams", default="1,20,100", help="numbers at once (1,20,100; 300 takes minutes more)")
    parser.add_argument("--without-chainlit", action="store_true", help="only Parley and the bare client")
    parser.add_argument("--postgres", default="", metavar="URL", help="instead of SQLite; a database of its own")
    parser.add_argument("--redis", default="", metavar="URL", help="instead of the embedded Valkey")
    parser.add_argument("--out", type=Path, help="a document with the markers to write into")
    given = parser.parse_args()
    numbers = sorted({int(word) for word in given.streams.split(",")})
    who = (BARE, PARLEY) if given.without_chainlit else EVERYBODY
    load = os.getloadavg()[0]
    outcome = run(
        [*SHORT, *map(streams, numbers)],
        who,
        given.postgres,
        given.redis,
        SECONDS,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    name = f"peers {outcome.storage}"
    before = section.read(given.out, name) if given.out else ""
    where = f"On {outcome.storage}. {section.circumstances(outcome.seconds, load)}"
    text = f"{where}\n\n{table.markdown(outcome, before)}"
    if given.out:
        section.write(given.out, name, text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
