"""Images that tools find: kept with their call as files that people attach are kept with their message."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone

from assistant import conf
from assistant.files import sniff
from assistant.lifecycle import attaching
from assistant.lifecycle.refusal import Refused
from assistant.models.attachment import IMAGES, Attachment, StoredFile, random_key, storage
from assistant.models.message import Claim, Message
from assistant.models.session import ChatSession
from assistant.models.tool_call import ToolCall
from assistant.text.storable import clean
from assistant.tools.declare import Image

logger = logging.getLogger(__name__)

MOST = 8  # of one call


def keep(claim: Claim, call: ToolCall, images: Sequence[Image]) -> tuple[int, str]:
    """Stores images of a result that is about to be settled.

    Returns how many were kept, and what the model is told of those that were not. Done twice it is done once.
    """
    attaching.remove(Attachment.objects.filter(call=call))
    kept, notes = 0, []
    for image in images[:MOST]:
        if problem := _keep(claim, call, image, kept):
            notes.append(f"\n[{clean(image.name)} was left out: {problem}]")
        else:
            kept += 1
    if len(images) > MOST:
        notes.append(f"\n[Further images were left out: {MOST} are kept of one result.]")
    return kept, "".join(notes)


def _keep(claim: Claim, call: ToolCall, image: Image, place: int) -> str:
    """Stores one; returns why not, in a sentence, or nothing."""
    limit = conf.settings.attachment_max_mb
    if len(image.data) > limit * attaching.MB:
        return f"an image may have {limit:g} MB."
    try:
        found = sniff.sniff(io.BytesIO(image.data))
    except sniff.TooLarge:
        return "it has too many pixels."
    if found is None or found.type not in IMAGES:
        return "it is no PNG, JPEG, GIF or WebP."
    try:
        attachment = _reserve(claim, call, image, found, place)
    except Refused as refusal:
        return refusal.detail
    if attachment is None:
        return "the answer has ended."
    file = attachment.file
    try:
        file.key = storage().save(file.key, ContentFile(image.data))
    except Exception:
        logger.exception("An image of the call %s could not be stored.", call.pk)
        attaching.remove(Attachment.objects.filter(pk=attachment.pk))
        return "it could not be stored."
    file.written_at = timezone.now()
    file.save(update_fields=["key", "written_at"])
    return ""


def _reserve(claim: Claim, call: ToolCall, image: Image, found: sniff.Found, place: int) -> Attachment | None:
    """The row with its share of the session's quota, before a byte is written. Raises Refused (quota_full)."""
    with transaction.atomic():
        session = ChatSession.objects.locked(claim.session_id)
        if session is None or not Message.objects.held_by(claim).exists():
            return None
        attaching.check_session_quota(session, len(image.data))
        file = StoredFile.objects.create(
            key=random_key(), type=found.type, size=len(image.data), width=found.width, height=found.height
        )
        return Attachment.objects.create(
            file=file, session=session, message_id=claim.message_id, call=call, position=place, free_since=None,
            name=attaching.clean_name(image.name),
        )  # fmt: skip
