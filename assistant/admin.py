"""The operator's pages. Messages are read-only: a status changes by its verbs only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from assistant.models import ApiToken, ChatSession, Invitation, Message, Participant, WorkerProcess


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

    def delete_model(self, request: HttpRequest, obj: ChatSession) -> None:
        from assistant.lifecycle import asking

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

    @admin.display(description="age", ordering="created_at")
    def age(self, message: Message) -> str:
        return _ago(message.created_at)

    @admin.display(description="last piece", ordering="last_piece_at")
    def last_piece(self, message: Message) -> str:
        return _ago(message.last_piece_at)

    @admin.display(description="text")
    def beginning(self, message: Message) -> str:
        return message.content[:80]


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

    @admin.action(description="Revoke the selected invitations")
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        queryset.filter(revoked_at=None).update(revoked_at=timezone.now())


def _ago(moment: datetime | None) -> str:
    return "" if moment is None else f"{max(0.0, (timezone.now() - moment).total_seconds()):,.0f} s ago"
