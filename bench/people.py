"""Who asks, by what they speak: the product's API and socket, Chainlit's socket, openai's client, bare HTTP.

Each is as cheap as its protocol allows, so that a client on the same machine takes little from what it measures.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any, Protocol

import aiohttp
import orjson

from bench.load import Plan, Stream
from bench.viewer import Viewer

SESSIONS_AT_ONCE = 4


class Person(Protocol):
    async def ask(self, stream: Stream) -> None:
        """Asks the stream's question, and reads the answer into it until it has ended."""

    async def close(self) -> None: ...


async def enter(client: aiohttp.ClientSession, plan: Plan) -> list[Person]:
    """A person for each offset, with all open that a person has open who is about to ask."""
    room = asyncio.Semaphore(SESSIONS_AT_ONCE)

    async def one() -> Person:
        async with room:
            match plan.kind:
                case "product":
                    return await InProduct.enter(client, plan)
                case "chainlit":
                    return await InChainlit.enter(client, plan)
                case "openai":
                    return WithOpenai(plan)
                case "bare":
                    return WithHttp(client, plan)

    return await asyncio.gather(*(one() for _ in plan.offsets))


class InProduct:
    """In a session of their own."""

    def __init__(self, client: aiohttp.ClientSession, plan: Plan, viewer: Viewer) -> None:
        self._client, self._plan, self._viewer = client, plan, viewer

    @classmethod
    async def enter(cls, client: aiohttp.ClientSession, plan: Plan) -> InProduct:
        async with client.post(f"{plan.url}/api/sessions", json={"title": "bench"}) as response:
            response.raise_for_status()
            session = str((await response.json())["id"])
        return cls(client, plan, await Viewer.enter(client, plan.url, session, Stream("")))

    async def ask(self, stream: Stream) -> None:
        self._viewer.turn_to(stream)
        reading = asyncio.create_task(self._viewer.read())
        try:
            body = {"client_id": stream.question, "content": stream.question, "model": self._plan.model}
            address = f"{self._plan.url}/api/sessions/{self._viewer.session}/messages"
            stream.asked_at = time.monotonic()
            async with self._client.post(address, json=body) as response:
                await response.read()
                stream.answered_at = time.monotonic()
                response.raise_for_status()
            await reading
        finally:
            reading.cancel()

    async def close(self) -> None:
        await self._viewer.close()


class InChainlit:
    """In a chat of their own, over socket.io 5 on engine.io 4: texts that begin with the packet's type.

    `0` open, `2` ping, `3` pong, `40` connect, `42` an event as a JSON array (https://socket.io/docs/v4/socket-io-protocol/).
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @classmethod
    async def enter(cls, client: aiohttp.ClientSession, plan: Plan) -> InChainlit:
        address = f"{plan.url.replace('http', 'ws', 1)}/ws/socket.io/?EIO=4&transport=websocket"
        person = cls(await client.ws_connect(address, max_msg_size=0))
        who = {
            "sessionId": str(uuid.uuid4()),
            "clientType": "webapp",
            "userEnv": "{}",
            "chatProfile": plan.model.removeprefix("openai/"),  # the app asks the model of that name
            "threadId": "",
        }
        await person._socket.receive_str()
        await person._socket.send_str(f"40{orjson.dumps(who).decode()}")
        if not (answer := await person._socket.receive_str()).startswith("40"):
            raise RuntimeError(f"Chainlit did not let us in: {answer}")
        await person._emit("connection_successful")
        while (await person._event())[0] != "clear_call_fn":  # the last that it says to whoever comes
            pass
        return person

    async def ask(self, stream: Stream) -> None:
        message = {
            "id": str(uuid.uuid4()),
            "threadId": "",
            "name": "bench",
            "type": "user_message",
            "output": stream.question,
            "createdAt": "",
        }
        stream.asked_at = time.monotonic()
        await self._emit("client_message", {"message": message, "fileReferences": []})
        while True:
            name, found = await self._event()
            if name == "stream_start":
                stream.arrivals.append((time.monotonic(), found["output"]))
            elif name == "stream_token":
                stream.arrivals.append((time.monotonic(), found["token"]))
            elif name == "update_message" and found["type"] == "assistant_message":
                stream.final, stream.status = found["output"], "success"
            elif name == "task_end":
                return

    async def close(self) -> None:
        await self._socket.close()

    async def _emit(self, *event: Any) -> None:
        await self._socket.send_str(f"42{orjson.dumps(event).decode()}")

    async def _event(self) -> tuple[str, Any]:
        while True:
            packet = await self._socket.receive_str()
            if packet.startswith("42"):
                name, *found = orjson.loads(packet[2:])
                return name, found[0] if found else None
            if packet == "2":
                await self._socket.send_str("3")


class WithOpenai:
    """With openai's own client, as a script would use it."""

    def __init__(self, plan: Plan) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(base_url=plan.url, api_key="sk-bench", max_retries=0)
        self._create = self._client.chat.completions.create  # what this imports is no turn's
        self._model = plan.model.removeprefix("openai/")

    async def ask(self, stream: Stream) -> None:
        stream.asked_at = time.monotonic()
        answer = await self._create(
            model=self._model, messages=[{"role": "user", "content": stream.question}], stream=True
        )
        async for chunk in answer:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                stream.arrivals.append((time.monotonic(), text))
        stream.status, stream.final = "success", "".join(text for _, text in stream.arrivals)

    async def close(self) -> None:
        await self._client.close()


class WithHttp:
    """A client that reads the same provider with nothing in between."""

    def __init__(self, client: aiohttp.ClientSession, plan: Plan) -> None:
        self._client, self._plan = client, plan

    async def ask(self, stream: Stream) -> None:
        body = {
            "model": self._plan.model.removeprefix("openai/"),
            "stream": True,
            "messages": [{"role": "user", "content": stream.question}],
        }
        stream.asked_at = time.monotonic()
        async with self._client.post(f"{self._plan.url}/chat/completions", json=body) as response:
            stream.answered_at = time.monotonic()
            response.raise_for_status()
            async for line in response.content:
                if not line.startswith(b"data: {"):
                    continue
                arrived = time.monotonic()
                for choice in orjson.loads(line[6:])["choices"]:
                    if text := choice["delta"].get("content"):
                        stream.arrivals.append((arrived, text))
        stream.status, stream.final = "success", "".join(text for _, text in stream.arrivals)

    async def close(self) -> None:
        pass
