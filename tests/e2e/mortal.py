"""A Django app with which a process of the product kills itself, with SIGKILL, at a point that a test names.

The test writes `before rounds.settle 2` into the file that DOOM_FILE names: whichever process is the second to come to that
point dies there, and the file is empty then.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import inspect
import os
import pkgutil
import signal
from collections.abc import Callable
from typing import Any

from django.apps import AppConfig

MORTAL = (
    "assistant.prompt.file_contents:prepare",
    "assistant.prompt.file_contents:_keep",
    "assistant.prompt.context:prompt_for",
    "assistant.presentation.events:turn_status",
    "assistant.lifecycle.claiming:_claimed",
    "assistant.lifecycle.answering:fail",
    "assistant.lifecycle.answering:succeed",
    "assistant.lifecycle.approving:allow",
    "assistant.lifecycle.asking:send",
    "assistant.lifecycle.attaching:_reserve",
    "assistant.lifecycle.attaching:upload",
    "assistant.lifecycle.summaries:part_to_summarise",
    "assistant.lifecycle.summaries:store",
    "assistant.lifecycle.rounds:begin_calls",
    "assistant.lifecycle.rounds:continue_later",
    "assistant.lifecycle.endings:give_back",
    "assistant.lifecycle.rounds:open_round",
    "assistant.lifecycle.rounds:park",
    "assistant.lifecycle.rounds:settle",
    "assistant.lifecycle.steering:take",
    "assistant.lifecycle.ledger:record",
    "assistant.llm:stream",
    "assistant.worker.metering:_Meter.see",
    "assistant.worker.runner:Runner._begin",
    "assistant.worker.tool_execution:CallRunner.result_of",
    "tests.e2e.counting_tools:_note",
)


class Mortal(AppConfig):
    name = "tests.e2e.mortal"

    def ready(self) -> None:
        from assistant.mcp import connections  # there are models now

        # On a machine with much to do a server of tools starts for longer than an answer waits for it; that an answer then
        # does without is tested elsewhere.
        connections.START_WAIT_SECONDS = connections.CALL_START_WAIT_SECONDS
        for path in MORTAL:
            module, _, inside = path.partition(":")
            *within, attribute = inside.split(".")
            holder = pkgutil.resolve_name(f"{module}:{'.'.join(within)}")
            name = f"{within[-1] if within else module.rpartition('.')[2]}.{attribute}"
            setattr(holder, attribute, _mortal(getattr(holder, attribute), name))


def _mortal(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*arguments: Any, **named: Any) -> Any:
            _come_to(f"before {name}")
            result = await function(*arguments, **named)
            _come_to(f"after {name}")
            return result

        return awaited

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        _come_to(f"before {name}")
        result = function(*arguments, **named)
        _come_to(f"after {name}")
        return result

    return called


def _come_to(point: str) -> None:
    with contextlib.suppress(FileNotFoundError), open(os.environ["DOOM_FILE"], "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        named, _, left = file.read().rpartition(" ")
        if named != point:
            return
        file.seek(0)
        file.truncate()
        if left == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        file.write(f"{point} {int(left) - 1}")
