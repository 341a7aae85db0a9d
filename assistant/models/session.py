"""A session: the room in which several people talk with one AI."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import models
from django.db.models.functions import Now

from assistant.models.ids import new_id

UNTITLED = "New session"


class SessionQuerySet(models.QuerySet["ChatSession"]):
    def for_user(self, user: Any) -> SessionQuerySet:
        """The sessions that `user` takes part in, newest activity first. Authorisation is this query."""
        return self.filter(participants__user_id=user.pk).order_by("-updated_at", "-id")

    def locked(self, session_id: UUID) -> ChatSession | None:
        """The session, its row locked until the transaction ends, or None if it is gone.

        Every verb that looks at the queue and then acts takes this lock first. Otherwise a message could be queued
        behind an answer that is just ending, and the ending would not see it: nobody would ever promote it.
        (SQLite has no row locks; there each transaction holds the database's only write lock from its start.)
        """
        return self.select_for_update(of=("self",)).filter(pk=session_id).first()


class ChatSession(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    title = models.CharField(max_length=200, default=UNTITLED)
    model = models.CharField(max_length=200, blank=True, help_text="A litellm model id; empty: the default model.")
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Grows with each change that is told.")
    last_position = models.PositiveIntegerField(default=0, editable=False)
    queue_paused_until = models.DateTimeField(
        null=True, blank=True, help_text="After a failed answer the waiting messages rest until then."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), help_text="When something was last said.")

    objects = SessionQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["-updated_at"], name="session_recent")]  # the sidebar

    def __str__(self) -> str:
        return self.title

    def role_of(self, user: Any) -> str | None:
        """`user`'s role here, or None for an outsider."""
        return self.participants.filter(user_id=user.pk).values_list("role", flat=True).first()
