"""What can be asked of this host's processes, and what each of ours does for its memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
from collections.abc import Iterable, Iterator
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


BLIND_SECONDS = 0.1  # between looks where the system does not say when a process ends


def wait_for_end(pids: Iterable[int], seconds: float | None, *others: int) -> None:
    """Sleeps until one of these processes has ended, one of the file descriptors `others` can be read, or so long (None:
    for ever). Wakes earlier where the system can't tell: look again.
    """
    with contextlib.ExitStack() as stack:
        descriptors = list(others)
        for pid in pids:
            try:
                descriptors.append(os.pidfd_open(pid))
            except ProcessLookupError:
                return
            except (OSError, AttributeError):  # not Linux, or one of before 5.3
                seconds = BLIND_SECONDS if seconds is None else min(seconds, BLIND_SECONDS)
            else:
                stack.callback(os.close, descriptors[-1])
        select.select(descriptors, [], [], seconds)


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
