"""An invitation into a session by a link."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from assistant.delivery import clock
from assistant.models.link import SecretLink, digest
from assistant.models.participant import WRITERS, Participant, Role
from assistant.models.session import ChatSession

LIFETIME_SECONDS = 7 * 24 * 3600
SHORTEST_LIFETIME_SECONDS, LONGEST_LIFETIME_SECONDS = 60, 30 * 24 * 3600
MOST_USES = 1000


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> InvitationQuerySet:
        """Those that let somebody in: not expired, revoked or used up, and made by one who may still invite.

        Otherwise someone who was removed, or whose account was closed, could come back by a link of their own.
        """
        unused = Q(max_uses=None) | Q(uses__lt=F("max_uses"))
        inviter = Participant.objects.filter(
            session=OuterRef("session"), user=OuterRef("created_by"), user__is_active=True, role__in=WRITERS
        )
        return self.filter(unused, Exists(inviter), revoked_at=None, expires_at__gt=Now())


class Invitation(SecretLink):
    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=10, choices=[(r.value, r.label) for r in (Role.EDITOR, Role.VIEWER)])
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    uses = models.PositiveIntegerField(default=0)
    max_uses = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: as many as come.")

    objects = InvitationQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.role} of {self.session}"

    @classmethod
    def issue(
        cls,
        session: ChatSession,
        by: Any,
        role: str,
        *,
        lifetime_seconds: float = LIFETIME_SECONDS,
        max_uses: int | None = None,
    ) -> tuple[Invitation, str]:
        """A new invitation and its token."""
        expires_at = clock.now() + timedelta(seconds=lifetime_seconds)
        invitation = cls.objects.create(
            session=session, role=role, created_by=by, expires_at=expires_at, max_uses=max_uses, **cls.secrets()
        )
        token = invitation.token
        assert token is not None
        return invitation, token

    @classmethod
    def find(cls, token: str) -> Invitation | None:
        """The invitation that `token` opens, or None if it is unknown or over."""
        return cls.objects.open().select_related("session", "created_by").filter(token_digest=digest(token)).first()
