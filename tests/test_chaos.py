"""The short version of `make chaos`: the parts of the product die while people talk, and nothing is lost."""

from __future__ import annotations

import pytest

from chaos import report
from chaos.kinds import Kind
from chaos.run import Options, run

SEED = 20
KINDS = [Kind.WORKER, Kind.SENTINEL, Kind.WEB, Kind.VALKEY, Kind.COMMAND, Kind.EVERYTHING]


@pytest.mark.chaos
def test_nothing_is_lost_doubled_or_stuck_when_the_parts_are_killed() -> None:
    print(f"seed {SEED}")
    options = Options(SEED, answers=12, kills=6, sessions=4, visitors=1, gap=1.5, lease=6, kinds=KINDS, hurried=True)
    outcome = run(options, print)
    print(report.markdown(outcome.verdict, outcome.stage_name, f"seed {SEED}, {outcome.seconds:.0f} s"))
    verdict = outcome.verdict
    assert verdict.is_good, report.complaints(verdict) + "\n" + "".join(outcome.log[-200:])
    assert verdict.asked == verdict.succeeded + verdict.failed.total() == 12
    assert verdict.kills.total() >= 6
