"""Forms that running tools put before people: one at a time for each call, and the first who fills it in counts.

The call goes on running meanwhile; its worker looks for what was given, so nothing that is lost on the way holds it up.
What was given stays in the row until the call has its result, and is shown to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from assistant.lifecycle.refusal import Refused
from assistant.models.message import Claim, Message, next_version
from assistant.models.session import ChatSession
from assistant.models.tool_call import CallStatus, ToolCall
from assistant.presentation import events
from assistant.tools.form import Action, Filled, Form, WrongAnswer, checked

EXPIRED = "expired"


def put(claim: Claim, call_id: UUID, form: Form) -> int | None:
    """Puts a form before the people of the session; returns its number. None: the call is no longer this claim's."""
    with transaction.atomic():
        call = _held(claim, call_id)
        if call is None:
            return None
        number = (call.form or {}).get("number", 0) + 1
        call.form = {"number": number, "message": form.message, "fields": list(form.fields), "url": form.url}
        call.form_given = call.filled_by = None
        call.save(update_fields=["form", "form_given", "filled_by"])
        events.tool_calls_changed(claim.message_id)
    return number


def fill(call: ToolCall, by: Any, number: int, action: Action, content: Mapping[str, Any]) -> Message:
    """Answers a call's form, or refuses to. Returns the answer that the call belongs to.

    Raises Refused: already_filled (the first counts, and only what was shown), invalid_form, not_found.
    """
    with transaction.atomic():
        session = ChatSession.objects.locked(call.message.session_id)
        message = Message.objects.select_for_update(of=("self",), no_key=True).filter(pk=call.message_id).first()
        if session is None or message is None:
            raise Refused("not_found", "This session has been deleted.", status=404)
        row = ToolCall.objects.select_for_update(of=("self",)).filter(pk=call.pk).first()
        if row is None or row.form is None or not row.asks or row.form["number"] != number:
            raise Refused("already_filled", "This form has been answered already, or is not asked for any more.")
        try:
            row.form_given = checked(row.form["fields"], content) if action == "accept" else None
        except WrongAnswer as wrong:
            raise Refused("invalid_form", str(wrong), status=422) from None
        row.form |= {"action": action}
        row.filled_by = by
        row.save(update_fields=["form", "form_given", "filled_by"])
        Message.objects.filter(pk=message.pk).update(version=next_version())
        events.tool_calls_changed(message.pk)
    return Message.objects.shown().get(pk=message.pk)


def taken(claim: Claim, call_id: UUID, number: int) -> Filled | None:
    """What people have answered; None if they haven't yet."""
    row = ToolCall.objects.filter(pk=call_id).only("form").first()
    return None if row is not None and not (row.form or {}).get("action") else close(claim, call_id, number)


def close(claim: Claim, call_id: UUID, number: int) -> Filled:
    """Ends the waiting: what people have answered, also in the last moment, or that nobody has."""
    with transaction.atomic():
        call = _held(claim, call_id)
        if call is None or not call.form or call.form["number"] != number:
            return Filled("cancel")
        if "action" not in call.form:
            call.form["action"] = EXPIRED
            call.save(update_fields=["form"])
            events.tool_calls_changed(claim.message_id)
    action = call.form["action"]
    given = call.form_given or {}
    # In the order in which they were asked for: PostgreSQL's jsonb keeps none.
    in_order = {field["name"]: given[field["name"]] for field in call.form["fields"] if field["name"] in given}
    return Filled("cancel") if action == EXPIRED else Filled(action, in_order)


def _held(claim: Claim, call_id: UUID) -> ToolCall | None:
    """The running call, if `claim` still holds its answer, whose row is locked by this until the transaction ends."""
    if not Message.objects.held_by(claim).update(version=next_version()):
        return None
    return ToolCall.objects.filter(pk=call_id, message_id=claim.message_id, status=CallStatus.RUNNING).first()
