"""What can be asked of this host's processes, and what each of ours does for its memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Iterator
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


MOST_ARENAS = 2
_M_ARENA_MAX = -8  # of mallopt(3), glibc's malloc.h


def share_arenas() -> None:
    """Has the threads of this process allocate from two arenas. Before any thread; MALLOC_ARENA_MAX has precedence.

    glibc gives each thread an arena, up to eight for each core, and what one thread has freed is no room for another. The
    page caches of SQLite's connections come and go in all of them, so the process keeps the peak of each.
    """
    if "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(OSError, TypeError, AttributeError):  # another C library: it has no such arenas
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, MOST_ARENAS)


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """For loading what stays: the garbage collector would look at each module's objects again and again, which is a third
    of the time that litellm's import takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def freeze_heap() -> None:
    """Takes all that is loaded out of the garbage collector's sight: none of it ever goes away.

    Python collects its oldest generation only once what is new in it makes a quarter of what survived the last time. The
    second collection makes it forget the frozen million: otherwise it would wait for a quarter of that in garbage.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
