"""What can be asked of this host's processes, and what each of ours does for its memory."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import psutil


def boot_id() -> str:
    """Tells pids of this run of this host (or container) from those of any other."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:36]}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:  # not Linux
        return "unknown"


def is_process(pid: int) -> bool:
    """Whether a process of that id runs. A dead one that its parent has not yet asked about does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def freeze_heap() -> None:
    """Takes all that is loaded out of the garbage collector's sight: none of it ever goes away.

    Python collects its oldest generation only once what is new in it makes a quarter of what survived the last time. The
    second collection makes it forget the frozen million: otherwise it would wait for a quarter of that in garbage.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
