"""The short version of `make chaos`: the parts of the product die while people talk, and nothing is lost."""

from __future__ import annotations

import pytest

from chaos import machine, report
from chaos.kinds import Kind
from chaos.run import Options, run

SEED = 20
KINDS = [Kind.WORKER, Kind.SENTINEL, Kind.WEB, Kind.VALKEY, Kind.COMMAND, Kind.EVERYTHING]


@pytest.mark.chaos
@pytest.mark.long
def test_nothing_is_lost_doubled_or_stuck_when_the_parts_are_killed() -> None:
    print(f"seed {SEED}")
    options = Options(SEED, answers=12, kills=6, sessions=4, visitors=1, gap=1.5, lease=6, kinds=KINDS, hurried=True)
    outcome = run(options, print)
    print(report.markdown(outcome.verdict, outcome.stage_name, f"seed {SEED}, {outcome.seconds:.0f} s"))
    verdict = outcome.verdict
    assert verdict.is_good, report.complaints(verdict) + "\n" + "".join(outcome.log[-200:])
    assert verdict.asked == verdict.succeeded + verdict.failed.total() == 12
    assert verdict.kills.total() >= 6


@pytest.mark.chaos
@pytest.mark.long
def test_answers_that_kill_their_workers_are_given_up_and_no_others() -> None:
    only = [Kind.LEAVE, Kind.GORGE, Kind.STALL]
    options = Options(SEED, answers=16, kills=3, sessions=6, visitors=1, gap=1.5, lease=4, kinds=only)
    outcome = run(options, print)
    verdict = outcome.verdict
    assert verdict.is_good, report.complaints(verdict) + "\n" + "".join(outcome.log[-200:])
    assert verdict.given_up == 3 and not verdict.failed["abandoned"]


@pytest.mark.long
@pytest.mark.skipif(
    not machine.is_possible(), reason="another machine is a PID namespace, and this user may make none"
)
def test_a_machine_that_loses_its_power_takes_no_answer_along() -> None:
    print(f"seed {SEED}")
    only = [Kind.MACHINE]
    options = Options(SEED, answers=36, kills=1, sessions=8, visitors=1, gap=1.5, lease=4, kinds=only)
    outcome = run(options, print)
    verdict = outcome.verdict
    assert verdict.is_good, report.complaints(verdict) + "\n" + "".join(outcome.log[-200:])
    assert verdict.hit[Kind.MACHINE] and not verdict.false_recoveries
    assert verdict.interrupted >= verdict.hit[Kind.MACHINE]
