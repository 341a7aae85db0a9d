"""The link by which anyone may read a session along, live. Off unless its owner makes one; one for a session."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from assistant.models.link import SecretLink, digest
from assistant.models.session import ChatSession


class ShareLinkQuerySet(models.QuerySet["ShareLink"]):
    def open(self) -> ShareLinkQuerySet:
        """Those that let somebody read: the account of the one who shares is not closed."""
        return self.filter(created_by__is_active=True)


class ShareLink(SecretLink):
    session = models.OneToOneField(ChatSession, on_delete=models.CASCADE, related_name="share_link")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", help_text="The session's owner."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ShareLinkQuerySet.as_manager()

    def __str__(self) -> str:
        return f"link to read {self.session}"

    @classmethod
    def find(cls, token: str) -> ShareLink | None:
        """The link that `token` opens, or None if it is unknown or was revoked."""
        return cls.objects.open().select_related("session").filter(token_digest=digest(token)).first()
