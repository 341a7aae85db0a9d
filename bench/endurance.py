"""Memory over a long time: `python -m bench.endurance --minutes 60 --streams 6 --out docs/reliability.md`.

Keeps a few answers running, with viewers who come and go, and every few seconds notes what each process holds (PSS, which
shares out what processes share, so it may be summed) and how much anonymous memory it has mapped. What is flat is shown;
what grows is shown too. PSS also grows where a page that was shared since the fork is copied because somebody wrote to it;
anonymous memory counts such a page before as after. What grows in both is a leak.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import section
from bench.product import MEGABYTE, environment
from bench.regulars import Regulars
from tests.e2e.running import Product
from tests.provider import ProviderProcess
from tests.servers import PostgresServer, RedisServer

WARM_SECONDS = 600.0  # caches fill and copied pages are copied: the slope is that of the time after it
COLORS = ("#2f5fd0", "#d0602f", "#2f9e6f", "#8a4fd0", "#8a8f98", "#b8a13a", "#3aa6b8")


@dataclass
class Result:
    setup: str
    load: str
    seconds: list[float] = field(default_factory=list)  # of each sample, from the start
    megabytes: dict[str, list[float]] = field(default_factory=dict)  # PSS by process, one for each sample
    anonymous: dict[str, list[float]] = field(default_factory=dict)  # megabytes mapped, alike
    counts: Counter[str] = field(default_factory=Counter)
    cpu_share: float = 0.0  # of one core, all of the product's processes together

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(vars(self)))


def name_of(process: psutil.Process, workers: list[int]) -> str:
    words = process.cmdline()
    if "assistant.web" in words:
        return "web server"
    if words and "valkey" in words[0]:
        return "Valkey"
    if process.pid in workers:
        return f"worker {workers.index(process.pid) + 1}"
    if "worker" in words:
        beside = any("worker" in parent.cmdline() for parent in process.parents())
        return "sentinels, pushers, monitors" if beside else "supervisor"
    return "serve"


def sample(product: Product) -> tuple[dict[str, float], dict[str, float]]:
    """Megabytes of PSS, and of anonymous memory, by process; the small ones beside the workers are one."""
    workers = sorted(process.pid for process in product.workers())
    pss: Counter[str] = Counter()
    anonymous: Counter[str] = Counter()
    for process in product.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            name, held = name_of(process, workers), process.memory_full_info()
            pss[name] += held.pss / MEGABYTE
            anonymous[name] += (held.rss - held.shared) / MEGABYTE
    return dict(pss), dict(anonymous)


def note(held: dict[str, float], series: dict[str, list[float]], before: int) -> None:
    """Adds a sample to each process's series; whoever was not there before had 0 in the samples `before` this one."""
    for name in {*held, *series}:
        series.setdefault(name, [0.0] * before).append(held.get(name, 0.0))


def cpu_seconds(product: Product) -> float:
    spent = 0.0
    for process in product.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


async def watch(
    product: Product, regulars: Regulars, result: Result, seconds: float, every: float, keep: Path
) -> None:
    began = time.monotonic()
    running = asyncio.create_task(regulars.run(seconds))
    while not running.done():
        pss, anonymous = await asyncio.to_thread(sample, product)
        note(pss, result.megabytes, len(result.seconds))
        note(anonymous, result.anonymous, len(result.seconds))
        result.seconds.append(time.monotonic() - began)
        result.counts = regulars.counts
        await asyncio.to_thread(result.save, keep)
        await asyncio.wait({running}, timeout=every)
    await running


def run(given: argparse.Namespace, keep: Path) -> Result:
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(ProviderProcess())
        postgres = redis = ""
        if given.postgres:
            postgres = stack.enter_context(PostgresServer()).url
            redis = stack.enter_context(RedisServer()).url
        models = ["openai/words", "openai/*"]
        settings = {name: value for name, value in environment(provider, models, postgres, redis).items() if value}
        product = stack.enter_context(Product(settings))
        [person] = product.people("alice")
        person.http.close()
        load = (
            f"{given.streams} answers at once, {given.rate:g} tokens a second each, {given.visitors} visitors who "
            f"come and go, a sample each {given.every:g} s"
        )
        result = Result("PostgreSQL and Redis" if given.postgres else "SQLite and the embedded Valkey", load)
        regulars = Regulars(product.url, person.token, given.tokens, given.rate, given.streams, given.visitors)
        before, began = cpu_seconds(product), time.monotonic()
        asyncio.run(watch(product, regulars, result, given.minutes * 60, given.every, keep))
        result.cpu_share = (cpu_seconds(product) - before) / (time.monotonic() - began)
        result.save(keep)
        return result


# --- the report ---


