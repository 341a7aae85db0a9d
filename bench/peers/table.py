"""The figures of a contest as the table of docs/performance.md, with the ratios of the runs before. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bench import section
from bench.figures import percentile
from bench.peers.contest import BARE, BURST, CHAINLIT, EIGHT, ONE, PARLEY, Outcome, Score, streams
from bench.product import KINDS

RUNS = 3  # whose ratios are kept
HEAD = ["", BARE, CHAINLIT, PARLEY, "to reach", "", f"{PARLEY} : {CHAINLIT}, the {RUNS} latest runs"]
_BETWEEN, _NONE = " · ", "-"

Measure = Callable[[Outcome, str], float]  # nan: was not measured, or there is no such thing


@dataclass(frozen=True, slots=True)
class Row:
    """What is to be reached: less than `below`, at least `least`, no more than so many `times` what Chainlit needs."""

    what: str
    measure: Measure
    times: float = math.inf
    below: float = math.inf
    least: float = -math.inf

    @property
    def goal(self) -> str:
        if math.isfinite(self.least):
            return f"{self.least:,.0f}"
        return f"below {self.below:g}" if math.isfinite(self.below) else f"{self.times:g} x {CHAINLIT}'s"

    def is_reached(self, value: float, chainlit: float) -> bool:
        most = self.times * chainlit if math.isfinite(self.times) else math.inf
        return self.least <= value <= most and value < self.below


def _of(task: str, measure: Callable[[Score], float]) -> Measure:
    def found(outcome: Outcome, who: str) -> float:
        score = outcome.scores[who].get(task)
        return measure(score) if score else math.nan

    return found


def _first(share: float) -> Callable[[Score], float]:
    return lambda score: percentile(score.figures.delays.first, share) * 1000


def _token(share: float) -> Callable[[Score], float]:
    return lambda score: percentile(score.figures.delays.tokens, share) * 1000


def _cpu_of_a_turn(score: Score) -> float:
    return sum(score.cpu.values()) / score.turns * 1000


def _cpu_of_tokens(score: Score) -> float:
    return sum(score.cpu.values()) / (score.figures.letters.arrived / 1000 or math.nan)


def _turns(score: Score) -> float:
    return score.turns / (score.asking_seconds or math.nan)


def _burst(score: Score) -> float:
    return score.figures.letters.arrived / (sum(score.burst_seconds) or math.nan)


def _memory(outcome: Outcome, who: str) -> float:
    return outcome.idle[who].pss if who in outcome.idle else math.nan


def _idle_cpu(outcome: Outcome, who: str) -> float:
    return outcome.idle[who].cpu * 100 if who in outcome.idle else math.nan


def _ready(outcome: Outcome, who: str) -> float:
    return outcome.ready_seconds.get(who, math.nan)


def _streams(number: int, what: str, measure: Callable[[Score], float], **goal: float) -> Row:
    name = streams(number).name
    return Row(f"{name}: {what}", _of(name, measure), **goal)


ROWS = [
    Row("CPU of a turn of 5 tokens, ms", _of(ONE, _cpu_of_a_turn), times=1.5),
    Row("turns a second, 8 people", _of(EIGHT, _turns), least=60),
    _streams(1, "first token p50, ms", _first(0.5), times=1.3),
    _streams(20, "first token p50, ms", _first(0.5), times=1.3),
    _streams(20, "first token p95, ms", _first(0.95), times=1.3),
    _streams(20, "each token p95, ms", _token(0.95), below=45),
    _streams(100, "first token p50, ms", _first(0.5), times=0.3),
    _streams(100, "first token p95, ms", _first(0.95), times=0.3),
    _streams(100, "each token p95, ms", _token(0.95), below=120),
    _streams(300, "first token p95, ms", _first(0.95), times=0.5),
    _streams(300, "each token p95, ms", _token(0.95), below=500),
    _streams(20, "CPU of 1000 tokens, s", _cpu_of_tokens, below=0.4),
    _streams(100, "CPU of 1000 tokens, s", _cpu_of_tokens, below=0.25),
    Row("a burst of 2,000 tokens, tokens/s", _of(BURST, _burst), least=43_000),
    Row("idle: PSS, MB", _memory, below=300),
    Row("idle: CPU, % of a core", _idle_cpu, below=2),
    Row("start to Ready, s", _ready, below=5),
]


def markdown(outcome: Outcome, before: str) -> str:
    """`before` is what this made of the last run, or nothing: a row keeps the ratios of the runs before."""
    old = _ratios(before)
    rows = [_cells(row, outcome, old.get(row.what, [])) for row in ROWS]
    return "\n\n".join([section.table(HEAD, rows), _went_wrong(outcome), _by_process(outcome)])


def _cells(row: Row, outcome: Outcome, before: list[str]) -> list[str]:
    values = {who: row.measure(outcome, who) if who in outcome.scores else math.nan for who in HEAD[1:4]}
    product, chainlit = values[PARLEY], values[CHAINLIT]
    ratio = _number(product / (chainlit or math.nan))
    verdict = _NONE if math.isnan(product) else "reached" if row.is_reached(product, chainlit) else "missed"
    return [
        row.what,
        *(_number(value) for value in values.values()),
        row.goal,
        verdict,
        _BETWEEN.join([ratio, *before][:RUNS]),
    ]


def _ratios(before: str) -> dict[str, list[str]]:
    """By row the ratios of the runs before, the latest first."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in before.splitlines()]
    return {cells[0]: cells[-1].split(_BETWEEN) for cells in lines if len(cells) == len(HEAD)}


def _went_wrong(outcome: Outcome) -> str:
    found = []
    for who, scores in outcome.scores.items():
        letters = [score.figures.letters for score in scores.values()]
        counts = ", ".join(
            f"{name} {sum(getattr(one, name) for one in letters):,}"
            for name in ("lost", "doubled", "reordered", "unfinished")
        )
        found.append(f"{who}: {counts}, of {sum(one.expected for one in letters):,} tokens")
    return "; ".join(found) + "."


def _by_process(outcome: Outcome) -> str:
    """Where Parley's CPU goes."""
    scores = outcome.scores.get(PARLEY, {})
    parts = []
    if score := scores.get(ONE):
        parts.append(f"A turn of 5 tokens: {_shares(score, score.turns)}.")
    for name, score in scores.items():
        if "stream" in name and score.figures.frames:
            parts.append(f"A frame at {name}: {_shares(score, score.figures.frames)}.")
    return " ".join(["CPU by process, ms.", *parts])


def _shares(score: Score, count: int) -> str:
    return ", ".join(f"{kind} {score.cpu.get(kind, 0.0) / count * 1000:.2f}" for kind in KINDS)


def _number(value: float) -> str:
    if math.isnan(value):
        return _NONE
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
