"""A session in which everything happens, in an order that a seed decides: sends, stops, deaths, sweeps, deltas, rounds.

After each step `check` holds what must always hold of the queue, of tool calls and of what the model is told.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from assistant import markup
from assistant.delivery import live_text, valkey
from assistant.lifecycle import answering, approving, asking, ordering, recovery, rounds, steering
from assistant.lifecycle.answering import Written
from assistant.lifecycle.refusal import Refused
from assistant.lifecycle.session_changes import session_changed
from assistant.llm.dialect import adapted
from assistant.models import ChatSession, Message, ToolCall, WorkerProcess
from assistant.models.message import Claim
from assistant.models.tool_call import Approval, CallStatus
from assistant.presentation import events
from assistant.prompt import context
from assistant.prompt.history import NO_RESULT
from assistant.text.reasoned import Reasoned
from tests.acting import FAILURE, a_worker, ask, claimed, fail, finish, kill, lose_job, revive, write
from tests.provider.valid import check_request

WORDS = ["One ", "two\n\n", "**three** ", "- four\n", "```py\nfive\n```\n", "6 < 7 ", "ünïcode 👋🏽 ", "\n"]
SECONDS = 1.5  # of thought, however much


class RandomRoom:
    """`step` does one thing and returns its name. `emit` is told of each delta, as a worker would send it."""

    def __init__(self, session: ChatSession, people: list[Any], seed: int, emit: Callable[[str], None]) -> None:
        self.session = session
        self.people = people
        self.random = random.Random(seed)
        self.emit = emit
        self.workers: list[WorkerProcess] = [a_worker("one"), a_worker("two")]
        self.claim: Claim | None = None
        self.lost: list[Claim] = []
        self.begun: set[Any] = set()  # calls of tools that must not be run twice, and have been begun
        self._begin()

    def step(self) -> str:
        weights = {
            self.send: 6, self.claim_it: 6, self.write: 12, self.think: 6, self.checkpoint: 3, self.succeed: 3,
            self.fail: 2, self.hand_over: 2, self.stop: 1, self.retry: 2, self.edit: 2, self.withdraw: 2, self.resume: 1,
            self.die: 2, self.lose_job: 1, self.end_pause: 1, self.come_back_late: 2, self.rename: 1, self.move: 2,
            self.send_now: 1, self.take: 3, self.change: 1, self.open_round: 6, self.begin_calls: 5, self.settle: 8,
            self.park: 3, self.decide: 2, self.continue_later: 1,
        }  # fmt: skip
        action = self.random.choices(list(weights), list(weights.values()))[0]
        for worker in self.workers:
            revive(worker)  # they beat, however busy the machine is
        try:
            action()
        except Refused as refused:
            return f"{action.__name__} refused: {refused.code}"
        if self.claim and not Message.objects.held_by(self.claim).exists():
            self._let_go()  # somebody's message interrupted it
        self.check()
        return action.__name__

    def check(self) -> None:
        asked = list(self.session.messages.filter(role="user").exclude(status="cancelled").in_order())
        assert len({m.position for m in asked}) == len(asked)
        waiting = [m.status == "pending" for m in asked]
        assert waiting == sorted(waiting), "what waits stands behind all that was said"
        assert self.session.messages.running().count() <= 1
        of_all = ToolCall.objects.filter(message__session=self.session)
        assert not of_all.open().exclude(message__status__in=("pending", "processing")).exists(), (
            "each has its result"
        )
        assert not of_all.filter(is_idempotent=True, status=CallStatus.INTERRUPTED).exists()
        assert not of_all.exclude(status__in=("pending", "running")).filter(result="").exists()
        if self.claim:
            self._check_prompt(self.claim)

    def _check_prompt(self, claim: Claim) -> None:
        """The model is told what was said up to the question, each once, in order, and what joined it; nothing else."""
        prompt = context.prompt_for(claim)
        answer = Message.objects.get(pk=claim.message_id)
        assert prompt is not None and answer.reply_to is not None
        said = self.session.messages.filter(role="user", status="success").in_order()
        expected: list[tuple[str, str]] = []
        for question in said.filter(position__lte=answer.reply_to.position, taken_by=None):
            replies = question.replies.exclude(status__in=("pending", "processing")).order_by("id")
            with_text = [reply for reply in replies if reply.content.strip()]
            reply = answer if question == answer.reply_to else with_text[-1] if with_text else None
            taken = list(said.filter(taken_by__reply_to=question))
            told: list[tuple[str, str]] = []
            if reply is not None and reply.rounds and (reply == answer or self.session.services):
                told = self._rounds_of(reply, [m for m in taken if m.taken_by_id == reply.pk], reply != answer)
                taken = [m for m in taken if m.taken_by_id != reply.pk]
            elif reply is not None and reply != answer:
                told = [("assistant", reply.content)]
            expected += [("user", question.content), *(("user", m.content) for m in taken), *told]
        lines = [line for line in prompt.messages if line["role"] != "system"]
        check_request({"messages": adapted("openai/any", prompt.messages, sees=True), "tools": [{}]})
        names = tuple(f"{person.get_username()}: " for person in self.people)
        said_so = [(line["role"], line["content"] or "") for line in lines]
        assert [(role, _without(names, text) if role == "user" else text) for role, text in said_so] == expected

    def _rounds_of(self, reply: Message, joined: list[Message], is_over: bool) -> list[tuple[str, str]]:
        """Each round's text, results, and what joined behind them; of an answer that is over also the rest."""
        told: list[tuple[str, str]] = []
        start = 0
        for number in range(1, reply.rounds + 1):
            calls = reply.tool_calls.filter(round=number).in_order()
            told.append(("assistant", reply.content[start : calls[0].at].strip()))
            told += [("tool", call.result or NO_RESULT) for call in calls]
            told += [("user", m.content) for m in joined if m.taken_round == number]
            start = calls[0].at
        rest = reply.content[start:].strip()
        return [*told, ("assistant", rest)] if is_over and rest else told

    def _begin(self) -> None:
        self.text, self.ends = (self.claim.kept, self.claim.ends) if self.claim else ("", ())
        self.seq, self.blocks = 0, markup.RoundBlocks(self.text, self.ends)
        self.reasoned = (self.claim and self.claim.reasoned) or Reasoned("", 0, SECONDS)

    @property
    def _written(self) -> Written:
        return Written(self.text, self.seq, self.ends, self.reasoned if self.reasoned.content else None)

    @property
    def _waiting(self) -> list[ToolCall]:
        """The calls that the running turn must see settled before the model writes on."""
        return rounds.open_calls(self.claim) if self.claim else []

    def _let_go(self) -> Claim:
        assert self.claim is not None
        claim, self.claim = self.claim, None
        self.lost.append(claim)
        return claim

    def _any(self, messages: Any) -> Message | None:
        found = list(messages.in_order())
        return self.random.choice(found) if found else None

    # --- people ---

    def send(self) -> None:
        whom = self.random.choice(["@assistant ", "@assistant ", ""])
        when = self.random.choice(["", "", "queue", "steer", "steer", "interrupt"])
        ask(self.session, self.random.choice(self.people), f"{whom}Question {self.random.random()}", when=when)

    def move(self) -> None:
        waiting = list(self.session.messages.queued())
        if waiting:
            before = self.random.choice([*waiting, None])
            ordering.move(self.random.choice(waiting), before.pk if before else None)

    def send_now(self) -> None:
        if message := self._any(self.session.messages.queued()):
            ordering.send_now(message, self.random.choice(self.people))

    def change(self) -> None:
        self.random.choice([
            lambda: asking.change(self.session, replies=self.random.choice(["every", "mention"])),
            lambda: asking.change(self.session, when_busy=self.random.choice(["queue", "steer", "interrupt"])),
            lambda: asking.change(self.session, system_prompt=self.random.choice(["", "Be brief.", "Be kind."])),
            lambda: asking.change(self.session, services=self.random.choice([[], ["clock"]])),
            lambda: asking.change(self.session, parameters={"temperature": self.random.choice([None, 0.5])}),
        ])()  # fmt: skip

    def stop(self) -> None:
        of_all = self.session.messages.answers()
        if answer := self._any(of_all.running() if self.random.random() < 0.6 else of_all):
            asking.cancel(answer, self.random.choice(self.people))
            if self.claim and self.claim.message_id == answer.pk:
                self._let_go()

    def retry(self) -> None:
        if message := self._any(self.session.messages.all()):
            asking.retry(message)

    def edit(self) -> None:
        if message := self._any(self.session.messages.filter(role="user")):
            asking.edit(message, f"Edited {self.random.random()}")

    def withdraw(self) -> None:
        if message := self._any(self.session.messages.queued()):
            asking.withdraw(message)

    def resume(self) -> None:
        asking.resume(self.session)

    def rename(self) -> None:
        from django.db import transaction

        with transaction.atomic():
            ChatSession.objects.filter(pk=self.session.pk).update(title=f"Title {self.random.random()}")
            session_changed(ChatSession.objects.get(pk=self.session.pk))

    # --- workers ---

    def claim_it(self) -> None:
        waiting = self.session.messages.running().filter(status="pending").exclude(job=None).first()
        if waiting and self.claim is None:
            self.claim = claimed(waiting, self.random.choice(self.workers))
            self._begin()

    def write(self) -> None:
        if self.claim is None or self._waiting:
            return
        piece = self.random.choice(WORDS)
        self.text, self.seq = self.text + piece, self.seq + 1
        start, html = self.blocks.append(piece)
        self._show("message.delta", seq=self.seq, text=piece, blocks={"from": start, "html": html})

    def think(self) -> None:
        if self.claim is None or self._waiting:
            return
        piece = self.random.choice(WORDS)
        self.reasoned = Reasoned(self.reasoned.content + piece, self.reasoned.seq + 1, SECONDS)
        self._show("message.reasoning_delta", seq=self.reasoned.seq, text=piece, seconds=SECONDS)

    def _show(self, type_: str, **fields: Any) -> None:
        assert self.claim is not None
        write(self.claim, self.text, self.seq, self.reasoned)
        names = {"message_id": str(self.claim.message_id), "attempt": self.claim.attempt}
        self.emit(events.encode(type_, **names, **fields))

    def take(self) -> None:
        if self.claim and self.ends and not self._waiting:
            steering.take(self.claim, len(self.ends))

    def open_round(self) -> None:
        if self.claim is None or self._waiting:
            return
        new = [
            rounds.NewCall(
                self.random.choice(["", "same", f"id {place}"]),
                self.random.choice(["clock", "no such tool!"]),
                self.random.choice(["{}", "{broken"]),
                "A tool",
                is_idempotent=self.random.random() < 0.5,
                needs_approval=self.random.random() < 0.3,
            )
            for place in range(self.random.choice([1, 1, 2, 3]))
        ]
        assert rounds.open_round(self.claim, self._written, len(self.ends) + 1, new)
        self.blocks.end_round()
        self.ends += (len(self.text),)

    def begin_calls(self) -> None:
        ready = [call for call in self._waiting if call.approval != Approval.ASKED]
        if self.claim and ready:
            fresh = {call.pk for call in ready if call.status == CallStatus.PENDING and not call.is_idempotent}
            assert not fresh & self.begun, "run twice"
            self.begun |= fresh
            assert rounds.begin_calls(self.claim, ready)

    def settle(self) -> None:
        begun = [call for call in self._waiting if call.status == CallStatus.RUNNING]
        if self.claim and begun:
            outcome = rounds.Outcome(self.random.choice([CallStatus.SUCCESS, CallStatus.ERROR]), "A result.")
            assert rounds.settle(self.claim, self.random.choice(begun), outcome)

    def park(self) -> None:
        waiting = self._waiting
        if self.claim and waiting and all(call.approval == Approval.ASKED for call in waiting):
            assert rounds.park(self.claim, self._written) is True
            self._let_go()

    def decide(self) -> None:
        if call := ToolCall.objects.asked().filter(message__session=self.session).first():
            approving.decide(call, self.random.choice(self.people), allow=self.random.random() < 0.6)

    def continue_later(self) -> None:
        if self.claim and self.ends and not self._waiting:
            assert rounds.continue_later(self._let_go(), self._written)

    def checkpoint(self) -> None:
        if self.claim:
            assert answering.checkpoint({self.claim: self._written}) == set()

    def succeed(self) -> None:
        if self.claim and self.text.strip() and not self._waiting:
            assert answering.succeed(self._let_go(), self._written, {"total_tokens": 3})

    def fail(self) -> None:
        if self.claim:
            assert answering.fail(self._let_go(), self._written, FAILURE)

    def hand_over(self) -> None:
        if self.claim:
            assert answering.hand_over(self._let_go(), self._written)

    def come_back_late(self) -> None:
        """A zombie tries everything, in vain."""
        for claim in self.lost[-3:]:
            assert not finish(claim, "zombie", 99) and not fail(claim, "zombie", 99)
            assert not answering.hand_over(claim, Written("zombie", 99))
            assert answering.checkpoint({claim: Written("zombie", 99)}) == {claim}
            assert answering.fail(claim, Written("zombie", 99), FAILURE) is False
            assert steering.take(claim, 99) == []
            assert not rounds.open_round(claim, Written("zombie", 99), 99, []) and not rounds.begin_calls(claim, [])
            assert rounds.park(claim, Written("zombie", 99)) is None
            assert not rounds.continue_later(claim, Written("zombie", 99))
            if call := ToolCall.objects.filter(message_id=claim.message_id).first():
                assert not rounds.settle(claim, call, rounds.Outcome(CallStatus.SUCCESS, "zombie"))

    # --- what befalls them ---

    def die(self) -> None:
        """The worker dies, and somebody finds out. (Sometimes Valkey has lost the text as well.)"""
        if self.claim:
            dead = WorkerProcess.objects.get(pk=self._let_go().worker_id)
            if self.random.random() < 0.3:
                answering.checkpoint({self.lost[-1]: self._written})
                valkey.client().delete(*live_text.keys(self.lost[-1].message_id))
            kill(dead)
            assert sum(recovery.sweep().values()) == 1
            revive(dead)

    def lose_job(self) -> None:
        if waiting := self.session.messages.running().filter(status="pending").exclude(job=None).first():
            lose_job(waiting)
            assert recovery.sweep() == {"recovered": 1}

    def end_pause(self) -> None:
        over = timezone.now() - timedelta(seconds=1)
        ChatSession.objects.filter(pk=self.session.pk).exclude(queue_paused_until=None).update(
            queue_paused_until=over
        )
        recovery.sweep()


def _without(names: tuple[str, ...], text: str) -> str:
    return next((text.removeprefix(name) for name in names if text.startswith(name)), text)
