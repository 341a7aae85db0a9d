"""A viewer of a session, as the contract with the outside describes one: what it may rely on is checked as it goes.

`View` is pure: it applies frames and knows what a client has to know. `Viewer` is a thread with a WebSocket around it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

OPEN = ("pending", "processing")
FINAL_CODES = (4401, 4403, 4404)  # the server will not change its mind
WAIT_SECONDS = 60.0

Message = dict[str, Any]


def thoughts(message: Message | None) -> dict[str, Any]:
    """What a message holds of what its model thought."""
    held = message["reasoning"] if message else None
    return held or {"content": "", "seq": 0, "seconds": 0.0, "tokens": None}


class Broken(AssertionError):
    """The server did what the contract rules out."""


@dataclass
class Ending:
    """What a viewer showed at the moment at which an answer's ending arrived, and the ending."""

    text: str
    attempt: int
    seq: int
    message: Message
    thoughts: str = ""


@dataclass
class View:
    """A session as one client knows it. `apply` takes a frame and says whether the client has to send `sync`.

    Raises Broken for a delta that came twice over one connection, a first frame that is no snapshot, an ending that is
    taken back, and a final text that the deltas do not make.
    """

    messages: dict[str, Message] = field(default_factory=dict)
    session: dict[str, Any] = field(default_factory=dict)
    you: dict[str, Any] = field(default_factory=dict)
    online: list[int] = field(default_factory=list)
    endings: dict[str, Ending] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)  # frames by type
    holes: int = 0
    is_stale: bool = False
    watch: Callable[[Message], None] | None = None  # called with a message after each change of its text
    _deltas: set[tuple[str, str, int, int]] = field(default_factory=set)
    _is_joined: bool = False

    def connected(self) -> None:
        """A new connection: it begins with a snapshot."""
        self._is_joined = False
        self._deltas.clear()

    def text(self, message_id: str) -> str:
        return str(self.messages.get(message_id, {}).get("content", ""))

    @property
    def thread(self) -> list[Message]:
        """All messages as a client shows them. Frames of two processes may come in either order."""
        return sorted(self.messages.values(), key=lambda message: (message["position"], message["id"]))

    def status(self, message_id: str) -> str | None:
        return self.messages.get(message_id, {}).get("status")

    def apply(self, frame: dict[str, Any]) -> bool:
        kind = frame["type"]
        self.seen[kind] += 1
        if not self._is_joined and kind != "session.snapshot":
            raise Broken(f"The first frame of a connection was {kind}.")
        match kind:
            case "session.snapshot":
                return self._snapshot(frame)
            case "message.created" | "message.updated":
                return self._merge(frame["message"])
            case "message.delta":
                return self._delta(frame)
            case "message.reasoning_delta":
                return self._reasoning_delta(frame)
            case "message.reset":
                return self._reset(frame)
            case "session.updated":
                self.session |= frame["session"]
            case "presence":
                self.online = frame["online"]
        return False

    def _snapshot(self, frame: dict[str, Any]) -> bool:
        self._is_joined, self.is_stale = True, False
        self.session, self.you, self.online = frame["session"], frame["you"], frame["online"]
        order = [(message["position"], message["id"]) for message in frame["messages"]]
        if order != sorted(order):
            raise Broken("The messages of a snapshot are not in order.")
        for message in frame["messages"]:
            if message["status"] not in OPEN and message["alive"]:
                raise Broken(f"A finished message is said to be alive: {message}")
            self._merge(message)
        return False

    def _merge(self, message: Message) -> bool:
        held = self.messages.get(message["id"])
        if held is not None:
            if message["version"] < held["version"]:
                return False
            if held["status"] not in OPEN and message["status"] in OPEN:
                raise Broken(f"An ending was taken back: {held} -> {message}")
            if message["status"] in OPEN and message["attempt"] <= held["attempt"]:
                if message["attempt"] < held["attempt"]:
                    return False
                if message["seq"] < held["seq"]:  # what is stored lags behind what was shown live
                    message = message | {"seq": held["seq"], "content": held["content"]}
                if message["attempt"] == held["attempt"] and thoughts(message)["seq"] < thoughts(held)["seq"]:
                    message = message | {"reasoning": held["reasoning"]}
            elif held["status"] in OPEN and message["role"] == "assistant":
                self._ended(held, message)
        self.messages[message["id"]] = message
        self._changed(message)
        return False

    def _ended(self, held: Message, message: Message) -> None:
        if message["status"] in OPEN:
            return
        known, final = thoughts(held), thoughts(message)
        ending = Ending(held["content"], held["attempt"], held["seq"], message, known["content"])
        self.endings[message["id"]] = ending
        is_same_thought = (held["attempt"], known["seq"]) == (message["attempt"], final["seq"])
        if is_same_thought and message["status"] == "success" and known["content"] != final["content"]:
            raise Broken(f"The deltas do not make the final reasoning:\n{known!r}\n{final!r}")
        is_same = (held["attempt"], held["seq"]) == (message["attempt"], message["seq"])
        if is_same and message["status"] == "success" and held["content"] != message["content"]:
            raise Broken(f"The deltas do not make the final text:\n{held['content']!r}\n{message['content']!r}")

    def _delta(self, frame: dict[str, Any]) -> bool:
        held = self.messages.get(frame["message_id"])
        is_next = self._is_next(frame, held, held["seq"] if held else 0)
        if held is None or not is_next:
            return is_next is None and self._missed()
        self._set(held, frame, frame["seq"], held["content"] + frame["text"])
        return False

    def _reasoning_delta(self, frame: dict[str, Any]) -> bool:
        held = self.messages.get(frame["message_id"])
        known = thoughts(held)
        is_next = self._is_next(frame, held, known["seq"])
        if held is None or not is_next:
            return is_next is None and self._missed()
        seq = held["seq"] if frame["attempt"] == held["attempt"] else 0
        grown = {"content": known["content"] + frame["text"], "seq": frame["seq"], "seconds": frame["seconds"]}
        self._set(held, frame, seq, held["content"], known | grown)
        return False

    def _is_next(self, frame: dict[str, Any], held: Message | None, seq: int) -> bool | None:
        """Whether a delta follows what is held; None: something before it is missing."""
        key = (frame["type"], frame["message_id"], frame["attempt"], frame["seq"])
        if key in self._deltas:
            raise Broken(f"A delta came twice: {key}")
        self._deltas.add(key)
        if held is None:
            return None
        if held["status"] not in OPEN or frame["attempt"] < held["attempt"]:
            return False
        if frame["attempt"] > held["attempt"]:
            return (frame["seq"] == 1 and not held["content"] and not thoughts(held)["content"]) or None
        if frame["seq"] <= seq:
            return False
        return frame["seq"] == seq + 1 or None

    def _reset(self, frame: dict[str, Any]) -> bool:
        held = self.messages.get(frame["message_id"])
        if held is None:
            return self._missed()
        if held["status"] in OPEN and frame["attempt"] > held["attempt"]:
            held["reasoning"] = frame["reasoning"]
            self._set(held, frame, frame["seq"], frame["content"])
        return False

    def _set(
        self, held: Message, frame: dict[str, Any], seq: int, content: str, reasoning: Message | None = None
    ) -> None:
        held |= {"status": "processing", "attempt": frame["attempt"], "seq": seq, "content": content}
        if reasoning:
            held["reasoning"] = reasoning
        self._changed(held)

    def _changed(self, message: Message) -> None:
        if self.watch:
            self.watch(message)

    def _missed(self) -> bool:
        """A hole: one sync closes it. Until its snapshot is here nothing else is asked."""
        asks, self.is_stale = not self.is_stale, True
        self.holes += asks
        return asks


