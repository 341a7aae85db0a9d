"""An invitation into a session by a link. Only the token's hash is stored: who reads the database can't use it."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from assistant.models.participant import Participant, Role
from assistant.models.session import ChatSession

LIFETIME_SECONDS = 7 * 24 * 3600


def digest(token: str) -> str:
    """The stored form of a random token. It has 256 bits of its own, so a plain fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


class Invitation(models.Model):
    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=10, choices=[(r.value, r.label) for r in (Role.EDITOR, Role.VIEWER)])
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    uses = models.PositiveIntegerField(default=0)
    max_uses = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: as many as come.")

    def __str__(self) -> str:
        return f"{self.role} of {self.session}"

    @classmethod
    def issue(cls, session: ChatSession, by: Any, role: str) -> tuple[Invitation, str]:
        """A new invitation and its token, which is shown once and stored nowhere."""
        token = secrets.token_urlsafe(32)
        expires_at = timezone.now() + timedelta(seconds=LIFETIME_SECONDS)
        invitation = cls.objects.create(
            session=session, role=role, created_by=by, token_digest=digest(token), expires_at=expires_at
        )
        return invitation, token

    @classmethod
    def find(cls, token: str) -> Invitation | None:
        """The invitation that `token` opens, or None if it is unknown, expired, revoked or used up."""
        return cls._open().select_related("session", "created_by").filter(token_digest=digest(token)).first()

    @classmethod
    def _open(cls) -> models.QuerySet[Invitation]:
        unused = Q(max_uses=None) | Q(uses__lt=F("max_uses"))
        return cls.objects.filter(unused, revoked_at=None, expires_at__gt=timezone.now())

    def _said(self) -> int:
        """What was said before somebody came is not news to them."""
        return ChatSession.objects.values_list("said", flat=True).get(pk=self.session_id)

    def accept(self, user: Any) -> Participant | None:
        """Makes `user` a participant; one who is already in keeps the role they have.

        Returns None if the invitation was used up or revoked meanwhile.
        """
        from assistant import events

        with transaction.atomic():
            present = Participant.objects.select_related("user").filter(session=self.session, user=user).first()
            if present:
                return present
            if not self._open().filter(pk=self.pk).update(uses=F("uses") + 1):
                return None
            participant, _ = Participant.objects.get_or_create(
                session=self.session, user=user, defaults={"role": self.role, "read": self._said()}
            )
            events.participant_changed("participant.joined", participant)
        return participant
