"""How an answer ends, and how it is given back to the queue: each in one place, for all who take it from its writer.

A worker ends its turn, people stop it, recovery gives it up: `end` writes what an ended answer is. A worker hands over,
parks or pauses it, people decide what it was parked for, recovery takes it from a dead one: `give_back` writes what a
waiting answer is. Each is a compare-and-set on the message as its caller read it under its row's lock.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from assistant.delivery import clock, live_text, queue
from assistant.failures import sentence
from assistant.lifecycle import ledger, text_columns
from assistant.lifecycle.call_endings import close_calls, ends_of
from assistant.lifecycle.suspicion import Suspicion
from assistant.models.message import Cut, Message, MessageQuerySet, Status
from assistant.ops import report
from assistant.presentation import events, wire
from assistant.signals import send_after_commit, turn_ended
from assistant.statements import Update, Value
from assistant.text.storable import clean

SHORT = 500  # letters of what is said of a failure


@dataclass(frozen=True, slots=True)
class Failure:
    code: str  # one of the categories in `assistant.failures`
    detail: str  # a sentence for people
    note: str = ""  # for operators: what the provider said

    @classmethod
    def of(cls, code: str) -> Failure:
        """With the category's own sentence."""
        return cls(code, sentence(code))


@dataclass(frozen=True, slots=True)
class AskedModels:
    """Which models a turn has asked."""

    model: str  # the last one: whose answer it is
    tried: list[dict[str, Any]]  # in vain before that: [{"model", "code", "seconds"}]
    is_heard: bool  # one of them has begun to answer


@dataclass(frozen=True, slots=True)
class Ending:
    """What an answer ends with. Made by `succeeded`, `failed` and `stopped`."""

    status: Status
    failure: Failure | None = None
    by: Any = None  # who stopped it
    asked: AskedModels | None = None  # None: as the message says already
    cut: Cut | None = None
    usage: Mapping[str, Any] | None = None  # of its last request: what counts where the ledger has nothing of it


def succeeded(
    usage: Mapping[str, Any] | None = None, asked: AskedModels | None = None, cut: Cut | None = None
) -> Ending:
    return Ending(Status.SUCCESS, usage=usage, asked=asked, cut=cut)


def failed(failure: Failure, usage: Mapping[str, Any] | None = None, asked: AskedModels | None = None) -> Ending:
    return Ending(Status.ERROR, failure, usage=usage, asked=asked)


def stopped(by: Any) -> Ending:
    return Ending(Status.CANCELLED, by=by)


def end(message: Message, ending: Ending, drawn: tuple[str, dict[str, Any]] | None = None) -> None:
    """Ends `message`, which holds the text that it is to end with, and tells of it.

    `message` is as it stands in this transaction, which has locked its session and its row; it shows the ending then.
    `drawn` is a text and what `wire.rendered` made of it before the locks: a long one takes a while.
    """
    ended = text_columns.ending(message, is_whole=ending.status == Status.SUCCESS)
    content = ended["content"]
    html = drawn[1] if drawn and drawn[0] == content else wire.rendered(content, ends_of(message))
    job = message.job
    if message.rounds:
        close_calls(message.pk)
    _write(
        message,
        # Known here without asking, as of `started_at` and `created_at`: it is told at once.
        finished_at=clock.now(),
        **_columns(message, ending, content),
        **ended,
        html=html,
        **ledger.columns(ledger.total_of(message.pk) or ending.usage),  # of all attempts and rounds
    )
    queue.withdraw(job)
    events.message_written(message)
    send_after_commit(
        turn_ended, Message, message_id=message.pk, session_id=message.session_id, status=str(message.status),
        error_code=message.error_code, model=message.model, user_id=message.charged_to_id,
    )  # fmt: skip


