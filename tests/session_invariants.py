"""What holds of a session after each step, whatever happened before: of its queue, its calls, its prompt, its viewers.

`SessionMachine` adds the steps.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from hypothesis.stateful import RuleBasedStateMachine, invariant

from assistant.lifecycle.joining import snapshot
from assistant.llm.dialect import adapted
from assistant.models import ChatSession, Message, Participant, ToolCall
from assistant.models.message import EDGES, UNFINISHED, Claim, MessageRole, Status
from assistant.models.participant import Role
from assistant.models.tool_call import CallStatus
from assistant.presentation import broadcast
from assistant.prompt import context
from assistant.prompt.history import NO_RESULT
from tests.acting import note_frames
from tests.client_state import ClientState
from tests.emptying import empty_tables
from tests.provider.valid import check_request

OPEN = (CallStatus.PENDING, CallStatus.RUNNING)
HEARD_AGAIN = 25  # frames that a late joiner hears though its snapshot holds them


class SessionThatHolds(RuleBasedStateMachine):
    """A session of two people who write and one who looks on. Each example has its own in an empty database.

    After each step `messages`, `calls` and `held` are as they are stored then: what the next step may do hangs on them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[dict[str, Any]] = []  # of this step
        self.heard: list[dict[str, Any]] = []  # of those before
        self.patch = pytest.MonkeyPatch()
        note_frames(self.patch, self.frames)
        self.users = {name: get_user_model().objects.create_user(name) for name in ("alice", "bob", "vera")}
        self.session = ChatSession.objects.create(title="A room")
        for name, role in (("alice", Role.OWNER), ("bob", Role.EDITOR), ("vera", Role.VIEWER)):
            Participant.objects.create(session=self.session, user=self.users[name], role=role)
        self.held: Claim | None = None  # by which a worker writes now
        self.messages: list[Message] = []
        self.calls: list[ToolCall] = []
        self.shown: dict[Any, str] = {}  # the longest text of each answer that anybody has seen since its last round
        self.rounds_text: dict[Any, str] = {}  # of each answer: the text of its rounds that are stored
        self.client = ClientState(self._look())

    def teardown(self) -> None:
        broadcast.flush()
        self.patch.undo()
        empty_tables()

    @invariant()
    def what_must_hold_holds(self) -> None:
        self._read()
        self._what_waits_stands_behind_what_was_said()
        self._nothing_waits_for_nothing()
        self._what_was_shown_stays()
        self._calls_of_ended_answers_have_their_results()
        self._old_state_and_frames_make_the_freshly_fetched_state()
        self._the_model_is_told_what_was_said()

    def _read(self) -> None:
        before = {message.pk: message.status for message in self.messages}
        self.session.refresh_from_db()
        self.messages = list(self.session.messages.in_order())
        self.calls = list(ToolCall.objects.filter(message__session=self.session).in_order())
        if self.held and not Message.objects.held_by(self.held).exists():
            self.held = None  # somebody's message interrupted it
        self._statuses_change_by_the_table(before)

    @property
    def questions_asked(self) -> list[Message]:
        return [m for m in self.messages if m.role == MessageRole.USER and m.status != Status.CANCELLED]

    @property
    def waiting(self) -> list[Message]:
        return [message for message in self.questions_asked if message.status == Status.PENDING]

    @property
    def running(self) -> list[Message]:
        return [m for m in self.messages if m.role == MessageRole.ASSISTANT and m.status in UNFINISHED]

    # --- the queue ---

    def _statuses_change_by_the_table(self, before: dict[Any, str]) -> None:
        for message in self.messages:
            was, now = before.get(message.pk), message.status
            if was is None:
                firsts = (Status.PENDING, Status.SUCCESS) if message.role == MessageRole.USER else (Status.PENDING,)
                assert now in firsts, (message.role, now)
            else:
                assert was == now or (was, now) in EDGES[message.role], (message.role, was, now)

    def _what_waits_stands_behind_what_was_said(self) -> None:
        asked = self.questions_asked
        assert len({message.position for message in asked}) == len(asked)
        waiting = [message.status == Status.PENDING for message in asked]
        assert waiting == sorted(waiting)

    def _nothing_waits_for_nothing(self) -> None:
        runs, rests = len(self.running), self.session.queue_paused_until is not None
        assert runs <= 1
        assert not self.waiting or rests or runs, "each ending promotes the next"
        assert not rests or self.waiting or runs, "a pause holds something back"

    def _calls_of_ended_answers_have_their_results(self) -> None:
        unfinished = {message.pk for message in self.running}
        for call in self.calls:
            assert call.status not in OPEN or call.message_id in unfinished
            assert call.status in OPEN or call.result
            assert not (call.is_idempotent and call.status == CallStatus.INTERRUPTED), "it can be run again"

    def _what_was_shown_stays(self) -> None:
        for message in self.messages:
            kept = self.rounds_text.get(message.pk, "")
            # A blank text is not kept where an answer ends without a better one.
            assert message.content.startswith(kept) or not (message.content or length(kept))
            if message.status in (Status.ERROR, Status.CANCELLED):
                assert length(message.content) >= length(self.shown.get(message.pk, ""))

    # --- the viewers ---

    def _look(self) -> dict[str, Any]:
        shown = snapshot(self.session.pk, self.users["vera"])
        assert shown is not None
        return shown

    def _old_state_and_frames_make_the_freshly_fetched_state(self) -> None:
        """For who was there all the time; and who subscribes first and then reads, and so hears some of it twice."""
        for frame in self.frames:
            self.client.apply(frame)
        self.heard += self.frames
        self.frames.clear()
        stored = self._look()
        fresh, joined = ClientState(stored), ClientState(stored)
        assert not self.frames, "a look finds everything alive and changes nothing"
        assert not self.client.is_stale
        assert _shown(self.client) == _shown(fresh)
        for frame in self.heard[-HEARD_AGAIN:]:
            if frame["type"] != "session.updated":
                joined.apply(frame)
        assert _shown(joined)["messages"] == _shown(fresh)["messages"]

    # --- the model ---

    def _the_model_is_told_what_was_said(self) -> None:
        """Each once, in order, up to the question, and what joined it; nothing else."""
        if self.held is None:
            return
        prompt = context.prompt_for(self.held)
        assert prompt is not None
        check_request({"messages": adapted("openai/any", prompt.messages, sees=True), "tools": [{}]})
        lines = [line for line in prompt.messages if line["role"] != "system"]
        told = [(line["role"], line["content"] or "") for line in lines]
        names = tuple(f"{name}: " for name in self.users)
        told = [(role, _without(names, text) if role == "user" else text) for role, text in told]
        [answer] = self.running
        said = [message for message in self.questions_asked if message.status == Status.SUCCESS]
        asked = [m for m in said if m.taken_by_id is None and m.position < answer.position]
        assert told == [line for question in asked for line in self._told_of(question, answer, said)]

    def _told_of(self, question: Message, answer: Message, said: list[Message]) -> list[tuple[str, str]]:
        answers = {message.pk for message in self.messages if message.reply_to_id == question.pk}
        taken = [message for message in said if message.taken_by_id in answers]
        reply = answer if answer.pk in answers else self._last_that_says_something(answers)
        told: list[tuple[str, str]] = []
        if reply is not None and reply.rounds and (reply == answer or self.session.services):
            told = self._rounds_of(reply, [m for m in taken if m.taken_by_id == reply.pk], is_over=reply != answer)
            taken = [message for message in taken if message.taken_by_id != reply.pk]
        elif reply is not None and reply != answer:
            told = [("assistant", reply.content)]
        return [("user", question.content), *(("user", message.content) for message in taken), *told]

    def _last_that_says_something(self, answers: set[Any]) -> Message | None:
        ended = [m for m in self.messages if m.pk in answers and m.status not in UNFINISHED and m.content.strip()]
        return max(ended, key=lambda message: message.pk, default=None)

    def _rounds_of(self, reply: Message, joined: list[Message], *, is_over: bool) -> list[tuple[str, str]]:
        """Each round's text, results, and what joined behind them; of an answer that is over also the rest."""
        told: list[tuple[str, str]] = []
        start = 0
        for number in range(1, reply.rounds + 1):
            calls = [call for call in self.calls if call.message_id == reply.pk and call.round == number]
            told.append(("assistant", reply.content[start : calls[0].at].strip()))
            told += [("tool", call.result or NO_RESULT) for call in calls]
            told += [("user", message.content) for message in joined if message.taken_round == number]
            start = calls[0].at
        rest = reply.content[start:].strip()
        return [*told, ("assistant", rest)] if is_over and rest else told


def length(text: str) -> int:
    """A blank text is none."""
    return len(text.strip())


def _without(names: tuple[str, ...], text: str) -> str:
    return next((text.removeprefix(name) for name in names if text.startswith(name)), text)


def _shown(client: ClientState) -> dict[str, Any]:
    """What must agree: at most the newest messages; a pending text's blocks may be drawn as live ones."""
    shown = client.shown
    messages = [
        message if message["status"] not in ("pending", "processing") else {**message, "html": None}
        for message in shown["messages"][-40:]
    ]
    return {"session": shown["session"], "messages": messages}
