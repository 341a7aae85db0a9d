"""A message, its statuses, and which changes of status are legal.

The changes themselves are the verbs in `assistant.lifecycle`; nothing else writes `status`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import CombinedExpression

from assistant import conf
from assistant.delivery import clock
from assistant.models.ids import new_id
from assistant.models.session import ChatSession, WhenBusy
from assistant.models.system_prompt import SystemPrompt
from assistant.models.worker import WorkerProcess
from assistant.text.reasoned import Reasoned


class MessageRole(models.TextChoices):
    USER = "user", "User"
    ASSISTANT = "assistant", "Assistant"


class Status(models.TextChoices):
    PENDING = "pending", "Pending"  # an answer: its job waits; a question: it waits in the session's queue
    PROCESSING = "processing", "Processing"  # a worker holds the turn
    SUCCESS = "success", "Success"
    ERROR = "error", "Error"
    CANCELLED = "cancelled", "Cancelled"  # an answer: stopped; a question: withdrawn


class Cut(models.TextChoices):
    LIMIT = "limit", "Limit"  # the longest answer that its session asked for (`max_tokens`)


UNFINISHED = (Status.PENDING, Status.PROCESSING)

EDGES: dict[str, set[tuple[str, str]]] = {
    MessageRole.USER: {
        (Status.PENDING, Status.SUCCESS),  # promoted, or taken along by the running answer
        (Status.PENDING, Status.CANCELLED),  # withdrawn
    },
    MessageRole.ASSISTANT: {
        (Status.PENDING, Status.PROCESSING),  # claimed
        (Status.PENDING, Status.CANCELLED),  # stopped before the claim
        (Status.PENDING, Status.ERROR),  # abandoned; or promoted when nothing was left of its author's budget
        (Status.PROCESSING, Status.SUCCESS),  # finished
        (Status.PROCESSING, Status.ERROR),  # failed, or abandoned
        (Status.PROCESSING, Status.CANCELLED),  # stopped
        (Status.PROCESSING, Status.PENDING),  # handed over, recovered, parked, or continued in a fresh job
    },
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One worker's hold on one turn. `attempt` is the fencing token: it grows with each claim of the message."""

    message_id: UUID
    session_id: UUID
    worker_id: UUID
    attempt: int
    job: int | None = field(default=None, compare=False)  # the django-q2 job that was to deliver it, for the log
    kept: str = field(default="", compare=False, repr=False)  # the text of the rounds that earlier attempts completed
    ends: tuple[int, ...] = field(default=(), compare=False)  # where in it each of them ends, in characters
    reasoned: Reasoned | None = field(default=None, compare=False, repr=False)  # what was thought in those rounds
    sources: tuple[dict[str, Any], ...] = field(default=(), compare=False, repr=False)  # of those rounds
    is_suspect: bool = field(default=False, compare=False)  # it may have killed a worker: nothing else runs beside it


class MessageQuerySet(models.QuerySet["Message"]):
    def answers(self) -> MessageQuerySet:
        return self.filter(role=MessageRole.ASSISTANT)

    def unfinished(self) -> MessageQuerySet:
        return self.filter(status__in=UNFINISHED)

    def running(self) -> MessageQuerySet:
        """Answers not yet ended. The constraint `one_running_answer` lets a session have one of them."""
        return self.answers().unfinished()

    def queued(self) -> MessageQuerySet:
        """Questions that wait for the running answer to end, the next first."""
        return self.filter(role=MessageRole.USER, status=Status.PENDING).order_by("position", "id")

    def steering(self) -> MessageQuerySet:
        """Of those that wait, the ones that would join the running answer before its next round."""
        return self.queued().filter(when=WhenBusy.STEER)

    def held_by(self, claim: Claim) -> MessageQuerySet:
        """The message if `claim` still holds it, else nothing: each write by a worker goes through here."""
        return self.filter(
            pk=claim.message_id, status=Status.PROCESSING, worker_id=claim.worker_id, attempt=claim.attempt
        )

    def orphaned(self) -> MessageQuerySet:
        """Answers being written by nobody: their worker's lease has run out, or its row is gone."""
        alive = WorkerProcess.objects.alive().filter(pk=models.OuterRef("worker_id"))
        return self.answers().filter(~models.Exists(alive), status=Status.PROCESSING)

    def shown(self) -> MessageQuerySet:
        """With what the wire needs of each message."""
        attachments = apps.get_model("assistant.Attachment").objects  # by name: its module builds on this one
        attached = models.Prefetch("attachments", attachments.shown())
        return self.select_related("author", "stopped_by").prefetch_related(attached)

    def with_calls(self) -> MessageQuerySet:
        """With the tool calls of all of them, in one query: for pages of messages."""
        return self.prefetch_related("tool_calls__decided_by", "tool_calls__filled_by")

    def current(self) -> MessageQuerySet:
        """Without questions that their authors have asked anew, and the answers to those."""
        return self.filter(Q(reply_to=None) | Q(reply_to__superseded_by=None), superseded_by=None)

    def in_order(self) -> MessageQuerySet:
        return self.order_by("position", "id")


