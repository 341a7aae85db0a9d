"""A socket as its client sees it, over the real consumer and the real channel layer."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.test import Client

from assistant.models import ApiToken
from assistant.presentation import broadcast
from tests.client_state import ClientState

SECONDS = 30  # longer than anything here takes; nothing waits that long unless it fails


class Socket:
    """One open socket, as its client sees it. `state` is what the frames so far make."""

    def __init__(self, communicator):
        self.communicator = communicator
        self.state = None
        self.seen = []

    async def frame(self):
        """The next frame."""
        output = await self.communicator.receive_output(SECONDS)
        assert output["type"] == "websocket.send", output
        frame = json.loads(output["text"])
        self.seen.append(frame)
        if frame["type"] == "session.snapshot" and self.state is None:
            self.state = ClientState(frame)
        elif self.state is not None:
            self.state.apply(frame)
        return frame

    async def until(self, type_, **fields):
        """The next frame of that type (with those fields); what comes before it is applied on the way."""
        while True:
            frame = await self.frame()
            if frame["type"] == type_ and all(frame.get(name) == value for name, value in fields.items()):
                return frame

    async def close_code(self):
        """The code with which the server closes, whatever it sends before."""
        while True:
            output = await self.communicator.receive_output(SECONDS)
            if output["type"] == "websocket.close":
                return output["code"]

    async def send(self, frame):
        text = frame if isinstance(frame, str) else json.dumps(frame)
        await self.communicator.send_input({"type": "websocket.receive", "text": text})


@asynccontextmanager
async def opened(session_id, *headers, path=None):
    """An accepted socket with these headers."""
    from project.asgi import application

    await asyncio.to_thread(broadcast.flush, SECONDS)  # what was done before is not news
    path = path or f"/ws/sessions/{session_id}/"
    communicator = WebsocketCommunicator(application, path, headers=[(b"host", b"testserver"), *headers])
    accepted, _ = await communicator.connect(SECONDS)
    assert accepted
    try:
        yield Socket(communicator)
    finally:
        await communicator.disconnect(timeout=SECONDS)


@asynccontextmanager
async def joined(session, header):
    """A socket that has had its snapshot and heard of its own presence."""
    async with opened(session.pk, header) as socket:
        assert (await socket.frame())["type"] == "session.snapshot"
        await socket.until("presence")
        yield socket


@asynccontextmanager
async def reading(session, token):
    """The socket of a reader by the session's share link, who has had the snapshot. It hears nothing of presence."""
    async with opened(session.pk, path=f"/ws/shared/{token}/") as socket:
        assert (await socket.frame())["type"] == "session.snapshot"
        yield socket


def token_of(user):
    return (b"authorization", f"Bearer {ApiToken.issue(user)}".encode())


def cookie_of(user):
    client = Client()
    client.force_login(user)
    name = django_settings.SESSION_COOKIE_NAME
    return (b"cookie", f"{name}={client.cookies[name].value}".encode())


async def do(action, *arguments):
    """Does it in a thread with a connection of its own, and waits until everybody was told."""

    def run():
        try:
            return action(*arguments)
        finally:
            broadcast.flush(SECONDS)
            connection.close()

    return await asyncio.to_thread(run)


def tell(session, frame):
    with transaction.atomic():
        broadcast.on_commit(session.pk, json.dumps(frame))


OWN = (b"origin", b"http://testserver")
