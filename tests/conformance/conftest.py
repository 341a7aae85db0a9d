from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from assistant.llm import fields
from tests.conformance.playing import Player, playing


@pytest.fixture(autouse=True)
def _new_to_us() -> Iterator[None]:
    """What one case taught about the server is not known in the next."""
    fields.forget()
    yield
    fields.forget()


@pytest.fixture(scope="module")
def player(loop: asyncio.Runner) -> Iterator[Player]:
    async def start() -> tuple[Any, Player]:
        server = playing()
        return server, await server.__aenter__()

    server, player = loop.run(start())
    yield player
    loop.run(server.__aexit__(None, None, None))
