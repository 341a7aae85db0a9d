"""The operator's pages. Messages are read-only: a status changes by its verbs only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from assistant import events
from assistant.lifecycle import asking, recovery
from assistant.lifecycle.refusal import Refused
from assistant.models import (
    ApiToken,
    ChatSession,
    Invitation,
    Message,
    Participant,
    UnfinishedAnswer,
    WorkerProcess,
)
from assistant.models.message import UNFINISHED, Author


class ReadOnly(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ParticipantInline(admin.TabularInline):
    model = Participant
    extra = 0
    autocomplete_fields = ["user"]


@admin.register(ChatSession)
class ChatSessionAdmin(admin.ModelAdmin):
    list_display = ["title", "model", "people", "messages_count", "updated_at"]
    search_fields = ["title", "id"]
    readonly_fields = ["id", "created_at", "updated_at", "queue_paused_until"]
    inlines = [ParticipantInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChatSession]:
        counts = {"people_": Count("participants", distinct=True), "messages_": Count("messages", distinct=True)}
        return super().get_queryset(request).annotate(**counts)

    @admin.display(ordering="people_", description="people")
    def people(self, session: Any) -> int:
        return session.people_

    @admin.display(ordering="messages_", description="messages")
    def messages_count(self, session: Any) -> int:
        return session.messages_

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Whoever is taken out of a session here is disconnected from it."""
        with transaction.atomic():
            super().save_formset(request, form, formset, change)
            for participant in formset.deleted_objects:
                events.access_ended(participant.session_id, participant.user_id)

    def delete_model(self, request: HttpRequest, obj: ChatSession) -> None:
        asking.delete(obj)  # stops what is being written there, and tells the viewers

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ChatSession]) -> None:
        for session in queryset:
            self.delete_model(request, session)


@admin.register(Message)
class MessageAdmin(ReadOnly):
    list_display = ["id", "session", "role", "status", "age", "worker", "attempt", "last_piece", "beginning"]
    list_filter = ["status", "role", "error_code", "created_at"]
    search_fields = ["id", "session__id", "content"]
    list_select_related = ["session", "worker"]
    ordering = ["-id"]
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only with its session: a message deleted by itself would vanish without anyone being told."""
        match = request.resolver_match
        own_pages = match is not None and (match.url_name or "").startswith("assistant_message_")
        return not own_pages and super().has_delete_permission(request, obj)

    @admin.display(description="age", ordering="created_at")
    def age(self, message: Message) -> str:
        return _ago(message.created_at)

    @admin.display(description="last piece", ordering="last_piece_at")
    def last_piece(self, message: Message) -> str:
        return _ago(message.last_piece_at)

    @admin.display(description="text")
    def beginning(self, message: Message) -> str:
        return message.content[:80]


@admin.register(UnfinishedAnswer)
class UnfinishedAnswerAdmin(ReadOnly):
    """Every answer that has not ended, why it is thought stuck if it is, and what can be done about it."""

    list_display = [
        "id",
        "session",
        "status",
        "age",
        "worker",
        "lease_age",
        "attempt",
        "recoveries",
        "last_piece",
        "state",
    ]
    list_filter = ["status"]
    list_select_related = ["session", "worker"]
    ordering = ["id"]
    actions = ["recover", "requeue", "fail", "stop"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[UnfinishedAnswer]:
        return super().get_queryset(request).filter(role=Author.ASSISTANT, status__in=UNFINISHED)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # stop it instead: whoever views it is told

    @admin.display(description="age", ordering="created_at")
    def age(self, message: UnfinishedAnswer) -> str:
        return _ago(message.created_at)

    @admin.display(description="lease", ordering="worker__heartbeat_at")
    def lease_age(self, message: UnfinishedAnswer) -> str:
        return _ago(message.worker.heartbeat_at) if message.worker else ""

    @admin.display(description="last piece", ordering="last_piece_at")
    def last_piece(self, message: UnfinishedAnswer) -> str:
        return _ago(message.last_piece_at)

    @admin.display(description="state")
    def state(self, message: UnfinishedAnswer) -> str:
        return "alive" if message.is_alive() else f"stuck: {recovery.reason_stuck(message)}"

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Acting on an answer changes a message, even though nobody edits one by hand."""
        return request.user.has_perm("assistant.change_unfinishedanswer")

    @admin.action(permissions=["act"], description="Recover those that are stuck (leaves the living alone)")
    def recover(self, request: HttpRequest, queryset: QuerySet[UnfinishedAnswer]) -> None:
        self._do(request, queryset, recovery.recover, "recovered")

    @admin.action(permissions=["act"], description="Requeue: take them from whoever has them and write them again")
    def requeue(self, request: HttpRequest, queryset: QuerySet[UnfinishedAnswer]) -> None:
        self._do(request, queryset, recovery.requeue, "requeued")

    @admin.action(permissions=["act"], description="Fail: end them with an error; their text is kept")
    def fail(self, request: HttpRequest, queryset: QuerySet[UnfinishedAnswer]) -> None:
        self._do(request, queryset, recovery.give_up, "failed")

    @admin.action(permissions=["act"], description="Stop them, as a participant would")
    def stop(self, request: HttpRequest, queryset: QuerySet[UnfinishedAnswer]) -> None:
        def stop(message: Message) -> bool:
            try:
                asking.cancel(message, request.user)
            except Refused:
                return False
            return True

        self._do(request, queryset, stop, "stopped")

    def _do(self, request: HttpRequest, queryset: Any, verb: Callable[[Message], Any], done: str) -> None:
        chosen = list(queryset.select_related("session", "worker"))
        changed = sum(bool(verb(message)) for message in chosen)
        left = len(chosen) - changed
        note = f", {left} left as they are (they have ended, or are alive)" if left else ""
        self.message_user(request, f"{changed} answers {done}{note}.")


@admin.register(WorkerProcess)
class WorkerProcessAdmin(ReadOnly):
    list_display = ["__str__", "is_alive", "heartbeat", "load", "concurrency", "started_at", "stopped_at"]
    ordering = ["-heartbeat_at"]

    @admin.display(boolean=True, description="alive")
    def is_alive(self, worker: WorkerProcess) -> bool:
        return WorkerProcess.objects.alive().filter(pk=worker.pk).exists()

    @admin.display(description="heartbeat", ordering="heartbeat_at")
    def heartbeat(self, worker: WorkerProcess) -> str:
        return _ago(worker.heartbeat_at)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly):
    """To list and revoke. Tokens are made by `manage.py create_token`, which shows them once."""

    list_display = ["prefix", "user", "created_at", "last_used_at"]
    search_fields = ["user__username", "prefix"]


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    list_display = ["session", "role", "created_by", "expires_at", "uses", "revoked_at"]
    actions = ["revoke"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("assistant.change_invitation")

    @admin.action(permissions=["revoke"], description="Revoke the selected invitations")
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        queryset.filter(revoked_at=None).update(revoked_at=timezone.now())


def _ago(moment: datetime | None) -> str:
    return "" if moment is None else f"{max(0.0, (timezone.now() - moment).total_seconds()):,.0f} s ago"
