"""What an answer has beside its words: where it comes from, and the pictures that its model made.

Both are stored as soon as they have come, by the claim that holds the answer, with the round in which they came: what an
ending, a stop or a death finds is there. Of an attempt that died, what belongs to rounds that are stored stays, and the
rest goes: the next attempt makes it anew. A picture's bytes are written before its row, so that nobody is shown what is
not there; what dies in between is a file that nothing refers to, which the sweep clears away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile
from django.db import transaction

from assistant import conf
from assistant.lifecycle import attaching, stored_files
from assistant.lifecycle.refusal import Refused
from assistant.models.attachment import Attachment, StoredFile
from assistant.models.message import Claim, Message, next_version
from assistant.models.one import one
from assistant.models.session import ChatSession
from assistant.presentation import events

_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


def cite(claim: Claim, sources: Sequence[dict[str, Any]]) -> bool:
    """Stores `sources` ([{"url", "title", "round"}], all of them). False: the answer is no longer this claim's.

    They are told with the next change of the answer, which comes soon: models cite at the end of what they say.
    """
    return bool(Message.objects.held_by(claim).update(sources=list(sources), version=next_version()))


def keep_picture(claim: Claim, data: bytes, number: int, pk: UUID) -> bool:
    """Makes `data` a picture of the answer, made in round `number`, and tells it. False as in `cite`.

    Done twice with the same `pk` it is done once: a commit's answer may have been lost. Raises Refused, with a sentence
    for people, where a person could not upload it either: by its type, its size, the number of files, the session's quota.
    """
    if Attachment.objects.filter(pk=pk).exists():
        return True
    content = ContentFile(data)
    found = attaching.checked("The image", content)
    if found.type not in _ENDINGS:
        raise Refused("wrong_type", "It is none that can be shown here.", status=422)
    file = stored_files.begin(found, content.size)
    is_kept = False
    try:
        stored_files.write(file, content)
        is_kept = _attach(claim, file, number, pk)
    finally:
        if not is_kept:
            stored_files.delete_unused([file.pk])
    return is_kept


def _attach(claim: Claim, file: StoredFile, number: int, pk: UUID) -> bool:
    with transaction.atomic():
        session = ChatSession.objects.locked(claim.session_id)
        message = one(Message.objects.held_by(claim))
        if session is None or message is None:
            return False
        limit = conf.settings.attachment_max_count
        if message.pictures >= limit:
            raise Refused("too_many_attachments", f"A message may have {limit} files.", 422)
        attaching.check_session_quota(session, file.size)
        Attachment.objects.create(
            pk=pk, file=file, session=session, message=message, round=number, position=message.pictures,
            name=f"image-{message.pictures + 1}.{_ENDINGS[file.type]}", free_since=None,
        )  # fmt: skip
        Message.objects.held_by(claim).update(pictures=message.pictures + 1, version=next_version())
        events.message_changed(message)
    return True


def of_stored_rounds(message: Message) -> dict[str, Any]:
    """Drops the pictures that were made behind the rounds that are stored; returns the columns as they then are.

    The caller has locked the row, in the transaction that begins the answer anew from there.
    """
    pictures = message.attachments.filter(call=None)
    if message.pictures:
        attaching.remove(pictures.filter(round__gt=message.rounds))
    sources = [source for source in message.sources or () if source["round"] <= message.rounds]
    return {"sources": sources or None, "pictures": pictures.count() if message.pictures else 0}