def slope(seconds: list[float], values: list[float]) -> float:
    """Megabytes an hour, by least squares."""
    n, mean_x, mean_y = len(seconds), sum(seconds) / len(seconds), sum(values) / len(values)
    over = sum((x - mean_x) ** 2 for x in seconds)
    return 3600 * sum((seconds[i] - mean_x) * (values[i] - mean_y) for i in range(n)) / over if over else 0.0


def at(result: Result, values: list[float], second: float) -> float:
    """The mean of the samples within a minute of `second`."""
    near = [v for s, v in zip(result.seconds, values, strict=True) if abs(s - second) <= 60] or values[-1:]
    return sum(near) / len(near)


def markdown(result: Result, image: str) -> str:
    end, warm = result.seconds[-1], min(WARM_SECONDS, result.seconds[-1] / 3)
    first = next(i for i, second in enumerate(result.seconds) if second >= warm)
    rows = dict(sorted(result.megabytes.items())) | {"together": together(result.megabytes)}
    moments = [warm, warm + (end - warm) / 2, end]
    heads = " | ".join(f"{moment / 60:.0f} min" for moment in moments)
    mapped = result.anonymous | {"together": together(result.anonymous)}
    half = next(i for i, second in enumerate(result.seconds) if second >= moments[1])
    lines = [
        f"| MB of PSS after | {heads} | lowest | highest | MB an hour | in the second half | anonymous memory |",
        f"| --- |{' ---: |' * 8}",
    ]
    for name, values in rows.items():
        late = values[first:]
        cells = [f"{at(result, values, moment):.1f}" for moment in moments]
        cells += [f"{min(late):.1f}", f"{max(late):.1f}", f"{slope(result.seconds[first:], late):+.1f}"]
        cells += [f"{slope(result.seconds[half:], series[half:]):+.1f}" for series in (values, mapped[name])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    counts = result.counts
    answers = counts["success"] + counts["cancelled"] + counts["error"]
    told = (
        f"{result.setup}, {end / 60:.0f} min: {result.load}. {answers} answers ({counts['cancelled']} stopped, "
        f"{counts['error']} failed, {counts['wrong']} with a wrong text), {counts['visits']} visits, "
        f"{counts['holes']} resyncs, {counts['failed requests']} failed requests; the product took "
        f"{result.cpu_share:.0%} of one core ({os.cpu_count()} cores). Lowest, highest and MB an hour are of the time "
        f"after the first {warm / 60:.0f} minutes; the last two columns are MB an hour in the second half of it, of PSS "
        f"and of mapped anonymous memory."
    )
    return f"{told}\n\n![Memory of each process over time]({image})\n\n" + "\n".join(lines) + "\n"


def together(series: dict[str, list[float]]) -> list[float]:
    return [sum(values) for values in zip(*series.values(), strict=True)]


def draw(result: Result, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "endurance"}
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 4), layout="constrained")
    minutes = [second / 60 for second in result.seconds]
    axis.plot(minutes, together(result.megabytes), color="#222222", linewidth=1.8, label="together")
    for color, (name, values) in zip(COLORS, sorted(result.megabytes.items()), strict=False):
        axis.plot(minutes, values, color=color, linewidth=1.3, label=name)
    axis.set(title=f"Memory, {result.setup}", xlabel="minutes", ylabel="MB (PSS)", ylim=(0, None))
    axis.grid(alpha=0.25, linewidth=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.endurance", description="Memory over a long time.")
    parser.add_argument("--minutes", type=float, default=60.0, help="(60)")
    parser.add_argument("--streams", type=int, default=6, help="answers at once (6)")
    parser.add_argument("--rate", type=float, default=20.0, help="tokens a second of each answer (20)")
    parser.add_argument("--tokens", type=int, default=600, help="of each answer (600)")
    parser.add_argument("--visitors", type=int, default=3, help="viewers who come and go (3)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples (10)")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL and Redis servers of its own")
    parser.add_argument("--out", type=Path, help="a document with the markers, e.g. docs/reliability.md")
    parser.add_argument(
        "--keep", type=Path, default=Path("endurance.json"), help="where the samples go, as they come"
    )
    parser.add_argument("--from", type=Path, dest="source", help="reports kept samples instead of running")
    given = parser.parse_args()
    if given.out and not given.out.is_file():
        parser.error(f"there is no {given.out}")
    if given.source:
        kept = json.loads(given.source.read_text())
        result = Result(**kept | {"counts": Counter(kept["counts"])})
    else:
        result = run(given, given.keep)
    image = (given.out.parent if given.out else Path()) / "endurance.svg"
    draw(result, image)
    text = markdown(result, image.name)
    if given.out:
        section.write(given.out, "endurance", text)
    print(text, file=sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
