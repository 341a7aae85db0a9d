"""What a loop sends to Valkey, in the order in which it was put in: all that waits goes as one pipeline.

While one is under way the next gathers, so a busy loop makes few round trips, and an idle one doesn't wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError

from assistant.delivery import valkey
from assistant.delivery.valkey import Command


class Outbox:
    """Of the running loop, which closes it."""

    def __init__(self) -> None:
        self._client = valkey.async_client()
        self._waiting: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def run(self, *commands: Command) -> list[Any]:
        """What the server answered to each command, which may be an error.

        Raises one of `valkey.Unavailable`; then the commands may have been run all the same, or some of them.
        """
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answered))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="outbox")
        return await answered

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                await self._send_together(waiting)
        finally:
            self._sending = None

    async def _send_together(self, waiting: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]]) -> None:
        try:
            results = iter(await self._run([command for commands, _ in waiting for command in commands]))
        except Exception as error:
            for _, answered in waiting:
                if not answered.done():  # whoever asked has gone
                    answered.set_exception(error)
            return
        for commands, answered in waiting:
            own = [next(results) for _ in commands]
            if not answered.done():
                answered.set_result(own)

    async def _run(self, commands: list[Command]) -> list[Any]:
        """A server that doesn't know a script is told it, and asked again for what needs it."""
        results = await self._pipeline(commands)
        unknown = [index for index, result in enumerate(results) if isinstance(result, NoScriptError)]
        if unknown:
            texts = {script.text for index in unknown if (script := commands[index].script)}
            telling = [Command(("SCRIPT LOAD", text)) for text in texts]
            again = await self._pipeline([*telling, *(commands[index] for index in unknown)])
            for index, result in zip(unknown, again[len(telling) :], strict=True):
                results[index] = result
        return results

    async def _pipeline(self, commands: list[Command]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command.arguments)
            results: list[Any] = await pipe.execute(raise_on_error=False)
            return results
