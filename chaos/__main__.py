"""The command: `make chaos`, or `python -m chaos --answers 300 --kills 60 --postgres --out docs/reliability.md`."""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

from chaos import report
from chaos.kinds import Kind
from chaos.run import Options, possible, run


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chaos", description="Kills every part of the running product and counts what was lost."
    )
    parser.add_argument("--answers", type=int, default=300, help="questions to ask (300)")
    parser.add_argument("--kills", type=int, default=60, help="(60)")
    parser.add_argument("--sessions", type=int, default=12, help="at once (12)")
    parser.add_argument("--visitors", type=int, default=4, help="viewers who come and go, beside one that stays (4)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (2)")
    parser.add_argument("--gap", type=float, default=4.0, help="seconds between kills, on average (4)")
    parser.add_argument("--lease", type=float, default=10.0, help="ASSISTANT_LEASE (10)")
    parser.add_argument("--seed", type=int, help="repeats the order of an earlier run")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL and Redis servers of its own")
    names = ", ".join(kind.name.lower() for kind in Kind)
    parser.add_argument("--only", type=_kinds, default=[], metavar="KINDS", help=f"some of: {names}")
    parser.add_argument("--out", type=Path, help="a document with the markers, e.g. docs/reliability.md")
    parser.add_argument("--log", type=Path, help="where to write the product's log")
    given = parser.parse_args()
    if given.out and not given.out.is_file():
        parser.error(f"there is no {given.out}")
    if cannot := set(given.only) - set(possible(given.postgres)):
        parser.error(f"not here: {', '.join(sorted(cannot))} (another machine needs root, PostgreSQL --postgres)")
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    options = Options(
        seed, given.answers, given.kills, given.sessions, given.visitors, given.workers, given.gap, given.lease,
        given.postgres, kinds=given.only,
    )  # fmt: skip
    outcome = run(options, lambda line: print(line, file=sys.stderr, flush=True))
    circumstances = (
        f"{options.sessions} sessions, {options.workers} worker processes, a lease of {options.lease:g} s, "
        f"{os.cpu_count()} cores, {outcome.seconds:.0f} s; {outcome.visits} visits of viewers who came and went; "
        f"seed {seed}."
    )
    heading = outcome.stage_name + (f": {', '.join(given.only)} only" if given.only else "")
    text = report.markdown(outcome.verdict, heading, circumstances)
    print(text)
    if given.log:
        given.log.write_text("".join(outcome.log))
    if given.out:
        report.write(given.out, text)
    if complaints := report.complaints(outcome.verdict):
        print(complaints, file=sys.stderr)
    return 0 if outcome.verdict.is_good else 1


def _kinds(names: str) -> list[Kind]:
    return [Kind[name.strip().upper()] for name in names.split(",")]


if __name__ == "__main__":
    raise SystemExit(main())
