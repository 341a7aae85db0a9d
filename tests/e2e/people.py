"""A person who uses the product over its HTTP API."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any

import httpx

from .viewer import OPEN, Message, Viewer

_numbers = itertools.count()


def tagged(script: str) -> str:
    """The script as a model's id that no other test uses, so that its requests can be told apart."""
    return f"openai/{script}-tag={uuid.uuid4().hex[:10]}"


class Person:
    """Speaks for one user. Each verb raises AssertionError, with the answer, if the product refuses it."""

    def __init__(self, url: str, name: str, token: str) -> None:
        self.url, self.name, self.token = url, name, token
        self.http = httpx.Client(
            verify=False,  # nothing here is HTTPS, and to read the certificates takes 20 ms
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        )

    def __enter__(self) -> Person:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def new_session(self, model: str = "") -> str:
        return str(self._did(self.http.post("/api/sessions", json={"model": model}))["id"])

    def ask(self, session: str, content: str = "", model: str = "", client_id: str = "") -> dict[str, Any]:
        """`{"message", "reply"}`."""
        number = next(_numbers)
        body = {"client_id": client_id or f"c{number}", "content": content or f"Question {number}", "model": model}
        return self._did(self.http.post(f"/api/sessions/{session}/messages", json=body))

    def asked(self, session: str, content: str = "", model: str = "") -> str:
        """The id of the answer that a question gets at once."""
        reply = self.ask(session, content, model)["reply"]
        assert reply is not None, "The question waits in the queue."
        return str(reply["id"])

    def message(self, message_id: str) -> Message:
        return self._did(self.http.get(f"/api/messages/{message_id}"))

    def messages(self, session: str) -> list[Message]:
        found: list[Message] = self._did(self.http.get(f"/api/sessions/{session}/messages"))["messages"]
        return found

    def stop(self, message_id: str) -> httpx.Response:
        return self.http.post(f"/api/messages/{message_id}/cancel")

    def retry(self, message_id: str) -> str:
        return str(self._did(self.http.post(f"/api/messages/{message_id}/retry"))["reply"]["id"])

    def invite(self, session: str, guest: Person, role: str = "editor") -> None:
        url = self._did(self.http.post(f"/api/sessions/{session}/invitations", json={"role": role}))["url"]
        self._did(guest.http.post(url))

    def view(self, session: str, watch: Callable[[Message], None] | None = None) -> Viewer:
        return Viewer(self.url.replace("http", "ws", 1), self.token, session, watch)

    def wait_for_end(self, message_id: str, seconds: float = 60.0) -> Message:
        return self.wait_for(message_id, lambda message: message["status"] not in OPEN, seconds)

    def wait_for_text(self, message_id: str, text: str, seconds: float = 60.0) -> Message:
        return self.wait_for(message_id, lambda message: message["content"] == text, seconds)

    def wait_for(self, message_id: str, condition: Callable[[Message], Any], seconds: float = 60.0) -> Message:
        until = time.monotonic() + seconds
        while True:
            message = self.message(message_id)
            if condition(message):
                return message
            assert time.monotonic() < until, f"It did not come about: {message}"
            time.sleep(0.03)

    def _did(self, response: httpx.Response) -> dict[str, Any]:
        assert response.is_success, f"{response.request.url}: {response.status_code} {response.text[:500]}"
        found: dict[str, Any] = response.json()
        return found
