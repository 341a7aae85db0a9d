"""Asking one's last question anew, in other words. The old one and its answers stay, as an earlier version."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from assistant.lifecycle import asking, session_changes
from assistant.lifecycle.asking import Sent
from assistant.lifecycle.refusal import Refused
from assistant.models.message import Message, MessageRole, Status, next_version
from assistant.models.session import ChatSession
from assistant.presentation import events


def resend(question: Message, by: Any, content: str, client_id: str, model: str = "") -> Sent:
    """Asks `content` in the place of `question`, which `by` wrote and after which nobody has said anything.

    The thread and the model go on without the old question and its answers; nothing of them is deleted. If one is just
    being written, it is stopped: its author has thought better of what it answers. Files go along. The same `client_id`
    again returns what it made the first time. Raises Refused: not_last, session_busy, and what `asking.send` raises.
    """
    with transaction.atomic():
        session = session_changes.lock(question.session)
        if before := session.messages.filter(author=by, client_id=client_id).first():
            return asking.sent_again(
                before, asking.checked_content(content, may_be_empty=before.attachments.exists())
            )
        old = _last_question(session)
        if old is None or old.pk != question.pk or old.status != Status.SUCCESS or old.taken_by_id:
            raise Refused("not_last", "Only one's last question can be asked anew, before anybody has said more.")
        running = session.messages.running().first()
        if running is not None and running.reply_to_id != old.pk:
            raise Refused("session_busy", "An older question is being answered. Wait for it, or stop it.")
        asking.make_way(session, by)
        sent = asking.send(session, by, content, client_id, model or old.model)
        if attached := list(old.attachments.all()):
            for attachment in attached:
                attachment.copy_to(session, sent.message)
            sent.message.refresh_from_db()  # it was sent as one that has none
            events.message_changed(sent.message)
        session.messages.filter(pk=old.pk).update(superseded_by=sent.message, version=next_version())
        events.message_changed(old)
    return sent


def _last_question(session: ChatSession) -> Message | None:
    said = session.messages.filter(role=MessageRole.USER).exclude(status=Status.CANCELLED)
    return said.order_by("-position", "-id").first()
