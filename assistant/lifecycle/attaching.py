"""What is done with files: upload, take back, send with a message, clear away."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.files.base import File
from django.db import transaction
from django.db.models import Q, Sum
from django.db.models.functions import Now

from assistant import conf
from assistant.delivery import clock
from assistant.files import sniff
from assistant.lifecycle import refusal, stored_files
from assistant.lifecycle.refusal import Refused
from assistant.models.attachment import MADE_WITHIN, Attachment, StoredFile
from assistant.models.message import Message
from assistant.models.session import ChatSession

BATCH = 200
MB = 1024 * 1024
LONGEST_NAME = 200
_SPOKEN = {
    "image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WebP",
    "application/pdf": "PDF", "text/plain": "text",
}  # fmt: skip


def upload(by: Any, name: str, content: File, session: ChatSession | None = None) -> Attachment:
    """Stores a file of `by`'s for a message to come, in `session` or in one that does not exist yet.

    The row with its share of the quota is committed before a byte is written: whatever dies meanwhile leaves something
    that the sweep finds. Raises Refused: too_fast, attachments_off, too_big, empty_file, wrong_type, quota_full,
    not_found, storage.
    """
    limit = conf.settings.upload_rate
    detail = f"You may upload {limit} files in a minute. Go on in {{seconds}} s."
    refusal.check_rate(f"upload:{by.pk}", limit, detail)
    found = checked(name, content)
    attachment = _reserve(by, name, content.size, found, session)
    try:
        stored_files.write(attachment.file, content, "The file could not be stored here. Try again in a moment.")
    except Refused:
        remove(Attachment.objects.filter(pk=attachment.pk))
        raise
    return attachment


def checked(name: str, content: File) -> sniff.Found:
    """What `content` is, if it can be attached. Raises Refused: attachments_off, too_big, empty_file, wrong_type."""
    limit = conf.settings.attachment_max_mb
    if not conf.settings.attachment_max_count:
        raise Refused("attachments_off", "This installation does not take files.", status=422)
    if content.size > limit * MB:
        raise Refused(
            "too_big",
            f"A file may have {limit:g} MB; this one has {content.size / MB:,.1f} MB.",
            status=422,
        )
    if not content.size:
        raise Refused("empty_file", "There is nothing in this file.", status=422)
    allowed = conf.settings.attachment_types
    try:
        found = sniff.sniff(content)
    except sniff.TooLarge:
        raise Refused(
            "too_big", f"An image may have {sniff.MAX_PIXELS // 1_000_000} million pixels; this one has more.", 422
        ) from None
    if found is None or found.type not in allowed:
        spoken = ", ".join(_SPOKEN[type_] for type_ in allowed if type_ in _SPOKEN)
        raise Refused("wrong_type", f"“{clean_name(name)}” is none of the kinds that can be attached: {spoken}.", 422)
    return found


def _reserve(by: Any, name: str, size: int, found: sniff.Found, session: ChatSession | None) -> Attachment:
    with transaction.atomic():
        if session is not None:
            session = ChatSession.objects.locked(session.pk)
            if session is None:
                raise Refused("not_found", "This session has been deleted.", status=404)
            check_session_quota(session, size)
        # The user's row is the lock under which their quota is counted: two uploads can't both take the last place.
        get_user_model()._default_manager.select_for_update(of=("self",)).filter(pk=by.pk).first()
        _check_quota(Attachment.objects.filter(uploader=by), size, conf.settings.attachment_user_quota_mb, "You have")
        return Attachment.objects.create(
            file=stored_files.begin(found, size), session=session, uploader=by, name=clean_name(name)
        )


def check_session_quota(session: ChatSession, more: int) -> None:
    """Raises Refused (quota_full) if `more` bytes don't fit into the session."""
    _check_quota(session.attachments.all(), more, conf.settings.attachment_session_quota_mb, "This session has")


