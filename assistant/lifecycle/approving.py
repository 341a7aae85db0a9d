"""What people decide about tool calls that need their approval."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import OperationalError, transaction
from django.db.models.functions import Now

from assistant import conf
from assistant.lifecycle import call_endings, endings
from assistant.lifecycle.refusal import Refused
from assistant.models.message import Message, next_version
from assistant.models.session import ChatSession
from assistant.models.tool_call import Approval, CallStatus, ToolCall, ToolCallQuerySet
from assistant.presentation import events
from assistant.text.arguments import arguments_of
from assistant.text.storable import clean

logger = logging.getLogger(__name__)
DENIED = "Denied: the people in this session did not allow this call. It was not run."
LATE = "Not run: the people in this session did not decide in time whether to allow this call."
BATCH = 100
SAID_WHY = " They say: {}"
LONGEST_ARGUMENTS = 100_000


def allow(call: ToolCall, by: Any, arguments: str | None = None) -> Message:
    """Has a call run: as it was shown, or with other `arguments`, a JSON object. See `_decide`.

    Raises Refused: invalid_arguments.
    """
    changed = "" if arguments is None or _is_same(arguments, call.arguments) else _checked(arguments)
    return _decide(
        call, lambda asked: asked.update(approval=Approval.ALLOWED, decided_by=by, changed_arguments=changed)
    )


def deny(call: ToolCall, by: Any, reason: str = "") -> Message:
    """Keeps a call from being run. The model is told so, and the `reason`; people see it as well. See `_decide`."""
    reason = clean(reason).strip()
    result = DENIED + SAID_WHY.format(reason) if reason else DENIED
    columns = {"approval": Approval.DENIED, "decided_by": by}
    return _decide(
        call, lambda asked: call_endings.end_calls(asked, CallStatus.CANCELLED, result, reason or "Denied", **columns)
    )


def expire() -> int:
    """Denies what nobody has decided for ASSISTANT_APPROVAL_TIMEOUT, a batch at a time; returns how many those were."""
    if not conf.settings.approval_timeout:
        return 0
    patience = timedelta(seconds=conf.settings.approval_timeout)
    late = ToolCall.objects.asked().filter(created_at__lt=Now() - patience)
    return sum(_expire(call) for call in late.order_by("created_at")[:BATCH])


def _expire(call: ToolCall) -> bool:
    columns = {"approval": Approval.DENIED, "decided_by": None}
    try:
        _decide(
            call, lambda asked: call_endings.end_calls(asked, CallStatus.CANCELLED, LATE, "Nobody decided", **columns)
        )
    except Refused:  # somebody has, just now
        return False
    except OperationalError:
        raise
    except Exception:
        logger.exception("The call %s could not be denied; the others are.", call.pk)
        return False
    return True


def _is_same(one: str, other: str) -> bool:
    """To the letter, or the same JSON object in another order or with other blanks."""
    if one == other:
        return True
    ours, theirs = arguments_of(one), arguments_of(other)
    return (
        bool(one.strip())
        and ours is not None
        and json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)
    )


def _checked(written: str) -> str:
    """Raises Refused (invalid_arguments) if a tool could not be run with what is `written`."""
    if len(written) > LONGEST_ARGUMENTS:
        detail = f"The arguments may have {LONGEST_ARGUMENTS:,} characters; these have {len(written):,}."
        raise Refused("invalid_arguments", detail, status=422)
    if not written.strip() or arguments_of(written) is None:
        detail = "The arguments must be a JSON object, with each name once."
        raise Refused("invalid_arguments", detail, status=422)
    return clean(written)


def _decide(call: ToolCall, change: Callable[[ToolCallQuerySet], int]) -> Message:
    """With the last decision a parked answer goes on, in a fresh job. Returns the answer.

    The first decision counts. Raises Refused: already_decided, not_found.
    """
    with transaction.atomic():
        session = ChatSession.objects.locked(call.message.session_id)
        message = Message.objects.select_for_update(of=("self",), no_key=True).filter(pk=call.message_id).first()
        if session is None or message is None:
            raise Refused("not_found", "This session has been deleted.", status=404)
        if not change(ToolCall.objects.asked().filter(pk=call.pk)):
            raise Refused("already_decided", "This has been decided already, or the answer has ended.")
        if message.is_parked and not message.waits_for_approval():
            endings.give_back(message)
        else:
            Message.objects.filter(pk=message.pk).update(version=next_version())
        events.tool_calls_changed(message.pk)
    return Message.objects.shown().get(pk=message.pk)
