"""A session in which everything happens, in an order that a seed decides: sends, stops, deaths, sweeps, deltas.

After each step `check` holds what must always hold of the queue and of what the model is told.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from assistant import context, events, live, markup, valkey
from assistant.lifecycle import answering, asking, ordering, recovery, steering
from assistant.lifecycle.answering import Written
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession, Message, WorkerProcess
from assistant.models.message import Claim
from tests.acting import FAILURE, a_worker, ask, claimed, fail, finish, kill, lose_job, revive, write

WORDS = ["One ", "two\n\n", "**three** ", "- four\n", "```py\nfive\n```\n", "6 < 7 ", "ünïcode 👋🏽 ", "\n"]


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
        self.rounds = 0
        self._begin()

    def step(self) -> str:
        weights = {
            self.send: 6, self.claim_it: 6, self.write: 12, self.checkpoint: 3, self.succeed: 3, self.fail: 2,
            self.hand_over: 2, self.stop: 1, self.retry: 2, self.edit: 2, self.withdraw: 2, self.resume: 1, self.die: 2,
            self.lose_job: 1, self.end_pause: 1, self.come_back_late: 2, self.rename: 1, self.move: 2, self.send_now: 1,
            self.take: 3, self.change: 1,
        }  # fmt: skip
        action = self.random.choices(list(weights), list(weights.values()))[0]
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
            expected.append(("user", question.content))
            expected += [("user", m.content) for m in said.filter(taken_by__reply_to=question)]
            texts = [a.content for a in question.replies.exclude(status__in=("pending", "processing")).order_by("id")]
            if question != answer.reply_to and any(text.strip() for text in texts):
                expected.append(("assistant", [text for text in texts if text.strip()][-1]))
        told = [(line["role"], line["content"]) for line in prompt.messages if line["role"] != "system"]
        names = tuple(f"{person.get_username()}: " for person in self.people)
        assert [(role, _without(names, text) if role == "user" else text) for role, text in told] == expected

    def _begin(self) -> None:
        self.text, self.seq, self.blocks = "", 0, markup.LiveBlocks()

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
            events.session_changed(ChatSession.objects.get(pk=self.session.pk))

    # --- workers ---

    def claim_it(self) -> None:
        waiting = self.session.messages.running().filter(status="pending").first()
        if waiting and self.claim is None:
            self.claim = claimed(waiting, self.random.choice(self.workers))
            self._begin()

    def write(self) -> None:
        if self.claim is None:
            return
        piece = self.random.choice(WORDS)
        self.text, self.seq = self.text + piece, self.seq + 1
        write(self.claim, self.text, self.seq)
        start, html = self.blocks.append(piece)
        names = {"message_id": str(self.claim.message_id), "attempt": self.claim.attempt, "seq": self.seq}
        self.emit(events.encode("message.delta", **names, text=piece, blocks={"from": start, "html": html}))

    def take(self) -> None:
        if self.claim:
            self.rounds += 1
            steering.take(self.claim, self.rounds)

    def checkpoint(self) -> None:
        if self.claim:
            assert answering.checkpoint({self.claim: Written(self.text, self.seq)}) == set()

    def succeed(self) -> None:
        if self.claim and self.text.strip():
            assert finish(self._let_go(), self.text, self.seq)

    def fail(self) -> None:
        if self.claim:
            assert fail(self._let_go(), self.text, self.seq)

    def hand_over(self) -> None:
        if self.claim:
            assert answering.hand_over(self._let_go(), Written(self.text, self.seq))

    def come_back_late(self) -> None:
        """A zombie tries everything, in vain."""
        for claim in self.lost[-3:]:
            assert not finish(claim, "zombie", 99) and not fail(claim, "zombie", 99)
            assert not answering.hand_over(claim, Written("zombie", 99))
            assert answering.checkpoint({claim: Written("zombie", 99)}) == {claim}
            assert answering.fail(claim, Written("zombie", 99), FAILURE) is False
            assert steering.take(claim, 99) == []

    # --- what befalls them ---

    def die(self) -> None:
        """The worker dies, and somebody finds out. (Sometimes Valkey has lost the text as well.)"""
        if self.claim:
            dead = WorkerProcess.objects.get(pk=self._let_go().worker_id)
            if self.random.random() < 0.3:
                answering.checkpoint({self.lost[-1]: Written(self.text, self.seq)})
                valkey.client().delete(*live.keys(self.lost[-1].message_id))
            kill(dead)
            assert sum(recovery.sweep().values()) == 1
            revive(dead)

    def lose_job(self) -> None:
        if waiting := self.session.messages.running().filter(status="pending").first():
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