def _check_quota(attachments: Any, more: int, quota: float, beginning: str) -> None:
    used = attachments.aggregate(total=Sum("file__size"))["total"] or 0
    if used + more > quota * MB:
        raise Refused(
            "quota_full",
            f"{beginning} {used / MB:,.1f} of {quota:,g} MB of files already; this one does not fit.",
            status=429,
            retry_after=3600,
        )


def clean_name(name: str) -> str:
    """A file's name as it is shown: without folders, control characters and line breaks; never empty."""
    name = os.path.basename(name.replace("\\", "/"))
    name = "".join(letter for letter in name if letter.isprintable()).strip()
    name = name.encode("utf-8", "ignore").decode()
    if len(name) > LONGEST_NAME:
        stem, dot, extension = name.rpartition(".")
        keep = f"{dot}{extension}" if dot and len(extension) <= 10 else ""
        name = (stem if keep else name)[: LONGEST_NAME - len(keep)] + keep
    return name or "file"


def take_back(attachment: Attachment) -> None:
    """Deletes an upload that was not sent. Raises Refused (already_sent)."""
    if not remove(Attachment.objects.filter(pk=attachment.pk, message=None)):
        raise Refused("already_sent", "This file has been sent with a message.")


def send_with(message: Message, ids: Sequence[UUID]) -> None:
    """Makes uploads of the author's part of a message that is being made, in the order of `ids`.

    The caller holds the session's lock, in the transaction that makes the message.
    Raises Refused (too_many_attachments, no_such_attachment, quota_full).
    """
    if not ids:
        # Known to have none: telling the message asks no further.
        message._prefetched_objects_cache = {"attachments": Attachment.objects.none()}  # type: ignore[attr-defined]
        return
    limit = conf.settings.attachment_max_count
    wanted = list(dict.fromkeys(ids))
    if len(wanted) > limit:
        raise Refused("too_many_attachments", f"A message may have {limit} files; this one has {len(wanted)}.", 422)
    session = message.session
    mine = Attachment.objects.unsent_of(message.author_id).filter(Q(session=session) | Q(session=None))
    found = {attachment.pk: attachment for attachment in mine.filter(pk__in=wanted).select_related("file")}
    for position, id_ in enumerate(wanted):
        attachment = found.get(id_)
        free = Attachment.objects.filter(pk=id_, message=None)
        if attachment is not None and attachment.session_id is None:
            check_session_quota(session, attachment.file.size)
        if attachment is None or not free.update(
            session=session, message=message, position=position, free_since=None
        ):
            gone = "A file of this message is gone: it was sent, removed, or kept too long."
            raise Refused("no_such_attachment", gone, status=422)


def first_name(message: Message) -> str:
    """The name of the first file of a message; "" if it has none."""
    return message.attachments.order_by("position").values_list("name", flat=True).first() or ""


def release(message: Message) -> None:
    """A withdrawn message gives its files back to who uploaded them: they can be sent again, or are swept away."""
    message.attachments.update(message=None, free_since=clock.now())


# --- clearing away ---


def remove(attachments: Any) -> int:
    """Deletes attachments; their files follow once that is committed, unless other attachments need them."""
    with transaction.atomic():
        files = set(attachments.values_list("file_id", flat=True))
        count, _ = attachments.delete()
        transaction.on_commit(lambda: stored_files.delete_unused(files))
    return int(count)


def delete_with(session: ChatSession) -> None:
    """Sees to it that the files of a session that is being deleted go when that has been committed."""
    files = set(session.attachments.values_list("file_id", flat=True))
    transaction.on_commit(lambda: stored_files.delete_unused(files))


def sweep() -> int:
    """Clears away uploads that were never sent and files that nothing refers to; returns how many files went."""
    forgotten = Attachment.objects.forgotten().order_by("free_since").values_list("pk", flat=True)
    # Conditional: one that is being sent at this moment stays.
    Attachment.objects.forgotten().filter(pk__in=list(forgotten[:BATCH])).delete()
    old = StoredFile.objects.unused().filter(created_at__lt=Now() - MADE_WITHIN)
    return stored_files.delete_unused(list(old.order_by("pk").values_list("pk", flat=True)[:BATCH]))
