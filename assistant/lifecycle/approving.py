"""What people decide about tool calls that need their approval."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from assistant.lifecycle import call_endings, endings
from assistant.lifecycle.refusal import Refused
from assistant.models.message import Message, next_version
from assistant.models.session import ChatSession
from assistant.models.tool_call import Approval, CallStatus, ToolCall
from assistant.presentation import events

DENIED = "Denied: the people in this session did not allow this call. It was not run."


def decide(call: ToolCall, by: Any, *, allow: bool) -> Message:
    """Allows or denies a call; with the last decision a parked answer goes on, in a fresh job. Returns the answer.

    The first decision counts. Raises Refused: already_decided, not_found.
    """
    with transaction.atomic():
        session = ChatSession.objects.locked(call.message.session_id)
        message = Message.objects.select_for_update(of=("self",), no_key=True).filter(pk=call.message_id).first()
        if session is None or message is None:
            raise Refused("not_found", "This session has been deleted.", status=404)
        asked = ToolCall.objects.asked().filter(pk=call.pk)
        if allow:
            won = asked.update(approval=Approval.ALLOWED, decided_by=by)
        else:
            denied = {"approval": Approval.DENIED, "decided_by": by}
            won = call_endings.end_calls(asked, CallStatus.CANCELLED, DENIED, "Denied", **denied)
        if not won:
            raise Refused("already_decided", "This has been decided already, or the answer has ended.")
        if message.is_parked and not message.waits_for_approval():
            endings.give_back(message)
        else:
            Message.objects.filter(pk=message.pk).update(version=next_version())
        events.tool_calls_changed(message.pk)
    return Message.objects.shown().get(pk=message.pk)
