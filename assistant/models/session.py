"""A session: the room in which several people talk with one AI."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import models
from django.db.models.functions import Now

from assistant import conf
from assistant.models.ids import new_id
from assistant.models.one import one
from assistant.statements import Select

UNTITLED = "New session"


class WhenBusy(models.TextChoices):
    """What a message does that is sent while an answer is being written."""

    QUEUE = "queue", "Waits its turn"
    STEER = "steer", "Joins the running answer before its next round"  # if there is none, it waits its turn
    INTERRUPT = "interrupt", "Stops the running answer and is answered at once"


class Replies(models.TextChoices):
    EVERY = "every", "To every message"
    MENTION = "mention", "Only when mentioned"  # `assistant.text.mentions` has the grammar


def default_services() -> list[str]:
    return list(conf.settings.services)


class TitledBy(models.TextChoices):
    NOBODY = "", "Nobody"
    WORDS = "words", "The first question's words"
    MODEL = "model", "The model"
    PERSON = "person", "A person"  # stays as it is


class SessionQuerySet(models.QuerySet["ChatSession"]):
    def for_user(self, user: Any) -> SessionQuerySet:
        """The sessions that `user` takes part in, newest activity first. Authorisation is this query."""
        return self.filter(participants__user_id=user.pk).order_by("-updated_at", "-id")

    def listed_for(self, user: Any) -> SessionQuerySet:
        """Those of them that `user` has not archived."""
        listed = self.filter(participants__user_id=user.pk, participants__archived_at=None)
        return listed.order_by("-updated_at", "-id")

    def locked(self, session_id: UUID) -> ChatSession | None:
        """The session, its row locked until the transaction ends, or None if it is gone.

        Every verb that looks at the queue and then acts takes this lock first. Otherwise a message could be queued
        behind an answer that is just ending, and the ending would not see it: nobody would ever promote it.
        (SQLite has no row locks; there each transaction holds the database's only write lock from its start.)
        """
        return _LOCKED.one(id=session_id)


class ChatSession(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    title = models.CharField(max_length=200, default=UNTITLED)
    model = models.CharField(max_length=200, blank=True, help_text="A litellm model id; empty: the default model.")
    system_prompt = models.TextField(blank=True, help_text="Told to the model first, after the installation's own.")
    parameters = models.JSONField(
        default=dict, blank=True, help_text="By litellm's names; what is missing is the provider's default."
    )
    replies = models.CharField(max_length=10, choices=Replies, default=Replies.EVERY)
    when_busy = models.CharField(max_length=10, choices=WhenBusy, default=WhenBusy.QUEUE)
    services = models.JSONField(
        default=default_services, blank=True, help_text="Names of the services whose tools the model may use here."
    )
    titled_by = models.CharField(max_length=10, choices=TitledBy, default=TitledBy.NOBODY, blank=True, editable=False)
    title_tries = models.PositiveSmallIntegerField(default=0, editable=False, help_text="Titles asked of the model.")
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Grows with each change that is told.")
    said = models.PositiveIntegerField(
        default=0, editable=False, help_text="Questions asked and answers ended so far: what people read up to."
    )
    last_position = models.PositiveIntegerField(default=0, editable=False)
    queue_paused_until = models.DateTimeField(
        null=True, blank=True, help_text="After a failed answer the waiting messages rest until then."
    )
    queue_paused_for = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text='The failure behind the pause: {"message", "code", "detail"}.',
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), help_text="When something was last said.")

    objects = SessionQuerySet.as_manager()

    def __str__(self) -> str:
        return self.title

    def role_of(self, user: Any) -> str | None:
        """`user`'s role here, or None for an outsider."""
        return one(self.participants.filter(user_id=user.pk).order_by().values_list("role", flat=True))


_LOCKED = Select(
    ChatSession,
    lambda p: ChatSession.objects.select_for_update(of=("self",)).filter(pk=p("id")),
)
