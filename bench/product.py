"""The product and the provider as the benchmark starts them, and what their processes cost."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil

from tests.product import ProductProcess
from tests.provider import ProviderProcess

KINDS = ("web", "worker", "valkey", "supervisor")
MEGABYTE = 1024 * 1024


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
    """One of KINDS. The worker's supervisor and all that it forked are `worker`; `serve` itself is `supervisor`."""
    words = process.cmdline()
    if "assistant.web" in words:
        return "web"
    if "worker" in words:
        return "worker"
    return "valkey" if words and "valkey" in words[0] else "supervisor"


def cpu_seconds(product: ProductProcess) -> dict[str, float]:
    """User and system seconds so far, by kind."""
    spent = dict.fromkeys(KINDS, 0.0)
    for process in product.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent[kind_of(process)] += times.user + times.system
    return spent


def memory(product: ProductProcess) -> dict[str, Memory]:
    found: dict[str, list[tuple[int, int]]] = {kind: [] for kind in KINDS}
    for process in product.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            full = process.memory_full_info()
            found[kind_of(process)].append((full.uss, getattr(full, "pss", full.uss)))
    return {
        kind: Memory(len(sizes), sum(pss for _, pss in sizes) / MEGABYTE, sum(uss for uss, _ in sizes) / MEGABYTE)
        for kind, sizes in found.items()
    }
