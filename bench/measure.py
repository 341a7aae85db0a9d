"""One run of the benchmark: the product and the bare client at each number of streams, one after the other."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import load
from bench.figures import Figures
from bench.product import Memory, add, cpu_seconds, environment, memory
from tests.product import ProductProcess
from tests.provider import ProviderProcess, expected_tokens

BURST_TOKENS = 10
TURN_MODEL, TURN_TOKENS, TURNS = (
    "openai/words-n=5",
    5,
    30,
)  # one person, one after the other, as fast as they are answered
IDLE_SECONDS = 3.0
QUIET_SECONDS = 10.0
LATE_SECONDS = 20.0  # after it should have ended an answer counts as unfinished
BUDGET_SECONDS = 240.0  # repeats that would take longer than this in all are left out
LEVEL_SECONDS = 40.0  # what a level needs for its first round


@dataclass(frozen=True, slots=True)
class Options:
    streams: list[int]
    tokens: int
    rate: float  # tokens a second
    repeat: int  # 0: more often where there are few streams
    postgres: str
    redis: str

    @property
    def model(self) -> str:
        return f"openai/paced-n={self.tokens}-rate={self.rate:g}"

    @property
    def burst_model(self) -> str:
        return f"openai/paced-n={BURST_TOKENS}-rate={self.rate:g}"

    def repeats(self, streams: int) -> int:
        return self.repeat or max(1, min(8, 40 // streams))

    def burst_repeats(self, streams: int) -> int:
        return self.repeat or max(1, min(8, 100 // streams))

    def spread_offsets(self, streams: int) -> list[float]:
        """Questions spread over half an answer's length, and their tokens evenly over one token's time."""
        period, length = 1 / self.rate, self.tokens / self.rate
        steps = int(length / 2 / period)
        return [(place * steps // streams + place / streams) * period for place in range(streams)]

    def burst_offsets(self, streams: int) -> list[float]:
        """All questions within one token's time."""
        return [place / streams / self.rate for place in range(streams)]


@dataclass(slots=True)
class Level:
    """What was measured with so many streams."""

    streams: int
    repeats: int = 0
    product: Figures = field(default_factory=Figures)
    bare: Figures = field(default_factory=Figures)
    product_burst: Figures = field(default_factory=Figures)
    bare_burst: Figures = field(default_factory=Figures)
    cpu: dict[str, float] = field(default_factory=dict)  # seconds by kind of process, over `product`
    memory: dict[str, Memory] = field(default_factory=dict)
    load_average: float = 0.0  # of one minute, the highest that was seen


@dataclass(slots=True)
class Result:
    options: Options
    levels: list[Level]
    first_ready_seconds: float  # with a new, empty data dir
    ready_seconds: float
    turn_cpu: dict[str, float]  # seconds of one turn of TURN_TOKENS, by kind of process
    idle_cpu: float  # share of one core
    idle_memory: dict[str, Memory]
    load_average: float  # when it began
    seconds: float = 0.0


def measure(options: Options, say: Callable[[str], None]) -> Result:
    began, load_average = time.monotonic(), os.getloadavg()[0]
    with ProviderProcess() as provider:
        models = [options.model, options.burst_model, TURN_MODEL]
        settings = environment(provider, models, options.postgres, options.redis)
        before = time.monotonic()
        with ProductProcess(settings) as product:
            first_ready = time.monotonic() - before
            token = product.new_user(f"bench-{uuid.uuid4().hex[:12]}")
            product.stop()
            ready = product.start()
            say(f"Ready after {ready:.1f} s")
            bench = _Bench(options, provider, product, token)
            bench.warm_up()
            idle_memory, idle_cpu = memory(product), _idle_cpu(product)
            turn_cpu = bench.cpu_of_a_turn()
            levels = []
            for place, streams in enumerate(options.streams):
                say(f"{streams} streams ...")
                reserve = LEVEL_SECONDS * (len(options.streams) - place - 1)
                levels.append(bench.level(streams, began + BUDGET_SECONDS - reserve))
    return Result(
        options, levels, first_ready, ready, turn_cpu, idle_cpu, idle_memory, load_average, time.monotonic() - began
    )


class _Bench:
    def __init__(self, options: Options, provider: ProviderProcess, product: ProductProcess, token: str) -> None:
        self.options, self.provider, self.product, self.token = options, provider, product, token

    def warm_up(self) -> None:
        """Several short answers at once, so that each worker process has had its first one."""
        offsets = self.options.burst_offsets(8)
        for kind in ("product", "product", "bare"):
            self._run(kind, self.options.burst_model, offsets, Figures(), BURST_TOKENS)

    def cpu_of_a_turn(self) -> dict[str, float]:
        spent: dict[str, float] = {}
        self._run("product", TURN_MODEL, [0.0], Figures(), TURN_TOKENS, spent, turns=TURNS)
        return {kind: seconds / TURNS for kind, seconds in spent.items()}

    def level(self, streams: int, until: float) -> Level:
        """Every round at least once, again until it has its number or it is `until` (unless --repeat asks for it)."""
        options = self.options
        level = Level(streams)
        spread, burst = options.spread_offsets(streams), options.burst_offsets(streams)
        for place in range(options.repeats(streams)):
            if place and not options.repeat and time.monotonic() > until:
                break
            level.repeats += 1
            self._run("bare", options.model, spread, level.bare, options.tokens)
            self._run("product", options.model, spread, level.product, options.tokens, level.cpu)
            level.load_average = max(level.load_average, os.getloadavg()[0])
        for place in range(options.burst_repeats(streams)):
            if level.product.letters.unfinished or (place and not options.repeat and time.monotonic() > until):
                break  # what could not keep up with paced questions isn't asked more at once
            self._run("bare", options.burst_model, burst, level.bare_burst, BURST_TOKENS)
            self._run("product", options.burst_model, burst, level.product_burst, BURST_TOKENS)
        level.memory = memory(self.product)
        return level

    def _run(
        self,
        kind: str,
        model: str,
        offsets: list[float],
        figures: Figures,
        tokens: int,
        cpu: dict[str, float] | None = None,
        turns: int = 1,
    ) -> None:
        cost: dict[str, float] = {}
        mark = uuid.uuid4().hex[:8]
        plan = load.Plan(
            kind="product" if kind == "product" else "bare",
            url=self.product.url if kind == "product" else self.provider.base_url,
            token=self.token,
            model=model,
            questions=[f"{mark} {place}" for place in range(len(offsets) * turns)],
            offsets=offsets,
            patience_seconds=tokens / self.options.rate + LATE_SECONDS,
        )
        self.provider.reset()
        run = load.run(
            plan,
            on_begin=lambda: add(cost, cpu_seconds(self.product), -1),
            on_end=lambda: add(cost, cpu_seconds(self.product)),
        )
        with contextlib.suppress(TimeoutError):
            self.provider.wait_for(lambda provider: provider.active() == 0, QUIET_SECONDS)
        figures.add(run, self.provider.requests(times=True), expected_tokens(model))
        if cpu is not None:
            add(cpu, cost)


def _idle_cpu(product: ProductProcess) -> float:
    before = sum(cpu_seconds(product).values())
    time.sleep(IDLE_SECONDS)
    return (sum(cpu_seconds(product).values()) - before) / IDLE_SECONDS