class Message(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="messages")
    position = models.PositiveIntegerField(
        help_text="The order in the session. A question has an even one, its answers the next; never a timestamp. "
        "What waits stands behind all that was said."
    )
    role = models.CharField(max_length=10, choices=MessageRole)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    charged_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="Of an answer: whose budget it uses. Who asked, or who wanted another answer.",
    )  # fmt: skip
    client_id = models.CharField(max_length=100, null=True, blank=True, help_text="Makes a repeated send harmless.")
    reply_to = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="replies")
    is_edited = models.BooleanField(
        default=False, db_default=False, help_text="Its author has changed it while it waited."
    )
    when = models.CharField(
        max_length=10, choices=WhenBusy, blank=True, help_text="A question: what it does while an answer is written."
    )
    taken_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="taken",
        help_text="The answer that took this question along while it was being written.",
    )  # fmt: skip
    taken_round = models.PositiveIntegerField(
        null=True, blank=True, help_text="How many rounds of tools that answer had behind it then."
    )
    mentions = models.JSONField(default=list, blank=True, help_text="Ids of the users whom a question names with @.")
    superseded_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="earlier", db_index=False,
        help_text="The question that its author asked instead. This one and its answers are kept as a version.",
    )  # fmt: skip
    model = models.CharField(max_length=200, blank=True)
    parameters = models.JSONField(default=dict, blank=True, help_text="An answer: those it was asked with.")
    system_prompt = models.ForeignKey(
        SystemPrompt, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="An answer: the session's, as it was then.",
    )  # fmt: skip
    content = models.TextField(blank=True)
    salvage = models.TextField(
        blank=True, help_text="The longest text of earlier attempts: kept if no later attempt does better."
    )
    reasoning = models.TextField(
        blank=True, default="", db_default="", help_text="What the model thought; a million characters at most."
    )
    reasoning_seconds = models.FloatField(null=True, blank=True)
    reasoning_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of all its requests, as far as the provider has told them."
    )
    reasoning_salvage = models.JSONField(
        null=True, blank=True, help_text='What was thought for `salvage`: {"content", "seconds"}.'
    )
    html = models.JSONField(null=True, blank=True, help_text='{"version": int, "blocks": [str]}, made at the end.')

    status = models.CharField(max_length=10, choices=Status)
    version = models.PositiveIntegerField(default=1, help_text="Grows with each stored change.")
    attempt = models.PositiveIntegerField(default=0, help_text="The fencing token: grows with each claim.")
    recoveries = models.PositiveIntegerField(default=0, help_text="How often a worker died over it.")
    lone_deaths = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many of these died over it alone; what counts against it."
    )
    company = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="A suspect, which may have killed its worker: so many such run together at most. Empty: it is none.",
    )
    interruptions = models.PositiveIntegerField(
        default=0, help_text="How often text that had been shown was begun anew: after a death, or a hand-over."
    )
    seq = models.PositiveIntegerField(default=0, help_text="Deltas of this attempt that `content` holds.")
    reasoning_seq = models.PositiveIntegerField(default=0, db_default=0, help_text="The same of `reasoning`.")
    worker = models.ForeignKey(
        WorkerProcess, null=True, blank=True, on_delete=models.SET_NULL, related_name="messages"
    )
    rounds = models.PositiveIntegerField(default=0, help_text="Rounds of tool calls that are stored.")
    continuations = models.PositiveIntegerField(default=0, help_text="How often it went on in a fresh job.")
    is_parked = models.BooleanField(
        default=False, help_text="Pending without a job, because somebody has to allow or deny a tool call."
    )
    job = models.BigIntegerField(null=True, blank=True, help_text="The django-q2 job that delivers it to a worker.")

    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    error_note = models.CharField(max_length=500, blank=True, help_text="What the provider said; for operators only.")
    is_bounced = models.BooleanField(
        default=False, help_text="It failed before any model had begun: whoever asked has the question back."
    )
    tried = models.JSONField(null=True, blank=True, help_text='Models asked in vain: [{"model", "code", "seconds"}].')
    sources = models.JSONField(
        null=True, blank=True, help_text='An answer: where what it says comes from: [{"url", "title", "round"}].'
    )
    pictures = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="An answer: how many its model made."
    )
    usage = models.JSONField(null=True, blank=True)
    missing = models.JSONField(
        null=True, blank=True, help_text='An answer: servers without whose tools it is written: [{"title", "why"}].'
    )
    cut = models.CharField(
        max_length=10,
        choices=Cut,
        blank=True,
        default="",
        db_default="",
        help_text="A whole answer: what it ends at before its end.",
    )
    stopped_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    created_at = models.DateTimeField(default=clock.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    last_piece_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(role=MessageRole.ASSISTANT, status__in=UNFINISHED),
                name="one_running_answer",
            ),
            models.UniqueConstraint(fields=["session", "author", "client_id"], name="send_once"),
            models.CheckConstraint(
                condition=Q(role=MessageRole.USER) | Q(reply_to__isnull=False), name="answer_has_its_question"
            ),
        ]
        indexes = [
            models.Index(fields=["session", "position", "id"], name="message_order"),  # history, snapshot, queue
            models.Index(
                fields=["status", "id"], condition=Q(status__in=UNFINISHED), name="message_unfinished"
            ),  # sweep, admin, metrics
            models.Index(
                fields=["job"], condition=Q(job__isnull=False), name="message_waiting"
            ),  # what a worker fetches
            models.Index(fields=["worker"], condition=Q(status=Status.PROCESSING), name="message_of_worker"),
            models.Index(
                fields=["superseded_by"], condition=Q(superseded_by__isnull=False), name="message_superseded"
            ),  # deleting a message looks for those it supersedes
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.id} ({self.status})"

    @property
    def is_answer(self) -> bool:
        return self.role == MessageRole.ASSISTANT

    @property
    def is_finished(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def reasoned(self) -> Reasoned | None:
        """What was thought for it, as stored; None: nothing."""
        if not self.reasoning:
            return None
        return Reasoned(self.reasoning, self.reasoning_seq, self.reasoning_seconds or 0.0)

    def best(self) -> tuple[str, Reasoned | None]:
        """What an ending without a better text keeps, and what was thought for it: of the attempt that wrote more."""
        earlier = self.reasoning_salvage and Reasoned(seq=self.reasoning_seq, **self.reasoning_salvage)
        mine, before = (self.content, self.reasoned), (self.salvage, earlier)
        return max(mine, before, key=lambda texts: [len(texts[0].strip()), len(texts[1].content) if texts[1] else 0])

    def is_alive(self) -> bool:
        """Whether something will bring this unfinished message on: checked, never guessed from its age.

        Being written: its worker's lease. Waiting for a worker: its job is in the queue. Waiting for an approval: there
        is a call to approve. Waiting in the session's queue: an answer is running (its end promotes), or a pause ends by
        itself.
        """
        from assistant.delivery.queue import job_exists  # not above: a project without django_q is told so by `ready`

        if self.status == Status.PROCESSING:
            return self.worker_id is not None and WorkerProcess.objects.alive().filter(pk=self.worker_id).exists()
        if self.status != Status.PENDING:
            return False
        if self.is_answer:
            return job_exists(self.job) or (self.is_parked and self.waits_for_approval())
        return self.session.queue_paused_until is not None or self.session.messages.running().exists()

    def waits_for_approval(self) -> bool:
        return self.tool_calls.asked().exists()


class UnfinishedAnswer(Message):
    """An answer that has not ended, as operators look at it."""

    class Meta:
        proxy = True


def next_version() -> CombinedExpression:
    return F("version") + 1


def max_recoveries() -> int:
    return conf.settings.max_attempts - 1
