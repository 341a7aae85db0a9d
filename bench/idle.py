"""`python -m bench.idle`: each process of a product that has nothing to do: its memory, its CPU, how often it wakes."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import section
from bench.product import MEGABYTE, Running, environment, kind_of
from tests.product import ProductProcess
from tests.provider import ProviderProcess

SECONDS = 20.0
SETTLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class IdleProcess:
    """Megabytes (`pss` may be summed, `uss` is what nobody shares), a share of one core, wake-ups a second."""

    kind: str
    pss: float
    uss: float
    threads: int
    cpu: float
    wakes: float


@dataclass(frozen=True, slots=True)
class Idle:
    processes: list[IdleProcess]

    @property
    def pss(self) -> float:
        return sum(process.pss for process in self.processes)

    @property
    def cpu(self) -> float:
        return sum(process.cpu for process in self.processes)


def idle(product: Running, seconds: float = SECONDS) -> Idle:
    family = product.processes()
    before = [_spent(process) for process in family]
    time.sleep(seconds)
    found = []
    for process, (cpu, wakes) in zip(family, before, strict=True):
        memory, (cpu_now, wakes_now) = process.memory_full_info(), _spent(process)
        found.append(
            IdleProcess(
                kind_of(process),
                memory.pss / MEGABYTE,
                memory.uss / MEGABYTE,
                process.num_threads(),
                (cpu_now - cpu) / seconds,
                (wakes_now - wakes) / seconds,
            )
        )
    return Idle(found)


def _spent(process: psutil.Process) -> tuple[float, int]:
    """CPU seconds, and how often one of its threads gave up the processor by itself: each time something woke it."""
    times = process.cpu_times()
    wakes = 0
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        lines = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines())
        wakes += int(lines["voluntary_ctxt_switches"])
    return times.user + times.system, wakes


def table(found: Idle) -> str:
    rows = [
        [one.kind, f"{one.pss:.0f}", f"{one.uss:.0f}", str(one.threads), f"{one.cpu:.2%}", f"{one.wakes:.1f}"]
        for one in sorted(found.processes, key=lambda one: (one.kind, -one.pss))
    ]
    wakes = sum(one.wakes for one in found.processes)
    uss = sum(one.uss for one in found.processes)
    rows.append(["together", f"{found.pss:.0f}", f"{uss:.0f}", "", f"{found.cpu:.2%}", f"{wakes:.1f}"])
    return section.table(["process", "PSS (MB)", "USS (MB)", "threads", "CPU of a core", "wake-ups a second"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--out", type=Path, help="a document with the markers to write into")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--postgres", default="", metavar="URL", help="instead of SQLite; a database of its own")
    parser.add_argument("--redis", default="", metavar="URL", help="instead of the embedded Valkey")
    given = parser.parse_args()
    began, load = time.monotonic(), os.getloadavg()[0]
    with (
        ProviderProcess() as provider,
        ProductProcess(environment(provider, ["openai/words"], given.postgres, given.redis)) as product,
    ):
        product.stop()
        ready = product.start()
        time.sleep(SETTLE_SECONDS)
        found = idle(product, given.seconds)
    text = f"{table(found)}\n\nReady after {ready:.1f} s. {section.circumstances(time.monotonic() - began, load)}"
    if given.out:
        section.write(given.out, "idle", text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
