"""Files that people attach to what they ask, images that tools find, pictures that models make, and where their bytes are.

A `StoredFile` is bytes in Django's storage, an `Attachment` is its place in a message. Several attachments may share one
file (a forked session has the same files), and a file goes when no attachment refers to it any more. Rows are made before
the bytes are written, so whatever dies in between, the sweep knows what to clear away.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.core.files.storage import Storage, storages
from django.db import models
from django.db.models.functions import Now

from assistant import conf
from assistant.delivery import clock
from assistant.models.ids import new_id
from assistant.models.message import Message
from assistant.models.session import ChatSession
from assistant.models.user_id import UserId

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
PDF = "application/pdf"
TEXT = "text/plain"

MADE_WITHIN = timedelta(hours=1)  # longer than any upload: a file without attachments is then nobody's


def storage() -> Storage:
    return storages[conf.settings.attachment_storage]


def random_key() -> str:
    """A name in the storage that says nothing and can't be guessed."""
    return f"attachments/{clock.now():%Y/%m}/{secrets.token_hex(16)}"


class StoredFileQuerySet(models.QuerySet["StoredFile"]):
    def unused(self) -> StoredFileQuerySet:
        return self.filter(attachments=None)


class StoredFile(models.Model):
    key = models.CharField(
        max_length=200, unique=True, help_text="Its name in the storage; never what people called it."
    )
    type = models.CharField(max_length=50, help_text="By its content; names are not believed.")
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    written_at = models.DateTimeField(null=True, blank=True, help_text="When its bytes were complete.")

    prepared_at = models.DateTimeField(null=True, blank=True, help_text="When it was read for models. Once.")
    text = models.TextField(blank=True, help_text="What models read of a text or PDF.")
    problem = models.CharField(max_length=200, blank=True, help_text="Why models can't read it, in a sentence.")
    small_key = models.CharField(max_length=200, blank=True, help_text="A smaller version of a large image.")
    small_type = models.CharField(max_length=50, blank=True)

    objects = StoredFileQuerySet.as_manager()

    def __str__(self) -> str:
        return self.key

    @property
    def usual_small_key(self) -> str:
        return f"{self.key}-small"

    @property
    def is_image(self) -> bool:
        return self.type in IMAGES


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def unsent_of(self, user_id: UserId) -> AttachmentQuerySet:
        """What a user has uploaded whole and not sent yet: nobody else sees it."""
        return self.filter(uploader_id=user_id, message=None, file__written_at__isnull=False)

    def forgotten(self) -> AttachmentQuerySet:
        """Uploaded and not sent for so long that it won't be."""
        kept = timedelta(hours=conf.settings.attachment_keep_hours)
        return self.filter(message=None, free_since__lt=Now() - kept)

    def shown(self) -> AttachmentQuerySet:
        """With what the wire needs of the file, and without its text."""
        return self.select_related("file").defer("file__text").order_by("position", "id")

    def with_texts(self) -> AttachmentQuerySet:
        return self.select_related("file").order_by("position", "id")


class Attachment(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, related_name="attachments")
    # Empty while it is for a session that does not exist yet.
    session = models.ForeignKey(
        ChatSession, null=True, blank=True, on_delete=models.CASCADE, related_name="attachments"
    )
    # Empty until it is sent.
    message = models.ForeignKey(Message, null=True, blank=True, on_delete=models.CASCADE, related_name="attachments")
    # Empty unless a tool has found it, in the course of the answer that is its message.
    call = models.ForeignKey(
        "assistant.ToolCall", null=True, blank=True, on_delete=models.CASCADE, related_name="images"
    )
    uploader = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    name = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField(default=0, help_text="Its place in the message.")
    round = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Of a picture that a model made: in which round of its answer, from 1."
    )
    free_since = models.DateTimeField(
        null=True, blank=True, default=clock.now, help_text="Since when it belongs to no message."
    )

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["free_since"], condition=models.Q(message=None), name="attachment_forgotten"
            ),  # sweep
        ]

    def __str__(self) -> str:
        return self.name

    def copy_to(self, session: ChatSession, message: Message) -> Attachment:
        """The same file in a message of another session. It counts towards that session's quota and nobody's own.

        No byte is copied: both attachments refer to one StoredFile, which stays until the last of them is gone. The
        caller holds the lock of the session that this one is in, so that it is not deleted at the same moment.
        """
        return Attachment.objects.create(
            file_id=self.file_id, session=session, message=message, name=self.name, position=self.position,
            free_since=None,
        )  # fmt: skip
