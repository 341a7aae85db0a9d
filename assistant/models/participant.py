"""Who takes part in a session, and what they may do there."""

from __future__ import annotations

import zlib
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from assistant.models.session import ChatSession
from assistant.models.user_id import UserId, shown_id


class Role(models.TextChoices):
    OWNER = "owner", "Owner"  # everything, and deleting the session
    EDITOR = "editor", "Editor"  # asks, stops, retries, invites
    VIEWER = "viewer", "Viewer"  # reads along


WRITERS = (Role.OWNER, Role.EDITOR)


class Participant(models.Model):
    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="participants")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="participations")
    role = models.CharField(max_length=10, choices=Role)
    joined_at = models.DateTimeField(db_default=Now(), editable=False)
    read = models.PositiveIntegerField(
        default=0, editable=False, help_text="How much of what was said they have read; never less than before."
    )
    mentioned = models.PositiveIntegerField(
        default=0, editable=False, help_text="The session's `said` when they were last mentioned."
    )
    archived_at = models.DateTimeField(null=True, blank=True, help_text="Out of their list until somebody asks.")
    version = models.PositiveIntegerField(
        default=1, editable=False, help_text="Grows with each change of the three above."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "user"], name="participant_once"),
            # Never two. That there is always one is up to `assistant.lifecycle.people`: only a handover ends an owner.
            models.UniqueConstraint(fields=["session"], condition=Q(role=Role.OWNER), name="one_owner"),
        ]
        indexes = [models.Index(fields=["user", "session"], name="participant_sessions")]  # for_user

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"

    @property
    def unread(self) -> int:
        return max(0, self.session.said - self.read)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": shown_id(self.user_id),
            "name": display_name(self.user),
            "handle": handle(self.user),
            "role": self.role,
            "color": hue(self.user_id),
        }


class Removal(models.Model):
    """Someone who was removed from a session: no link that is older than this lets them in again."""

    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="removals")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    removed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["session", "user"], name="removal_once")]

    def __str__(self) -> str:
        return f"{self.user} from {self.session}"


def display_name(user: Any) -> str:
    full_name = getattr(user, "get_full_name", None)  # not every user model has one
    return (full_name and full_name()) or user.get_username()


def handle(user: Any) -> str | None:
    """The user name, by which one is mentioned too. One that looks like an e-mail address is nobody else's business."""
    name = str(user.get_username())
    return None if "@" in name else name


def hue(user_id: UserId) -> int:
    """A colour of one's own, as a hue in degrees, the same in every session."""
    return zlib.crc32(f"hue-{user_id}".encode()) % 360