def _columns(message: Message, ending: Ending, content: str) -> dict[str, Any]:
    """What an ended answer is, beside its texts and its cost."""
    failure, asked = ending.failure, ending.asked
    is_silent = not message.rounds and not content
    return {
        "status": ending.status,
        "worker": None,
        "job": None,
        "is_parked": False,
        "model": asked.model if asked else message.model,
        "tried": (asked.tried if asked else message.tried) or None,
        "cut": ending.cut or "",
        "is_bounced": bool(failure and asked and not asked.is_heard and is_silent),
        "error_code": failure.code if failure else "",
        "error_detail": clean(failure.detail)[:SHORT] if failure else "",
        "error_note": report.redacted(clean(failure.note))[:SHORT] if failure else "",
        "stopped_by": ending.by,
    }


def give_back(
    message: Message, *, is_parked: bool = False, died: Suspicion | None = None, goes_on: bool = False
) -> None:
    """Puts `message` back into the queue with a fresh job, or (`is_parked`) aside without one, and tells of it.

    `message` holds the text that was written, and is as it stands in this transaction, which has locked its row.
    `died`: its worker died over it, and this is what it is suspected of. `goes_on`: its worker lets go of it between two
    rounds, so nothing that was shown is begun anew.
    """
    company = None if goes_on else died.company if died else message.company
    queue.withdraw(message.job)
    was_shown = message.status == Status.PROCESSING and bool(message.seq or message.reasoning_seq)
    _write(
        message,
        status=Status.PENDING,
        worker=None,
        job=None if is_parked else queue.enqueue(message.pk, is_suspect=company is not None),
        is_parked=is_parked,
        recoveries=message.recoveries + (died is not None),
        lone_deaths=died.lone_deaths if died else message.lone_deaths,
        company=company,
        interruptions=message.interruptions + (was_shown and not goes_on),
        continuations=message.continuations + (goes_on and not is_parked),
        **text_columns.held(message),
    )
    events.message_written(message)


def _write(message: Message, **changes: Any) -> None:
    """In the row, and in `message`, which is told from: nobody has to read it again."""
    changes["version"] = message.version + 1  # the caller has locked the row
    seen = {"seen_status": message.status, "seen_attempt": message.attempt, "seen_worker": message.worker_id}
    won = _update(tuple(changes), message.worker_id is not None).run(id=message.pk, **seen, **changes)
    assert won, "the locks keep everyone else away"
    for name, value in changes.items():
        setattr(message, name, value)


@functools.cache
def _update(names: tuple[str, ...], has_worker: bool) -> Update:
    """Of a running answer that is still as it was seen."""

    def build(p: Value) -> tuple[MessageQuerySet, dict[str, Any]]:
        seen = Message.objects.running().filter(
            pk=p("id"),
            status=p("seen_status", "status"),
            attempt=p("seen_attempt", "attempt"),
        )
        worker = p("seen_worker", "worker") if has_worker else None
        return seen.filter(worker_id=worker), {name: p(name) for name in names}

    return Update(Message, build)


def close_live_text(message: Message) -> None:
    """Once this commits, a worker that was only thought dead shows nobody another letter of its attempt."""
    if message.attempt:
        transaction.on_commit(lambda: live_text.close(message.pk, message.attempt))


def take_from_writer(message: Message) -> None:
    """Seals the live text of an answer, takes over what it has beyond the last checkpoint, charges what nobody else will.

    A living worker charges its calls itself, also one that is cancelled because its answer is taken; that of a dead one
    is estimated. The caller has locked the message's row, so that no worker claims it meanwhile, and then ends it or gives
    it back.
    """
    if message.status != Status.PROCESSING:
        return
    shown = live_text.seal(message.pk, message.attempt)
    if shown is not None and shown.is_as_far_as(message.attempt, message.seq, message.reasoning_seq):
        text_columns.take_over(message, text_columns.Written(shown.content, shown.seq, reasoned=shown.reasoned))
    if not message.is_alive():
        ledger.record_lost(message)
