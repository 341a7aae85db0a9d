"""The rounds of an answer that uses tools: each call is stored before anything depends on it, and gets one result.

Every write names the claim, as all writes by a worker do: a late worker's write changes nothing. The row of the answer is
written first, so that writes for one answer wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from assistant.lifecycle import call_endings, endings, found_images
from assistant.lifecycle.answering import held_under_lock, let_go
from assistant.lifecycle.session_changes import session_changed
from assistant.lifecycle.text_columns import Written
from assistant.models.message import Claim, Message, next_version
from assistant.models.provider_state import Kept, ProviderState
from assistant.models.tool_call import Approval, CallStatus, ToolCall
from assistant.presentation import events
from assistant.tools.declare import Image


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call as the model asked for it, with what is known of the tool."""

    call_id: str
    name: str
    arguments: str
    title: str
    doing: str = ""
    is_idempotent: bool = False
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class CallResult:
    """What came of a call: `result` for the model, `summary` for people."""

    status: CallStatus
    result: str
    summary: str = ""
    images: Sequence[Image] = ()


def open_round(
    claim: Claim, written: Written, number: int, calls: Sequence[NewCall], kept: Kept | None = None
) -> bool:
    """Stores round `number` (from 1): the text up to here, the calls, and what its model wants back with them.

    False: the answer is no longer this claim's.

    Done twice it is done once: a commit's answer may have been lost.
    """
    with transaction.atomic():
        if not _held(claim, **written.columns(), salvage="", reasoning_salvage=None, rounds=number):
            return False
        reasoned = written.reasoned
        if not ToolCall.objects.filter(message_id=claim.message_id, round=number).exists():
            ToolCall.objects.bulk_create(
                ToolCall(
                    message_id=claim.message_id,
                    round=number,
                    place=place,
                    at=len(written.content),
                    reasoning_at=len(reasoned.content) if reasoned else 0,
                    reasoning_seconds=reasoned.seconds if reasoned else 0.0,
                    call_id=call.call_id,
                    name=call.name,
                    arguments=call.arguments,
                    title=call.title[:200],
                    doing=call.doing[:200],
                    is_idempotent=call.is_idempotent,
                    approval=Approval.ASKED if call.needs_approval else Approval.NOT_NEEDED,
                )
                for place, call in enumerate(calls)
            )
            if kept is not None:
                ProviderState.of(claim.message_id, number, kept).save(force_insert=True)
            events.tool_calls_changed(claim.message_id)
    return True


def open_calls(claim: Claim) -> list[ToolCall]:
    """The calls of the answer that have no result yet, in order."""
    return list(ToolCall.objects.open().filter(message_id=claim.message_id).in_order())


def begin_calls(claim: Claim, calls: Sequence[ToolCall]) -> bool:
    """Notes that calls are being run: from now on a death leaves it unknown what they did. False as in `open_round`."""
    with transaction.atomic():
        if not _held(claim):
            return False
        mine = ToolCall.objects.filter(message_id=claim.message_id, pk__in=[call.pk for call in calls])
        mine.filter(status=CallStatus.PENDING).update(status=CallStatus.RUNNING, started_at=Now())
        events.tool_calls_changed(claim.message_id)
    return True


def settle(claim: Claim, call: ToolCall, result: CallResult) -> bool:
    """Gives a call its one result; the first counts. False: the answer is no longer this claim's, nothing was written."""
    kept, note = found_images.keep(claim, call, result.images) if result.images else (0, "")
    with transaction.atomic():
        if not _held(claim):
            return False
        mine = ToolCall.objects.open().filter(message_id=claim.message_id, pk=call.pk)
        if call_endings.end_calls(mine, result.status, result.result + note, result.summary, image_count=kept):
            events.tool_calls_changed(claim.message_id)
    return True


def park(claim: Claim, written: Written) -> bool | None:
    """Lets go of an answer until somebody has allowed or denied what it asks for: no worker, no job.

    False: everything has been decided meanwhile, go on. None: the answer is no longer this claim's.
    """
    with transaction.atomic():
        message = held_under_lock(claim, written)
        if message is None:
            return None
        if not message.waits_for_approval():
            return False
        endings.give_back(message, is_parked=True, goes_on=True)
        # Nothing follows that would show that this was missed.
        session_changed(message.session, running=True)
    return True


def continue_later(claim: Claim, written: Written) -> bool:
    """Puts a turn back between two rounds: its rounds or its time are used up. False as in `open_round`."""
    return let_go(claim, written, goes_on=True)


def _held(claim: Claim, **changes: Any) -> bool:
    """Whether `claim` still holds its answer, whose row is locked by this until the transaction ends."""
    return bool(Message.objects.held_by(claim).update(version=next_version(), **changes))
