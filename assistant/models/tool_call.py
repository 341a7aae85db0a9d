"""A call of a tool that a model asked for in the course of an answer, and what came of it.

Its status is changed by verbs of `assistant.lifecycle`: `rounds`, `approving` and `call_endings`. Nothing else writes it;
`form_filling` writes the form that a running call puts before people.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models

from assistant import conf
from assistant.delivery import clock
from assistant.models.ids import new_id
from assistant.models.message import Message


class CallStatus(models.TextChoices):
    PENDING = "pending", "Pending"  # stored, not begun: it may wait for somebody's approval
    RUNNING = "running", "Running"  # begun; if its worker dies now, nobody knows whether it took effect
    SUCCESS = "success", "Success"
    ERROR = "error", "Error"  # it failed, timed out, does not exist, or was asked for in a form that can't be read
    CANCELLED = "cancelled", "Cancelled"  # the answer was stopped, or somebody denied it
    INTERRUPTED = "interrupted", "Interrupted"  # its worker died in the middle of it, and it is not to be run twice


OPEN_CALLS = (CallStatus.PENDING, CallStatus.RUNNING)


class Approval(models.TextChoices):
    NOT_NEEDED = "", "Not needed"
    ASKED = "asked", "Asked"
    ALLOWED = "allowed", "Allowed"
    DENIED = "denied", "Denied"


class ToolCallQuerySet(models.QuerySet["ToolCall"]):
    def open(self) -> ToolCallQuerySet:
        """Calls without a result."""
        return self.filter(status__in=OPEN_CALLS)

    def asked(self) -> ToolCallQuerySet:
        """Calls that somebody has to allow or deny."""
        return self.filter(status=CallStatus.PENDING, approval=Approval.ASKED)

    def in_order(self) -> ToolCallQuerySet:
        return self.order_by("round", "place")


class ToolCall(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="tool_calls")
    round = models.PositiveIntegerField(help_text="Which round of the answer asked for it, from 1.")
    place = models.PositiveIntegerField(help_text="Its place among the calls of its round, from 0.")
    at = models.PositiveIntegerField(help_text="Characters of the answer's text that were written before it.")
    reasoning_at = models.PositiveIntegerField(default=0, db_default=0, help_text="The same of its reasoning.")
    reasoning_seconds = models.FloatField(default=0.0, db_default=0.0, help_text="How long was thought before it.")

    call_id = models.TextField(help_text="The provider's id for it.")
    name = models.TextField(help_text="As the model wrote it; there may be no such tool.")
    arguments = models.TextField(blank=True, help_text="As the model wrote them; they may not be JSON.")
    changed_arguments = models.TextField(
        blank=True, default="", db_default="", help_text="With which somebody allowed it: it runs with these."
    )
    title = models.CharField(max_length=200, help_text="What people read.")
    doing = models.CharField(max_length=200, blank=True, help_text="What people read while it runs.")
    is_idempotent = models.BooleanField(default=False, help_text="May be run again after its worker died.")
    approval = models.CharField(max_length=10, choices=Approval, blank=True, default=Approval.NOT_NEEDED)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    form = models.JSONField(
        null=True, blank=True, help_text="What it asks people: {number, message, fields, url}, and then their action."
    )
    form_given = models.JSONField(null=True, blank=True, help_text="What they have given, until the call has ended.")
    filled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    status = models.CharField(max_length=12, choices=CallStatus, default=CallStatus.PENDING)
    result = models.TextField(blank=True, help_text="What the model is told.")
    summary = models.CharField(max_length=300, blank=True, help_text="What people read of the result.")
    image_count = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Of its result: they are its attachments."
    )

    created_at = models.DateTimeField(default=clock.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ToolCallQuerySet.as_manager()

    class Meta:
        ordering = ["round", "place"]
        constraints = [
            # Also the index by which an answer's calls are read. A round that is stored twice is one round.
            models.UniqueConstraint(fields=["message", "round", "place"], name="tool_call_place"),
        ]
        indexes = [
            # What waits for people, and since when. (Not of these alone: SQLite takes no such index for a bound value.)
            models.Index(fields=["approval", "created_at"], name="tool_call_asked"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"

    @property
    def runs_with(self) -> str:
        """Its arguments as people are shown them and the tool gets them."""
        return self.changed_arguments or self.arguments

    @property
    def expires_at(self) -> datetime | None:
        """When it is denied, where nobody allows it before."""
        patience = conf.settings.approval_timeout
        if not patience or self.approval != Approval.ASKED or self.status != CallStatus.PENDING:
            return None
        return self.created_at + timedelta(seconds=patience)

    @property
    def asks(self) -> bool:
        """Whether it waits for people to fill in its form."""
        return self.status == CallStatus.RUNNING and self.form is not None and "action" not in self.form
