"""Answers that have not ended: why one is thought stuck, and what an operator can do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from assistant.admin.base import ReadOnly, ago
from assistant.lifecycle import asking, recovery
from assistant.lifecycle.refusal import Refused
from assistant.models import Message, UnfinishedAnswer
from assistant.models.message import UNFINISHED, MessageRole


class UnfinishedStatus(admin.SimpleListFilter):
    """The statuses that an unfinished answer can have, and no others."""

    title = parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, str(status.label)) for status in UNFINISHED]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UnfinishedAnswer]) -> QuerySet[UnfinishedAnswer]:
        return queryset.filter(status=self.value()) if self.value() else queryset


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
        "lone_deaths",
        "company",
        "last_piece",
        "state",
    ]
    list_filter = [UnfinishedStatus]
    list_select_related = ["session", "worker"]
    ordering = ["id"]
    actions = ["recover", "requeue", "fail", "stop"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[UnfinishedAnswer]:
        return super().get_queryset(request).filter(role=MessageRole.ASSISTANT, status__in=UNFINISHED)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # stop it instead: whoever views it is told

    @admin.display(description="age", ordering="created_at")
    def age(self, message: UnfinishedAnswer) -> str:
        return ago(message.created_at)

    @admin.display(description="lease", ordering="worker__heartbeat_at")
    def lease_age(self, message: UnfinishedAnswer) -> str:
        return ago(message.worker.heartbeat_at) if message.worker else ""

    @admin.display(description="last piece", ordering="last_piece_at")
    def last_piece(self, message: UnfinishedAnswer) -> str:
        return ago(message.last_piece_at)

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
