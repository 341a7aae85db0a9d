"""Who doesn't read, or sends without end, costs the web server a bounded share, and the others nothing."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
from typing import Any

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from assistant.web.backpressure import MOST_FRAMES_A_SECOND, TOO_MANY_FRAMES
from tests.product import ProductProcess
from tests.provider import expected_text

from .people import Person, tagged
from .running import Product
from .viewer import View

HUGE = "big=1M-pieces=2000"
DEAF = 20
MB = 1_000_000
MOST_GROWTH_MB = (
    45  # of the web server; each answer is 2 MB and more on its way to each viewer, to all deaf ones 40 MB
)


class DeafViewer:
    """Joins a session and reads nothing until `listen`."""

    def __init__(self, product: ProductProcess, token: str, session: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(60)
        self._socket.connect(("127.0.0.1", product.port))
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /ws/sessions/{session}/ HTTP/1.1\r\nHost: 127.0.0.1:{product.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb")
        while (line := self._file.readline()) != b"\r\n":
            assert line, "the server hung up"
        self.first = self.frame()

    def frame(self) -> dict[str, Any]:
        """The next text frame of the server's, which are not masked."""
        while True:
            head = self._file.read(2)
            if len(head) < 2:
                raise ConnectionResetError("the server hung up")
            length = head[1]
            if length >= 126:
                length = int.from_bytes(self._file.read(2 if length == 126 else 8))
            body = self._file.read(length)
            if head[0] & 0x0F == 1:
                found: dict[str, Any] = json.loads(body)
                return found

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def memory(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / MB


def test_who_reads_nothing_gets_one_snapshot_and_costs_a_buffer(product: Product, alice: Person) -> None:
    """What it costs does not grow with what is sent: the first answer fills the buffers, two more change nothing."""
    session = alice.new_session(tagged(HUGE))
    whole = expected_text(HUGE)
    assert len(whole) >= MB
    web = product.child("assistant.web")
    with contextlib.ExitStack() as stack:
        viewer = stack.enter_context(alice.view(session))
        deaf = [DeafViewer(product, alice.token, session) for _ in range(DEAF)]
        for one in deaf:
            stack.callback(one.close)
        assert {one.first["type"] for one in deaf} == {"session.snapshot"}
        answers, held = [], []
        for _ in range(3):
            answers.append(alice.asked(session))
            ended = viewer.wait_for_end(answers[-1], 180)
            assert (ended["status"], ended["content"]) == ("success", whole)
            # Two megabytes at once are more than a reader on a busy machine may have kept up with: then it was sent a
            # snapshot like the others, and the ending brings what is missing.
            assert whole.startswith(viewer.view.endings[answers[-1]].text)
            assert viewer.view.text(answers[-1]) == whole
            assert alice.message(answers[-1])["content"] == whole
            held.append(memory(web))
        print(f"the web server held {held} MB after each answer")
        assert held[-1] - held[0] < MOST_GROWTH_MB
        # Now it reads. The kernel's buffers grow while they fill, so it may have been sent a snapshot on the way, too.
        view, sent = View(), 0
        view.apply(deaf[0].first)
        while any((view.status(answer), view.text(answer)) != ("success", whole) for answer in answers):
            try:
                frame = deaf[0].frame()
            except ConnectionError:  # three answers took longer than a ping may go unanswered: it comes again
                deaf[0] = DeafViewer(product, alice.token, session)
                stack.callback(deaf[0].close)
                frame = deaf[0].first
            view.apply(frame)
            sent += len(json.dumps(frame)) if frame["type"] != "session.snapshot" else 0
    assert view.seen["session.snapshot"] >= 2, "it was shown how things stand, and had asked for nothing"
    assert sent < len(whole) * 3, "of what was sent meanwhile it got what the buffers hold"


def test_who_sends_without_end_is_sent_away(product: Product, alice: Person) -> None:
    session = alice.new_session()
    web = product.child("assistant.web")
    before = memory(web)
    with alice.view(session) as other, _connection(alice, session) as flood:
        flood.recv()
        with pytest.raises(ConnectionClosed):
            for _ in range(200_000):
                flood.send('{"type":"sync"}')
        with contextlib.suppress(ConnectionClosed):
            while True:
                flood.recv(60)
        assert flood.protocol.close_code == TOO_MANY_FRAMES
        answer = alice.asked(session, model=tagged("words-n3"))
        assert other.wait_for_end(answer)["status"] == "success" and other.joins == 1
    assert memory(web) - before < MOST_GROWTH_MB


def test_the_protocols_own_pings_count(product: Product, alice: Person) -> None:
    with _connection(alice, alice.new_session()) as flood:
        flood.recv()
        with pytest.raises(ConnectionClosed):
            for _ in range(200_000):
                flood.ping()
        assert flood.protocol.close_code == TOO_MANY_FRAMES


def test_who_sends_as_much_as_is_allowed_is_answered_each_time(product: Product, alice: Person) -> None:
    with _connection(alice, alice.new_session()) as busy:
        busy.recv()
        for _ in range(MOST_FRAMES_A_SECOND):
            busy.send('{"type":"ping"}')
        answers = 0
        while answers < MOST_FRAMES_A_SECOND:
            answers += json.loads(busy.recv(60))["type"] == "pong"


def _connection(person: Person, session: str) -> Any:
    return connect(
        f"{person.url.replace('http', 'ws', 1)}/ws/sessions/{session}/",
        additional_headers={"Authorization": f"Bearer {person.token}"},
        proxy=None, max_size=None, open_timeout=20, ping_interval=None,
    )  # fmt: skip
