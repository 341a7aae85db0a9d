"""The measured numbers as Markdown, and their place in docs/performance.md."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.figures import Figures, percentile
from bench.measure import LATE_SECONDS, TURN_TOKENS, Level, Result
from bench.product import KINDS, Memory

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
PACKAGES = ("django", "daphne", "channels-redis", "django-q2", "litellm")


def markdown(result: Result, image: str) -> str:
    """Everything between the markers. `image` is the plot's address, seen from the document."""
    parts = [
        _circumstances(result),
        _targets(result),
        f"![Added delays by the number of streams]({image})",
        "### Added time to the first token (ms)",
        _table(
            ["streams", "product p50", "p95", "max", "bare p50", "p95",
             "asked at once: product p50", "p95", "bare p50", "p95", "POST p50", "p95"],
            ([
                str(level.streams), *_ms(level.product.delays.first, 0.5, 0.95, 1.0),
                *_ms(level.bare.delays.first, 0.5, 0.95), *_ms(level.product_burst.delays.first, 0.5, 0.95),
                *_ms(level.bare_burst.delays.first, 0.5, 0.95), *_ms(level.product.delays.posts, 0.5, 0.95),
            ] for level in result.levels),
        ),
        "### Added time per token (ms), and what went wrong",
        _table(
            ["streams", "product p50", "p95", "p99", "bare p50", "p95", "p99",
             "tokens", "lost", "doubled", "reordered", "unfinished", "differing texts", "resyncs", "sockets closed"],
            ([
                str(level.streams), *_ms(level.product.delays.tokens, 0.5, 0.95, 0.99),
                *_ms(level.bare.delays.tokens, 0.5, 0.95, 0.99), *_letters(level.product, level.product_burst),
            ] for level in result.levels),
        ),
        "### CPU seconds per 1000 tokens, and who was late (ms, p99)",
        _table(
            ["streams", "rounds", *KINDS, "together", "load client", "provider late", "load client late", "load average"],
            (_costs(level) for level in result.levels),
        ),
        "### CPU by process (ms)",
        _table(["of", *KINDS, "together"], _cpu_by_process(result)),
        "### Memory (MB): PSS, and USS in brackets",
        _table(
            ["after", *KINDS, "together"],
            [["the start", *_sizes(result.idle_memory)]]
            + [[f"{level.streams} streams", *_sizes(level.memory)] for level in result.levels],
        ),
        _processes(result),
    ]  # fmt: skip
    return "\n\n".join(parts)


def write(path: Path, text: str) -> None:
    """Puts `text` between the markers of the document. Raises ValueError if it has none."""
    document = path.read_text()
    if BEGIN not in document or END not in document:
        raise ValueError(f"{path} has no {BEGIN} and {END}.")
    before, after = document.partition(BEGIN)[0], document.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _circumstances(result: Result) -> str:
    options = result.options
    parts = "PostgreSQL" if options.postgres else "SQLite"
    parts += " and Redis" if options.redis else " and the embedded Valkey"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"Measured on {datetime.now(UTC):%d %B %Y} in {result.seconds:.0f} s, on {parts}, with {_machine()}; "
        f"product, provider and load client share it. Load average when it began: {result.load_average:.1f}. "
        f"{options.tokens} tokens at {options.rate:g} a second for each stream. "
        f"Python {platform.python_version()}, {versions}."
    )


def _machine() -> str:
    name = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)):
        name = " ".join(found[1].split())
    return f"{os.cpu_count()} cores ({name}) and {psutil.virtual_memory().total / 2**30:.0f} GB of memory"


def _targets(result: Result) -> str:
    lines = [_target("from a warm install to Ready", result.ready_seconds, 8, "s")]
    for level in result.levels:
        first, tokens = level.product.delays.first, level.product.delays.tokens
        if level.streams == 1:
            lines.append(_target("1 stream, first token, p50", percentile(first, 0.5) * 1000, 30, "ms"))
        if level.streams == 20:
            lines.append(_target("20 streams, first token, p95", percentile(first, 0.95) * 1000, 80, "ms"))
            lines.append(_target("20 streams, each token, p95", percentile(tokens, 0.95) * 1000, 80, "ms"))
    wrong = sum(_wrong(figures) for level in result.levels for figures in (level.product, level.product_burst))
    lines.append(f"- tokens lost, doubled or reordered: {wrong} (target 0): {'missed' if wrong else 'reached'}")
    late = sum(level.product.letters.unfinished + level.product_burst.letters.unfinished for level in result.levels)
    lines.append(f"- answers that had not ended {LATE_SECONDS:g} s after they should have: {late}")
    lines.append(f"- the first start, with an empty data dir to migrate: {result.first_ready_seconds:.1f} s to Ready")
    return "\n".join(lines)


def _target(what: str, value: float, limit: float, unit: str) -> str:
    verdict = "reached" if value < limit else "missed"
    return f"- {what}: {value:.1f} {unit} (target below {limit:g}): {verdict}"


def _wrong(figures: Figures) -> int:
    return figures.letters.lost + figures.letters.doubled + figures.letters.reordered


def _letters(*all_figures: Figures) -> list[str]:
    """Counts of the paced streams and of those that were asked at once."""
    letters = [figures.letters for figures in all_figures]
    names = ("arrived", "lost", "doubled", "reordered", "unfinished", "differing", "resyncs", "closes")
    return [f"{sum(getattr(one, name) for one in letters):,}" for name in names]


def _costs(level: Level) -> list[str]:
    thousands = level.product.letters.arrived / 1000 or math.nan
    costs = [level.cpu[kind] / thousands for kind in KINDS]
    costs += [sum(costs), level.product.client_cpu / thousands]
    late = [*_ms(level.product.delays.provider, 0.99), *_ms(level.product.delays.client, 0.99)]
    return [
        str(level.streams),
        str(level.repeats),
        *(f"{cost:.2f}" for cost in costs),
        *late,
        f"{level.load_average:.1f}",
    ]


def _cpu_by_process(result: Result) -> Iterable[list[str]]:
    yield [f"a turn of {TURN_TOKENS} tokens", *_milliseconds(result.turn_cpu, 1)]
    for level in result.levels:
        name = "stream" if level.streams == 1 else "streams"
        yield [f"a frame at {level.streams} {name}", *_milliseconds(level.cpu, level.product.frames)]


def _milliseconds(cpu: dict[str, float], count: int) -> list[str]:
    costs = [cpu.get(kind, 0.0) / (count or math.nan) * 1000 for kind in KINDS]
    return [f"{cost:.2f}" for cost in [*costs, sum(costs)]]


def _sizes(found: dict[str, Memory]) -> list[str]:
    sizes = [(found[kind].pss, found[kind].uss) for kind in KINDS]
    sizes.append((sum(pss for pss, _ in sizes), sum(uss for _, uss in sizes)))
    return [f"{pss:.0f} ({uss:.0f})" for pss, uss in sizes]


def _processes(result: Result) -> str:
    counts = ", ".join(f"{kind} {result.idle_memory[kind].processes}" for kind in KINDS)
    return f"Processes: {counts}. With nothing to do the product takes {result.idle_cpu:.1%} of one core."


def _ms(values: Iterable[float], *shares: float) -> list[str]:
    values = list(values)
    return [_number(percentile(values, share) * 1000) for share in shares]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{' ---: |' * len(heads)}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])
