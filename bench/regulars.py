"""People for a long run: rooms in which one question follows the other, and visitors who come and go. All on one loop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import orjson

from bench.load import Stream
from bench.viewer import FINISHED, Viewer
from tests.provider import expected_text

ANSWERS_PER_SESSION = 10
STOP_SHARE = 0.05
VISIT_SECONDS = (1.0, 20.0)


@dataclass
class Regulars:
    """`counts` says what came of it: answers by status, `wrong` texts, `visits`, `holes`, `failed requests`."""

    url: str
    token: str
    tokens: int
    rate: float
    rooms: int
    visitors: int
    counts: Counter[str] = field(default_factory=Counter)
    _sessions: dict[int, str] = field(default_factory=dict)
    _number: int = 0

    async def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        headers = {"Authorization": f"Bearer {self.token}"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client, asyncio.TaskGroup() as group:
            for room in range(self.rooms):
                group.create_task(self._keep_busy(client, room, until))
            for visitor in range(self.visitors):
                group.create_task(self._wander(client, random.Random(visitor), until))

    async def _keep_busy(self, client: aiohttp.ClientSession, room: int, until: float) -> None:
        dice = random.Random(f"room {room}")
        await asyncio.sleep(dice.uniform(0, self.tokens / self.rate))  # so that they don't all begin together
        while time.monotonic() < until:
            session = str((await self._post(client, "/api/sessions", {"title": "A long run"}))["id"])
            self._sessions[room] = session
            for _ in range(ANSWERS_PER_SESSION):
                if time.monotonic() >= until:
                    break
                try:
                    await self._ask(client, session, dice)
                except (aiohttp.ClientError, OSError):
                    self.counts["failed requests"] += 1
                    await asyncio.sleep(1)

    async def _ask(self, client: aiohttp.ClientSession, session: str, dice: random.Random) -> None:
        self._number += 1
        question = f"Question {self._number}?"
        model = f"openai/markdown-n{self.tokens}-rate={self.rate:g}-tag={self._number}"
        viewer = await Viewer.enter(client, self.url, session, Stream(question))
        try:
            body = {"client_id": f"c{self._number}", "content": question, "model": model}
            sent = await self._post(client, f"/api/sessions/{session}/messages", body)
            answer = sent["reply"]["id"]
            reading = asyncio.create_task(_until_ended(viewer, answer))
            if dice.random() < STOP_SHARE:
                await asyncio.sleep(dice.uniform(1, self.tokens / self.rate))
                with contextlib.suppress(aiohttp.ClientResponseError):  # it may have ended a moment before
                    await self._post(client, f"/api/messages/{answer}/cancel", {})
            message = await reading
        finally:
            await viewer.close()
        self.counts[message["status"]] += 1
        expected = expected_text(model, question)
        whole = message["content"] == expected
        if not (whole or (message["status"] == "cancelled" and expected.startswith(message["content"]))):
            self.counts["wrong"] += 1

    async def _wander(self, client: aiohttp.ClientSession, dice: random.Random, until: float) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(dice.uniform(0, 2))
            if not self._sessions:
                continue
            session = dice.choice(list(self._sessions.values()))
            stream = Stream("")
            try:
                viewer = await Viewer.enter(client, self.url, session, stream)
                reading = asyncio.create_task(viewer.read())
                await asyncio.wait({reading}, timeout=dice.uniform(*VISIT_SECONDS))
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                await viewer.close()
            except (aiohttp.ClientError, OSError):
                self.counts["failed requests"] += 1
                continue
            self.counts["visits"] += 1
            self.counts["holes"] += stream.holes

    async def _post(self, client: aiohttp.ClientSession, path: str, body: dict[str, str]) -> dict:
        async with client.post(self.url + path, json=body) as response:
            response.raise_for_status()
            return dict(orjson.loads(await response.read()))


async def _until_ended(viewer: Viewer, answer: str) -> dict:
    """The ended message, as its viewer was told it."""
    async for frame in viewer.frames():
        messages = [frame["message"]] if frame["type"] == "message.updated" else frame.get("messages", [])
        for message in messages:
            if message["id"] == answer and message["status"] in FINISHED:
                return dict(message)
    raise aiohttp.ClientConnectionError("The socket was closed.")
