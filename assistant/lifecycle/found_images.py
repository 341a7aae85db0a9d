"""Images that tools find: kept with their call as files that people attach are kept with their message."""

from __future__ import annotations

import io
from collections.abc import Sequence

from django.core.files.base import ContentFile
from django.db import transaction

from assistant import conf
from assistant.files import sniff
from assistant.lifecycle import attaching, stored_files
from assistant.lifecycle.refusal import Refused
from assistant.models.attachment import IMAGES, Attachment
from assistant.models.message import Claim, Message
from assistant.models.session import ChatSession
from assistant.models.tool_call import ToolCall
from assistant.text.storable import clean
from assistant.tools.declare import Image

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
    try:
        stored_files.write(attachment.file, ContentFile(image.data), "it could not be stored.")
    except Refused as refusal:
        attaching.remove(Attachment.objects.filter(pk=attachment.pk))
        return refusal.detail
    return ""


def _reserve(claim: Claim, call: ToolCall, image: Image, found: sniff.Found, place: int) -> Attachment | None:
    """The row with its share of the session's quota, before a byte is written. Raises Refused (quota_full)."""
    with transaction.atomic():
        session = ChatSession.objects.locked(claim.session_id)
        if session is None or not Message.objects.held_by(claim).exists():
            return None
        attaching.check_session_quota(session, len(image.data))
        file = stored_files.begin(found, len(image.data))
        return Attachment.objects.create(
            file=file, session=session, message_id=claim.message_id, call=call, position=place, free_since=None,
            name=attaching.clean_name(image.name),
        )  # fmt: skip
