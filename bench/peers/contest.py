"""Who takes part, what they are asked, and the figures of it.

The rounds of a task go from one to the next, so that a slow minute of the machine is everybody's. Memory and the start are
measured while nobody else runs; the rest with all of them up, of which those whose turn it isn't have nothing to do.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bench import load
from bench.figures import Figures
from bench.idle import Idle, idle
from bench.peers.chainlit import ChainlitProcess
from bench.product import Running, add, cpu_seconds, environment
from tests.product import ProductProcess
from tests.provider import ProviderProcess, expected_tokens

RATE = 50  # tokens a second
SETTLE_SECONDS = 3.0
QUIET_SECONDS = 10.0
LATE_SECONDS = 90.0
BARE, CHAINLIT, PARLEY = "bare client", "Chainlit", "Parley"
EVERYBODY = (BARE, CHAINLIT, PARLEY)


@dataclass(frozen=True, slots=True)
class Task:
    """So many people ask so many questions each, one after the other, in each round."""

    name: str
    people: int
    turns: int
    tokens: int
    rounds: int
    is_paced: bool = True
    pause_seconds: float = 0.0

    @property
    def model(self) -> str:
        return f"openai/paced-n={self.tokens}-rate={RATE}" if self.is_paced else f"openai/words-n={self.tokens}"

    @property
    def offsets(self) -> list[float]:
        """Paced ones begin spread over half an answer, and their tokens evenly over one token's time."""
        if not self.is_paced:
            return [0.0] * self.people
        steps = self.tokens // 2
        return [(place * steps // self.people + place / self.people) / RATE for place in range(self.people)]


ONE, EIGHT, BURST = "one person", "eight people", "a burst"
SHORT = [
    Task(ONE, people=1, turns=10, tokens=5, rounds=5, is_paced=False),
    Task(EIGHT, people=8, turns=10, tokens=5, rounds=3, is_paced=False),
    Task(BURST, people=1, turns=1, tokens=2_000, rounds=5, is_paced=False),
]
WARM = Task("warm", people=8, turns=2, tokens=10, rounds=1)


def streams(number: int) -> Task:
    """The task of so many at once. One alone has shorter answers: its first words are what matters, and want many."""
    name = f"{number} streams" if number > 1 else "1 stream"
    if number == 1:
        return Task(name, people=1, turns=8, tokens=60, rounds=3, pause_seconds=0.1)
    return Task(name, people=number, turns=1, tokens=300, rounds=max(1, min(3, 60 // number)))


@dataclass(slots=True)
class Score:
    """What one of them did in one task."""

    figures: Figures = field(default_factory=Figures)
    cpu: dict[str, float] = field(default_factory=dict)  # seconds by kind of process; of the bare client its own
    turns: int = 0
    asking_seconds: float = 0.0  # from the first question to the last end, of all rounds
    burst_seconds: list[float] = field(
        default_factory=list
    )  # from the first token's sending to the last's being there


@dataclass(slots=True)
class Outcome:
    storage: str
    scores: dict[str, dict[str, Score]]  # by who and the task's name
    ready_seconds: dict[str, float] = field(default_factory=dict)
    idle: dict[str, Idle] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Contestant:
    kind: load.Kind
    url: str
    token: str = ""
    process: Running | None = None


def run(
    tasks: list[Task], who: Sequence[str], postgres: str, redis: str, idle_seconds: float, say: Callable[[str], None]
) -> Outcome:
    outcome = Outcome("PostgreSQL" if postgres else "SQLite", {name: {} for name in who})
    began = time.monotonic()
    with ProviderProcess() as provider, contextlib.ExitStack() as stack:
        contestants: dict[str, Contestant] = {}
        for name in who:
            for other in contestants.values():
                _stop(other)
            contestants[name] = contestant = stack.enter_context(
                _contestant(name, provider, [WARM, *tasks], postgres, redis)
            )
            if process := contestant.process:
                process.stop()
                outcome.ready_seconds[name] = process.start()
                _round(provider, contestant, WARM, Score())
                time.sleep(SETTLE_SECONDS)
                outcome.idle[name] = idle(process, idle_seconds)
                say(f"{name}: ready after {outcome.ready_seconds[name]:.1f} s")
        for name in who[:-1]:
            if process := contestants[name].process:
                process.start()
            _round(provider, contestants[name], WARM, Score())
        for task in tasks:
            for number in range(task.rounds):
                say(f"{task.name}, round {number + 1} of {task.rounds}")
                for name in who:
                    score = outcome.scores[name].setdefault(task.name, Score())
                    _round(provider, contestants[name], task, score)
    outcome.seconds = time.monotonic() - began
    return outcome


@contextlib.contextmanager
def _contestant(
    name: str, provider: ProviderProcess, tasks: list[Task], postgres: str, redis: str
) -> Iterator[Contestant]:
    """One of EVERYBODY, started for the first time: what is made only once is made now."""
    if name == BARE:
        yield Contestant("openai", provider.base_url)
    elif name == CHAINLIT:
        with ChainlitProcess(provider.base_url) as process:
            yield Contestant("chainlit", process.url, process=process)
    else:
        settings = environment(provider, sorted({task.model for task in tasks}), postgres, redis)
        with ProductProcess(settings) as product:
            token = product.new_user(f"bench-{uuid.uuid4().hex[:12]}")
            yield Contestant("product", product.url, token, product)


def _stop(contestant: Contestant) -> None:
    if contestant.process:
        contestant.process.stop()


def _round(provider: ProviderProcess, contestant: Contestant, task: Task, score: Score) -> None:
    mark = uuid.uuid4().hex[:8]
    plan = load.Plan(
        kind=contestant.kind,
        url=contestant.url,
        token=contestant.token,
        model=task.model,
        questions=[f"{mark} {place}" for place in range(task.people * task.turns)],
        offsets=task.offsets,
        patience_seconds=task.turns * task.tokens / RATE + LATE_SECONDS,
        pause_seconds=task.pause_seconds,
    )
    provider.reset()
    found = load.run(
        plan,
        on_begin=lambda: add(score.cpu, _cpu(contestant), -1),
        on_end=lambda: add(score.cpu, _cpu(contestant)),
    )
    with contextlib.suppress(TimeoutError):
        provider.wait_for(lambda it: it.active() == 0, QUIET_SECONDS)
    if contestant.process is None:
        add(score.cpu, {"client": found.cpu_seconds})
    records = provider.requests(times=True)
    score.figures.add(found, records, expected_tokens(task.model))
    score.turns += len(found.streams)
    ended = [stream for stream in found.streams if stream.arrivals and stream.ended_at]
    if ended:
        score.asking_seconds += max(s.ended_at for s in ended) - min(s.asked_at for s in ended)
        score.burst_seconds.append(max(s.arrivals[-1][0] for s in ended) - min(r["sent_at"][0] for r in records))


def _cpu(contestant: Contestant) -> dict[str, float]:
    return cpu_seconds(contestant.process) if contestant.process else {}
