"""Somebody who calls the HTTP API, and a room with what there is to be called about."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from assistant.lifecycle import asking, form_filling, rounds
from assistant.lifecycle.answering import Written
from assistant.models import ApiToken, ChatSession, Participant, WorkerProcess
from assistant.models.participant import Role
from assistant.tools.form import Form
from tests.acting import answer_of, ask, claimed, finish
from tests.files import uploaded

CSRF = "c" * 32


class Caller:
    """One person's way in: "cookie" (with the CSRF token, unless told otherwise) or "bearer"."""

    def __init__(self, user: Any, way: str = "bearer", csrf: bool = True) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.headers: dict[str, str] = {}
        if user is not None and way == "bearer":
            self.headers["Authorization"] = f"Bearer {ApiToken.issue(user)}"
        elif way == "cookie":
            if user is not None:
                self.client.force_login(user)
            if csrf:
                self.client.cookies["csrftoken"] = CSRF
                self.headers["X-CSRFToken"] = CSRF

    def __call__(self, method: str, path: str, body: Any = None, raw: bytes | None = None) -> Any:
        kind = "application/json"
        if isinstance(body, bytes):  # a form with a file
            raw, kind = body, MULTIPART_CONTENT
        data = raw if raw is not None else ("" if body is None else json.dumps(body))
        return self.client.generic(method.upper(), f"/api{path}", data, content_type=kind, headers=self.headers)


class Room:
    """A session of its own for each try, with what the endpoints need in it.

    `cast` maps owner, editor and viewer to the users who take part as such.
    """

    def __init__(self, cast: dict[str, Any], worker: WorkerProcess) -> None:
        self.session = ChatSession.objects.create(title="A room")
        for role in (Role.OWNER, Role.EDITOR, Role.VIEWER):
            Participant.objects.create(session=self.session, user=cast[role.value], role=role)
        self.cast, self.worker = cast, worker
        self.path = f"/sessions/{self.session.pk}"

    def finished(self) -> str:
        """The path of an answer that has ended."""
        answer = answer_of(ask(self.session, self.cast["owner"]))
        finish(claimed(answer, self.worker))
        return f"/messages/{answer.pk}"

    def question(self) -> str:
        """The path of the owner's question, which is being answered."""
        return f"/messages/{ask(self.session, self.cast['owner']).message.pk}"

    def sent_file(self) -> str:
        """The path of a file that the owner has sent with a message."""
        attachment = uploaded(self.cast["owner"], session=self.session)
        asking.send(self.session, self.cast["owner"], "Read", uuid.uuid4().hex, attachments=[attachment.pk])
        return f"/attachments/{attachment.pk}"

    def unsent_file(self) -> str:
        """The path of a file that the owner has uploaded."""
        return f"/attachments/{uploaded(self.cast['owner']).pk}"

    def asked(self) -> str:
        """The path of a tool call that waits for somebody's approval."""
        claim = claimed(answer_of(ask(self.session, self.cast["owner"])), self.worker)
        new = rounds.NewCall("c", "wipe", "{}", "Delete everything", needs_approval=True)
        assert rounds.open_round(claim, Written("", 0), 1, [new]) and rounds.park(claim, Written("", 0))
        return f"/tool-calls/{rounds.open_calls(claim)[0].pk}"

    def form(self) -> str:
        """The path of a running tool call that asks people something."""
        claim = claimed(answer_of(ask(self.session, self.cast["owner"])), self.worker)
        assert rounds.open_round(claim, Written("", 0), 1, [rounds.NewCall("c", "book", "{}", "Book")])
        (call,) = rounds.open_calls(claim)
        assert rounds.begin_calls(claim, [call]) and form_filling.put(claim, call.pk, Form("Sit where?"))
        return f"/tool-calls/{call.pk}"

    def running(self) -> str:
        """The path of an answer that is waited for."""
        return f"/messages/{answer_of(ask(self.session, self.cast['owner'])).pk}"

    def waiting(self) -> str:
        """The path of the owner's question that waits behind an answer."""
        self.running()
        return f"/messages/{ask(self.session, self.cast['owner'], 'waiting').message.pk}"


def content() -> dict[str, str]:
    """The body of a send."""
    return {"client_id": uuid.uuid4().hex, "content": "Hello"}


def a_form() -> bytes:
    """The body of an upload."""
    return encode_multipart(BOUNDARY, {"file": SimpleUploadedFile("a.txt", b"Words.")})


def problem(response: HttpResponse, status: int, code: str) -> str:
    """The sentence of a refusal, which must be this one."""
    body = json.loads(response.content)
    assert (response.status_code, body["code"]) == (status, code), body
    assert set(body) == {"code", "detail"} and body["detail"].endswith(".") and len(body["detail"]) > 10, body
    return str(body["detail"])
