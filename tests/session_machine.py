"""A session in which everything happens, in an order that hypothesis chooses and, where it fails, shortens.

People send, move, withdraw and stop; a worker writes, calls tools and ends; and all of them are hit by what hits them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, precondition, rule

from assistant import markup
from assistant.delivery import live_text, valkey
from assistant.lifecycle import answering, approving, asking, ordering, recovery, rounds, session_changes, steering
from assistant.lifecycle.answering import Written
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession, Message, ToolCall, WorkerProcess
from assistant.models.message import Claim, Status
from assistant.models.tool_call import Approval, CallStatus
from assistant.presentation import wire
from assistant.text.reasoned import Reasoned
from tests.acting import FAILURE, a_worker, ask, claimed, fail, finish, kill, lose_job, revive, write
from tests.session_invariants import OPEN, SessionThatHolds, length

SECONDS = 1.5  # of thought, however much
people = st.sampled_from(["alice", "bob"])
words = st.sampled_from(
    ["One ", "two\n\n", "**three** ", "- four\n", "```py\nfive\n```\n", "6 < 7 ", "ünïcode 👋🏽 ", "\n"]
)
whens = st.sampled_from(["", "queue", "steer", "interrupt"])
endings = st.sampled_from(["succeeds", "fails", "hands over", "continues later", "dies", "dies, and Valkey"])
results = st.sampled_from([CallStatus.SUCCESS, CallStatus.ERROR])
new_calls = st.lists(
    st.builds(
        rounds.NewCall,
        call_id=st.sampled_from(["", "same", "another"]),
        name=st.sampled_from(["clock", "no such tool!"]),
        arguments=st.sampled_from(["{}", "{broken"]),
        title=st.just("A tool"),
        is_idempotent=st.booleans(),
        needs_approval=st.booleans(),
    ),
    min_size=1,
    max_size=3,
)
CHOICES: dict[str, list[Any]] = {
    "replies": ["every", "mention"],
    "when_busy": ["queue", "steer"],
    "system_prompt": ["", "Be brief."],
    "services": [[], ["clock"]],
    "parameters": [{"temperature": None}, {"temperature": 0.5}],
}

something_waits = precondition(lambda self: self.waiting)
may_write = precondition(lambda self: (self.held or self.job_waits) and not self.asked_for)


class SessionMachine(SessionThatHolds):
    """Each rule is something that somebody does.

    Hypothesis leaves out some of the rules in each example, so a worker's rules do first what is due before them: the
    answer is claimed, its calls are run. What is due has rules of its own as well, for all that can come between.
    """

    questions = Bundle("questions")

    # What the worker has written in its head.
    text: str
    ends: tuple[int, ...]
    seq: int
    reasoned: Reasoned
    blocks: markup.RoundBlocks

    def __init__(self) -> None:
        super().__init__()
        self.workers = {name: a_worker(name) for name in ("one", "two")}
        self.claims: list[Claim] = []  # of all time
        self.begun: set[Any] = set()  # calls of tools that must not be run twice, and have been begun
        self.said = 0  # things, each in other words
        self._begin()

    # --- people ---

    @initialize(target=questions, by=people)
    def begin(self, by: str) -> Any:
        return self._send(by, "", "")

    @rule(target=questions, by=people, mention=st.sampled_from(["", "@assistant "]), when=whens)
    def send(self, by: str, mention: str, when: str) -> Any:
        with self._may_be_refused("queue_full"):
            return self._send(by, mention, when)
        return multiple()

    def _send(self, by: str, mention: str, when: str) -> Message:
        self.said += 1
        return ask(self.session, self.users[by], f"{mention}Question {self.said}", when=when).message

    @something_waits
    @rule(message=questions, before=st.none() | questions)
    def move(self, message: Message, before: Message | None) -> None:
        with self._may_be_refused("already_promoted", "already_withdrawn", "not_waiting"):
            ordering.move(message, before.pk if before else None)

    @something_waits
    @rule(message=questions, by=people)
    def send_now(self, message: Message, by: str) -> None:
        with self._may_be_refused("already_promoted", "already_withdrawn"):
            ordering.send_now(message, self.users[by])

    @something_waits
    @rule(message=questions)
    def edit(self, message: Message) -> None:
        self.said += 1
        with self._may_be_refused("already_promoted", "already_withdrawn"):
            asking.edit(message, f"Edited {self.said}")

    @something_waits
    @rule(message=questions)
    def withdraw(self, message: Message) -> None:
        with self._may_be_refused("already_promoted", "already_withdrawn"):
            asking.withdraw(message)

    @rule(message=questions, by=people)
    def retry(self, message: Message, by: str) -> None:
        with self._may_be_refused("not_answerable", "session_busy"):
            asking.retry(Message.objects.get(pk=message.pk), by=self.users[by])

    @precondition(lambda self: self.running)
    @rule(by=people)
    def stop(self, by: str) -> None:
        asking.cancel(self.running[0], self.users[by])

    @precondition(lambda self: self.asked_for)
    @rule(by=people, allow=st.booleans())
    def decide(self, by: str, allow: bool) -> None:
        (approving.allow if allow else approving.deny)(self.asked_for[0], self.users[by])

    @precondition(lambda self: self.session.queue_paused_until)
    @rule(by_itself=st.booleans())
    def resume(self, by_itself: bool) -> None:
        if by_itself and not self.running:
            over = timezone.now() - timedelta(seconds=1)
            ChatSession.objects.filter(pk=self.session.pk).update(queue_paused_until=over)
            assert recovery.sweep() == {}
        else:
            asking.resume(self.session)

    @rule(what=st.sampled_from(["title", *CHOICES]), choice=st.integers(0, 1))
    def change(self, what: str, choice: int) -> None:
        self.said += 1
        given: Any = f"Title {self.said}" if what == "title" else CHOICES[what][choice]
        session_changes.change(self.session, **{what: given})

    # --- workers ---

    @precondition(lambda self: self.job_waits)
    @rule(worker=st.sampled_from(["one", "two"]), job_was_lost=st.booleans(), others_are_back=st.booleans())
    def claim(self, worker: str, job_was_lost: bool, others_are_back: bool) -> None:
        if job_was_lost:
            lose_job(self.running[0])
            assert recovery.sweep() == {"recovered": 1}
            self._read()
        self.held = claimed(self.running[0], self.workers[worker])
        assert self.mine.kept == self.rounds_text.get(self.mine.message_id, "")
        if others_are_back:
            self._late_workers_change_nothing()
        self.claims.append(self.mine)
        self._begin()

    @precondition(lambda self: len(self.runnable) > len(self.begun_calls))
    @rule()
    def begin_calls(self) -> None:
        calls = self.runnable
        fresh = {call.pk for call in calls if call.status == CallStatus.PENDING and not call.is_idempotent}
        assert not fresh & self.begun, "run twice"
        self.begun |= fresh
        assert rounds.begin_calls(self.mine, calls)

    @precondition(lambda self: self.begun_calls)
    @rule(status=results, last=st.booleans())
    def settle(self, status: CallStatus, last: bool) -> None:
        result = rounds.CallResult(status, "A result.")
        assert rounds.settle(self.mine, self.begun_calls[-1 if last else 0], result)

    @may_write
    @rule(thoughts=st.lists(words, max_size=1), pieces=st.lists(words, max_size=2), is_stored=st.booleans())
    def write(self, thoughts: list[str], pieces: list[str], is_stored: bool) -> None:
        self._do_what_is_due()
        for piece in thoughts:
            self.reasoned = Reasoned(self.reasoned.content + piece, self.reasoned.seq + 1, SECONDS)
            self._show("message.reasoning_delta", seq=self.reasoned.seq, text=piece, seconds=SECONDS)
        for piece in pieces:
            self.text, self.seq = self.text + piece, self.seq + 1
            start, html = self.blocks.append(piece)
            self._show("message.delta", seq=self.seq, text=piece, blocks={"from": start, "html": html})
        self.shown[self.mine.message_id] = max(self.shown.get(self.mine.message_id, ""), self.text, key=length)
        if is_stored:
            assert answering.checkpoint({self.mine: self._written}) == set()

    @may_write
    @rule(calls=new_calls)
    def open_round(self, calls: list[rounds.NewCall]) -> None:
        self._do_what_is_due()
        assert rounds.open_round(self.mine, self._written, len(self.ends) + 1, calls)
        self.blocks.end_round()
        self.ends += (len(self.text),)
        self.shown[self.mine.message_id] = self.rounds_text[self.mine.message_id] = self.text

    @precondition(lambda self: self.held and self.asked_for and self.open_calls == self.asked_for)
    @rule()
    def park(self) -> None:
        claim, self.held = self.mine, None
        assert rounds.park(claim, self._written) is True

    @may_write
    @precondition(lambda self: self.held and self.ends and self.waiting)
    @rule()
    def take(self) -> None:
        self._do_what_is_due()
        steering.take(self.mine, len(self.ends))

    @precondition(lambda self: self.held or self.job_waits)
    @rule(how=endings, is_late=st.booleans())
    def let_go(self, how: str, is_late: bool) -> None:
        self._claim_first()
        if how in ("succeeds", "continues later") and not self.asked_for:
            self._do_what_is_due()
        claim, self.held = self.mine, None
        if how == "succeeds" and not self.open_calls:
            assert answering.succeed(claim, self._written, {"total_tokens": 3})
            assert Message.objects.get(pk=claim.message_id).content == self.text
        elif how == "continues later" and self.ends and not self.open_calls:
            assert rounds.continue_later(claim, self._written)
        elif how.startswith("dies"):
            self._dies(claim, valkey_too=how == "dies, and Valkey")
        elif how == "hands over":
            assert answering.hand_over(claim, self._written)
        else:
            assert answering.fail(claim, self._written, FAILURE)
        if is_late:
            self._late_workers_change_nothing()

    def _dies(self, claim: Claim, *, valkey_too: bool) -> None:
        """Somebody finds out; Valkey may have lost what it had of the text."""
        worker = WorkerProcess.objects.get(pk=claim.worker_id)
        if valkey_too:
            answering.checkpoint({claim: self._written})
            valkey.client().delete(*live_text.keys(claim.message_id))
        kill(worker)
        assert sum(recovery.sweep().values()) == 1
        revive(worker)

    def _late_workers_change_nothing(self) -> None:
        """Those that were thought dead try everything, in vain."""
        told, late = len(self.frames), Written("late", 99)
        for claim in self.claims[-3:]:
            assert answering.checkpoint({claim: late}) == {claim}
            assert not finish(claim, "late", 99) and not fail(claim, "late", 99)
            assert not answering.hand_over(claim, late) and not rounds.continue_later(claim, late)
            assert not rounds.open_round(claim, late, 99, []) and not rounds.begin_calls(claim, [])
            assert rounds.park(claim, late) is None and steering.take(claim, 99) == []
            if call := next((call for call in self.calls if call.message_id == claim.message_id), None):
                assert not rounds.settle(claim, call, rounds.CallResult(CallStatus.SUCCESS, "late"))
        assert len(self.frames) == told

    # --- what the rules need ---

    def _begin(self) -> None:
        """A worker begins where the claim says that the last one's rounds ended."""
        self.text, self.ends = (self.held.kept, self.held.ends) if self.held else ("", ())
        self.seq, self.blocks = 0, markup.RoundBlocks(self.text, self.ends)
        self.reasoned = (self.held and self.held.reasoned) or Reasoned("", 0, SECONDS)

    def _claim_first(self) -> None:
        if self.held is None:
            self.claim("one", job_was_lost=False, others_are_back=False)
            self._read()

    def _do_what_is_due(self) -> None:
        """The answer is claimed, and its calls have their results."""
        self._claim_first()
        if len(self.runnable) > len(self.begun_calls):
            self.begin_calls()
            self._read()
        while self.begun_calls:
            self.settle(CallStatus.SUCCESS, last=False)
            self._read()

    @property
    def mine(self) -> Claim:
        """The claim by which the worker writes that a rule is about."""
        assert self.held is not None
        return self.held

    @property
    def _written(self) -> Written:
        return Written(self.text, self.seq, self.ends, self.reasoned if self.reasoned.content else None)

    def _show(self, type_: str, **fields: Any) -> None:
        """Valkey has the text so far, and the viewers its newest piece."""
        write(self.mine, self.text, self.seq, self.reasoned)
        names = {"message_id": str(self.mine.message_id), "attempt": self.mine.attempt}
        self.frames.append(json.loads(wire.encode(type_, **names, **fields)))

    @property
    def job_waits(self) -> bool:
        return any(answer.status == Status.PENDING and answer.job for answer in self.running)

    @property
    def open_calls(self) -> list[ToolCall]:
        """The calls that the running answer must see settled before its model writes on."""
        unfinished = {answer.pk for answer in self.running}
        return [call for call in self.calls if call.message_id in unfinished and call.status in OPEN]

    @property
    def asked_for(self) -> list[ToolCall]:
        """Those that somebody has to allow or deny."""
        return [call for call in self.open_calls if call.approval == Approval.ASKED]

    @property
    def runnable(self) -> list[ToolCall]:
        return [call for call in self.open_calls if self.held and call.approval != Approval.ASKED]

    @property
    def begun_calls(self) -> list[ToolCall]:
        return [call for call in self.runnable if call.status == CallStatus.RUNNING]

    @contextlib.contextmanager
    def _may_be_refused(self, *codes: str) -> Iterator[None]:
        try:
            yield
        except Refused as refused:
            assert refused.code in codes
            assert not self.frames, "what is refused changes nothing"
