"""How tool calls end, in one place for all who end one; and what becomes of an answer's when it changes hands or ends.

In the transaction of whoever does so.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from assistant.models.message import Message
from assistant.models.tool_call import CallStatus, ToolCall, ToolCallQuerySet
from assistant.signals import send_after_commit, tool_call_ended
from assistant.text.reasoned import Reasoned

INTERRUPTED = (
    "Interrupted: the process that ran this call died in the middle of it. It is not known whether it took effect, and it "
    "was not run again. Find out how things stand before you try it again."
)
CHANGED = "(The people in this session changed the arguments before they allowed the call. It was run with: {})\n\n"
LONGEST_SUMMARY = 300
STOPPED = "Cancelled: the answer was ended before this call had a result."


def inherit_calls(message: Message) -> None:
    """What a new attempt does with its predecessor's calls: one that was running is run again only if that is harmless."""
    calls = ToolCall.objects.filter(message_id=message.pk)
    calls.filter(status=CallStatus.RUNNING, is_idempotent=True).update(
        status=CallStatus.PENDING, started_at=None, form=None, form_given=None
    )
    for call in calls.filter(status=CallStatus.RUNNING).exclude(changed_arguments=""):
        result = CHANGED.format(call.changed_arguments) + INTERRUPTED
        end_calls(calls.filter(pk=call.pk), CallStatus.INTERRUPTED, result, "Interrupted")
    end_calls(calls.filter(status=CallStatus.RUNNING), CallStatus.INTERRUPTED, INTERRUPTED, "Interrupted")


def close_calls(message_id: UUID) -> None:
    """An answer ends: what has no result yet will get none."""
    end_calls(ToolCall.objects.open().filter(message_id=message_id), CallStatus.CANCELLED, STOPPED, "Cancelled")


def end_calls(calls: ToolCallQuerySet, status: CallStatus, result: str, summary: str, **columns: Any) -> int:
    """Gives each of `calls` its one result, and tells the project; returns how many those were. `columns` change as well.

    The caller names only calls that have none yet, and has locked their answer's row: the first result counts.
    """
    ended = list(calls) if tool_call_ended.has_listeners(ToolCall) else []
    count = calls.update(
        status=status,
        result=result,
        summary=summary[:LONGEST_SUMMARY],
        form_given=None,
        finished_at=Now(),
        **columns,
    )
    for call in ended:
        send_after_commit(
            tool_call_ended, ToolCall, call_id=call.pk, message_id=call.message_id, name=call.name, status=str(status)
        )
    return count


def reasoned_before(message: Message) -> Reasoned | None:
    """What was thought on the way to the last round that is stored, as a new attempt begins with it."""
    if not message.rounds or not message.reasoning:
        return None
    rounds = ToolCall.objects.filter(message_id=message.pk, place=0).order_by("-round")
    at, seconds = rounds.values_list("reasoning_at", "reasoning_seconds")[0]
    return Reasoned(message.reasoning[:at], 0, seconds) if at else None


def ends_of(message: Message) -> tuple[int, ...]:
    """Where in the text its rounds end, in characters, in order."""
    if not message.rounds:
        return ()
    found = ToolCall.objects.filter(message_id=message.pk, place=0).order_by("round")
    return tuple(found.values_list("at", flat=True))
