"""A call of a tool whose server can't be had now: the model and people are told why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from assistant.mcp.connections import AWAY, STARTING, UNAUTHORIZED, Missing
from assistant.models import ToolCall
from assistant.toolbox.offer import Offer
from assistant.worker.tool_execution import CallRunner


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (STARTING, "is still being started"),
        (AWAY, "can't be reached"),
        (UNAUTHORIZED, "has to be connected again by an administrator"),
    ],
)
def test_a_call_of_a_missing_server_says_why_it_was_not_run(why: str, said: str) -> None:
    nothing: Any = None
    offer = Offer(missing=[Missing("depot", "Depot", why)])
    runner = CallRunner(nothing, offer, nothing, nothing, 0.0)
    result = asyncio.run(runner.result_of(ToolCall(name="depot__add", arguments="{}")))
    assert f"Not run: Depot {said}." in str(result)
