"""The product and the provider as the benchmark starts them, and what their processes cost."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import psutil

from tests.provider import ProviderProcess

KINDS = ("web", "worker", "queue", "valkey", "supervisors")
MEGABYTE = 1024 * 1024


class Running(Protocol):
    """What is measured: a tests.product.ProductProcess, or another program that is started like one."""

    def start(self) -> float: ...

    def stop(self) -> object: ...

    def processes(self) -> list[psutil.Process]: ...


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes. `pss` shares out what processes share, so it may be summed; `uss` is what they don't share."""

    processes: int
    pss: float
    uss: float


def environment(provider: ProviderProcess, models: list[str], postgres: str, redis: str) -> dict[str, str]:
    """The product's settings: its defaults, but for the model (and the servers, if they are given)."""
    chosen = {
        "OPENAI_API_BASE": provider.base_url,
        "OPENAI_API_KEY": "sk-bench",
        "ASSISTANT_MODELS": ",".join(models),
    }
    return chosen | {"DATABASE_URL": postgres, "REDIS_URL": redis}


def kind_of(process: psutil.Process) -> str:
    """One of KINDS. `serve` and the worker command are supervisors; who shares a worker's cluster is of the queue."""
    words = process.cmdline()
    if "assistant.web" in words:
        return "web"
    if words and "valkey" in words[0]:
        return "valkey"
    parent = process.parent()
    if "worker" not in words or parent is None or "worker" not in parent.cmdline():
        return "supervisors"
    return "worker" if process.num_threads() > 1 else "queue"  # only a worker proper has an event loop in a thread


def cpu_seconds(product: Running) -> dict[str, float]:
    """User and system seconds so far, by kind."""
    spent = dict.fromkeys(KINDS, 0.0)
    for process in product.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent[kind_of(process)] += times.user + times.system
    return spent


def add(spent: dict[str, float], seconds: Mapping[str, float], times: float = 1.0) -> None:
    for kind, value in seconds.items():
        spent[kind] = spent.get(kind, 0.0) + value * times


def memory(product: Running) -> dict[str, Memory]:
    found: dict[str, list[tuple[int, int]]] = {kind: [] for kind in KINDS}
    for process in product.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            full = process.memory_full_info()
            found[kind_of(process)].append((full.uss, getattr(full, "pss", full.uss)))
    return {
        kind: Memory(len(sizes), sum(pss for _, pss in sizes) / MEGABYTE, sum(uss for uss, _ in sizes) / MEGABYTE)
        for kind, sizes in found.items()
    }