class Viewer:
    """A `View` on a connection of its own. It joins again by itself when the connection breaks, as the page does.

    `socket_url` is `ws://HOST:PORT`. Use it as a context manager; at the end of the block what went wrong is raised.
    """

    def __init__(
        self, socket_url: str, token: str, session_id: str, watch: Callable[[Message], None] | None = None
    ) -> None:
        self.view = View(watch=watch)
        self.codes: list[int] = []  # the close codes met
        self.joins = 0
        self._url = f"{socket_url}/ws/sessions/{session_id}/"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._news = threading.Condition()
        self._failure: BaseException | None = None
        self._is_leaving = False
        self._connection: ClientConnection | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Viewer:
        return self.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(quietly=error is not None)

    def join(self) -> Viewer:
        """Connects; returns when the first snapshot is here. What the view knew before stays."""
        self._is_leaving = False
        before = self.joins
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.wait_for(lambda: self.joins > before or self.is_over)
        return self

    def leave(self, quietly: bool = False) -> None:
        with self._news:
            self._is_leaving = True
            connection = self._connection
            self._news.notify_all()
        if connection is not None:
            connection.close()
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None and not quietly:
            raise self._failure

    @property
    def is_over(self) -> bool:
        """Whether the server has sent this viewer away for good."""
        return bool(self.codes) and self.codes[-1] in FINAL_CODES

    def wait_for(self, condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
        """The condition's first true value; it is looked at after each frame."""
        until = time.monotonic() + seconds
        with self._news:
            while True:
                if self._failure is not None:
                    raise self._failure
                if found := condition():
                    return found
                left = until - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"It did not come about. Seen: {self.view.seen}; {self.view.messages}")
                self._news.wait(min(left, 1.0))

    def wait_for_end(self, message_id: str, seconds: float = WAIT_SECONDS) -> Message:
        """The message once it has ended."""
        self.wait_for(lambda: self.view.status(message_id) not in (None, *OPEN), seconds)
        return self.view.messages[message_id]

    def send(self, frame: dict[str, Any]) -> None:
        assert self._connection is not None
        self._connection.send(json.dumps(frame))

    def _run(self) -> None:
        while not (self._is_leaving or self.is_over):
            try:
                self._watch_once()
            except (OSError, WebSocketException, InvalidStatus):
                with self._news:
                    self._news.wait_for(lambda: self._is_leaving, timeout=0.1)
            except BaseException as error:
                with self._news:
                    self._failure = error
                    self._news.notify_all()
                return

    def _watch_once(self) -> None:
        with connect(
            self._url, additional_headers=self._headers, proxy=None, max_size=None, open_timeout=20, close_timeout=5
        ) as connection:
            with self._news:
                self.view.connected()
                self._connection = connection
            try:
                self._take(connection)
            finally:
                self._connection = None

    def _take(self, connection: ClientConnection) -> None:
        is_first = True
        while not self._is_leaving:
            try:
                frame = json.loads(connection.recv())
            except ConnectionClosed as error:
                with self._news:
                    self.codes.append(error.rcvd.code if error.rcvd else 1006)
                    self._news.notify_all()
                return
            with self._news:
                asks = self.view.apply(frame)
                self.joins += is_first
                is_first = False
                self._news.notify_all()
            if asks:
                connection.send('{"type":"sync"}')
