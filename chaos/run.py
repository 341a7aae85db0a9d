"""One run: start, keep busy, kill, wait until it is quiet, judge."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle

from chaos import machine
from chaos.crowd import Numbers, Room, Visitor
from chaos.kills import Killer
from chaos.kinds import Kind, schedule
from chaos.ledger import Ledger
from chaos.stage import Stage, staged
from chaos.verdict import Verdict, judge

QUIET_SECONDS = 240.0  # as long as this without any news after the last kill: what is unfinished is stuck
MAX_ATTEMPTS = 50  # an answer that a chaos hits again and again is not at fault
USUAL_ATTEMPTS = 3  # where all that kills are answers: these are


@dataclass
class Options:
    seed: int
    answers: int = 300
    kills: int = 60
    sessions: int = 12
    visitors: int = 4
    workers: int = 2
    gap: float = 4.0  # seconds between kills, on average
    lease: float = 10.0
    postgres: bool = False
    hurried: bool = False  # short answers only
    kinds: list[Kind] = field(default_factory=list)  # none: all that can be killed here, and no poison


@dataclass
class Outcome:
    verdict: Verdict
    stage_name: str
    visits: int
    joins: int
    log: list[str]
    seconds: float


def run(options: Options, say: Callable[[str], None]) -> Outcome:
    """Runs the product through it and judges. `say` gets a line of progress now and then."""
    began = time.monotonic()
    ledger = Ledger()
    kinds = options.kinds or [kind for kind in possible(options.postgres) if not kind.is_poison]
    attempts = USUAL_ATTEMPTS if all(kind.is_poison for kind in kinds) else MAX_ATTEMPTS
    plan = schedule(options.kills, kinds, random.Random(f"{options.seed}/schedule"))
    with ExitStack() as stack:
        stage = stack.enter_context(staged(options.postgres, options.lease, attempts, options.workers))
        killer = Killer(stage, ledger, random.Random(f"{options.seed}/kills"), options.lease, options.workers)
        struck = 0

        def may_ask(number: int) -> bool:
            """Questions keep pace with the kills; enough of them to keep every session busy."""
            return number < options.answers * (struck + 1) / (options.kills + 1) + options.sessions

        *people, killer.poisoner = stage.product.people("alice", "bob", "carol")
        for person in (*people, killer.poisoner):
            stack.enter_context(person)
        numbers = Numbers(options.answers, options.seed, options.hurried, may_ask)
        pairs = cycle([(people[0], people[1]), (people[1], people[0])])
        rooms = [
            Room(*next(pairs), ledger, numbers, f"{options.seed}/room/{number}") for number in range(options.sessions)
        ]
        visitors = [Visitor(rooms, ledger, f"{options.seed}/visitor/{n}") for n in range(options.visitors)]
        for room in rooms:
            room.start()
        for visitor in visitors:
            visitor.start()
        dice = random.Random(f"{options.seed}/gaps")
        for struck, kind in enumerate(plan, 1):
            time.sleep(dice.uniform(0.3, 2 * options.gap - 0.3))
            kill = killer.strike(kind)
            say(f"kill {struck}/{options.kills}: {kind}, hit {len(kill.hit)}; {_progress(ledger, options)}")
        struck = options.kills
        _wait_until_quiet(stage, rooms, ledger, options, say)
        for visitor in visitors:
            visitor.stop()
        for room in rooms:
            room.look_after_the_viewer()
        verdict = judge(stage, rooms, ledger, killer.done)
        for room in rooms:
            room.viewer.leave(quietly=True)
        log = [*stage.product.said, *(f"slow: {line}\n" for line in verdict.slow)]
    visits = sum(visitor.visits for visitor in visitors)
    joins = sum(room.viewer.joins for room in rooms)
    return Outcome(verdict, stage.name, visits, joins, log, time.monotonic() - began)


def possible(postgres: bool) -> list[Kind]:
    """The kinds that can be killed here."""
    missing = set() if postgres else {Kind.DATABASE}
    if not machine.is_possible():
        missing.add(Kind.MACHINE)
    return [kind for kind in Kind if kind not in missing]


def _progress(ledger: Ledger, options: Options) -> str:
    wrong = f"; {len(ledger.wrong)} shown wrongly" if ledger.wrong else ""
    return f"answers {ledger.over}/{options.answers}{wrong}"


def _wait_until_quiet(
    stage: Stage, rooms: list[Room], ledger: Ledger, options: Options, say: Callable[[str], None]
) -> None:
    """Returns when everything was asked and nothing is unfinished, or when nothing has moved for QUIET_SECONDS."""
    before, since = (-1, -1), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        for room in rooms:
            room.look_after_the_viewer()
        news = sum(len(question.sights) for question in ledger.questions)
        left = stage.unfinished() + options.answers - len(ledger.questions)
        if (news, left) != before:
            before, since = (news, left), time.monotonic()
        if left == 0 and ledger.over == options.answers:
            time.sleep(1.0)  # the last frames are on their way
            return
        if left == 0 and time.monotonic() - since > 20:
            return  # a viewer has not heard of an ending; the verdict says which
        say(f"waiting for {left}; {_progress(ledger, options)}")
        time.sleep(1.0)
