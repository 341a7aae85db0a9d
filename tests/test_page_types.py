"""The types of the page's scripts: they say what the server sends, and TypeScript finds what doesn't hold to them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from assistant.lifecycle import people, session_changes
from assistant.models import Message
from assistant.models.participant import Role
from assistant.models.summary import Summary
from assistant.presentation import events
from assistant.tools import Context, Service
from assistant.tools.form import form_of
from assistant.worker import tool_forms
from project import page_types
from tests.acting import answer_of, ask, claimed, note_frames
from tests.rounds import offer, run_turn
from tests.sockets import do, joined, opened, reading, token_of
from tests.test_tool_forms import SCHEMA, filler, once_asked

ROOT = Path(__file__).resolve().parent.parent
TSC = ROOT / "node_modules" / ".bin" / "tsc"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def told_while_a_turn_runs(
    session: Any, alice: Any, worker: Any, loop: Any, monkeypatch: Any
) -> list[dict[str, Any]]:
    """Frames of an answer with thoughts, words and a tool that asks people, and of what else happens in a session."""
    noted: list[dict[str, Any]] = []
    with monkeypatch.context() as patched:
        note_frames(patched, noted)
        claim = claimed(answer_of(ask(session, alice, model="openai/results-think=3-tool=book")), worker)
        run_turn(loop, claim, lambda turn: once_asked(filler(alice, content={"seats": 1})))
        answer = Message.objects.get(pk=claim.message_id)
        call = answer.tool_calls.get()
        loop.run(events.tool_status(claim, call.pk, "Looking for seats"))
        loop.run(events.turn_status(claim, "The provider is busy"))
        with transaction.atomic():
            events.message_reset(answer, "From here", ())
            events.summary_made(
                Summary.objects.create(session=session, until_position=1, content="Seats.", model="openai/x")
            )
    return noted


async def seen_on_sockets(session: Any, token: str, alice: Any, bob: Any, charlie: Any) -> list[dict[str, Any]]:
    """Frames of a session's socket, of a reader's by its link, and of the list's."""
    hers, his = await do(token_of, alice), await do(token_of, bob)
    everything: list[dict[str, Any]] = []
    async with (
        joined(session, hers) as one,
        joined(session, his) as other,
        reading(session, token) as reader,
        opened(session.pk, hers, path="/ws/sessions/") as her_list,
    ):
        await her_list.until("list.snapshot")
        await other.send({"type": "typing", "active": True})
        await one.until("typing")
        for frame, answer in (({"type": "ping"}, "pong"), ({"type": "nonsense"}, "error")):
            await one.send(frame)
            await one.until(answer)
        invitation = await do(people.invite, session, alice, Role.EDITOR)
        await do(people.join, invitation, charlie)
        await one.until("participant.joined")
        await do(people.change_role, session, alice, charlie.pk, Role.VIEWER)
        await one.until("participant.updated")
        await do(people.remove, session, alice, charlie.pk)
        await one.until("participant.removed")
        await do(people.leave, session, bob)
        await one.until("participant.left")
        await do(ask, session, alice, "Another one")
        await her_list.until("list.updated")
        await reader.until("message.created")
        await do(people.unshare, session, alice)
        await one.until("session.shared")
        everything = one.seen + other.seen + reader.seen
        await do(session_changes.delete, session)
        await her_list.until("list.removed")
    return everything + her_list.seen


def complaints(folder: Path, frames: list[dict[str, Any]]) -> str:
    """What TypeScript says of these frames, as literals of their types: also of a field that the types don't have."""
    page_types.main()
    of_lists = [frame for frame in frames if frame["type"].startswith("list.")]
    of_sessions = [frame for frame in frames if frame not in of_lists]
    (folder / "frames.ts").write_text(
        'import type { Frame, ListFrame } from "parley/frames";\n'
        f"export const ofSessions: Frame[] = {json.dumps(of_sessions, indent=1)};\n"
        f"export const ofLists: ListFrame[] = {json.dumps(of_lists, indent=1)};\n"
    )
    (folder / "tsconfig.json").write_text(
        json.dumps({"extends": str(ROOT / "jsconfig.json"), "files": ["frames.ts"], "include": []})
    )
    done = subprocess.run([TSC, "-p", folder], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_what_the_server_sends_is_what_the_types_say(
    session, asked_here, alice, bob, charlie, worker, loop, settings, monkeypatch, tmp_path
):
    if not TSC.exists():
        if os.environ.get("CI") == "true":
            pytest.fail("TypeScript is missing.")
        pytest.skip("TypeScript is not installed: sh tests/install_typescript.sh")
    rail = Service("rail", title="Rail")

    @rail.tool(title="Book", timeout=30)
    async def book(context: Context) -> str:
        """Books seats."""
        return f"Booked: {(await context.ask(form_of('Where would you like to sit?', SCHEMA))).action}."

    offer(settings, monkeypatch, rail)
    monkeypatch.setattr(tool_forms, "FILLED_POLL_SECONDS", 0.02)
    session.services = ["rail"]
    session.save()
    frames = told_while_a_turn_runs(session, alice, worker, loop, monkeypatch)
    token = people.share(session, alice)[0].token
    frames += loop.run(seen_on_sockets(session, token, alice, bob, charlie))

    declared = set(re.findall(r'"((?:session|message|summary|participant|list)\.\w+|presence|typing|pong|error)"',
                              (ROOT / "types" / "frames.d.ts").read_text()))  # fmt: skip
    assert {frame["type"] for frame in frames} == declared
    assert complaints(tmp_path, frames) == ""
    frames[0]["nobody_knows"] = 1
    assert "nobody_knows" in complaints(tmp_path, frames)
