"""Tools that end the process in which they run, each in its way, whenever they are called."""

from __future__ import annotations

import os
import signal
import time

from assistant.tools import Service

poison = Service("poison", title="Poison")
LIMIT_MB = 200


@poison.tool(title="Leave", timeout=60, idempotent=True)
def leave() -> str:
    """Ends the process, as a library may that meets what it can't bear."""
    os._exit(1)


@poison.tool(title="Gorge", timeout=60, idempotent=True)
def gorge() -> str:
    """Eats memory up to a limit, at which the kernel does what it does."""
    eaten: list[bytes] = []
    while len(eaten) < LIMIT_MB:
        eaten.append(b"x" * 1024 * 1024)
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@poison.tool(title="Stall", timeout=60, idempotent=True)
async def stall() -> str:
    """Blocks the loop on which all turns run, until the supervisor ends the process."""
    time.sleep(600)  # noqa: ASYNC251  that is what it is for
    return "never"
