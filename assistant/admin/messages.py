"""Messages and their files, to look at: a status changes by its verbs only."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from assistant import search
from assistant.admin.base import GoesWithSession, User, ago
from assistant.admin.large import BoundedPaginator, ErrorCode, as_id
from assistant.models import Attachment, Message

MOST_FOUND = 500  # messages, the newest


@admin.register(Message)
class MessageAdmin(GoesWithSession):
    list_display = ["id", "session", "role", "status", "age", "worker", "attempt", "last_piece", "beginning"]
    list_filter = ["status", "role", ErrorCode, "created_at"]
    search_fields = ["id"]  # by `get_search_results`
    search_help_text = "Words, as people search; or the id of a message or session."
    list_select_related = ["worker"]
    ordering = ["-id"]
    paginator = BoundedPaginator
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        """Sessions by a query of their own: joined, SQLite began with them, and sorted all messages for a page."""
        return super().get_queryset(request).prefetch_related("session")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        """By the indexes of ids and of words: to look for parts of ids and texts all rows would be read."""
        if wanted := as_id(search_term):
            return queryset.filter(Q(pk=wanted) | Q(session=wanted)), False
        if search_term:
            queryset = queryset.filter(pk__in=search.everywhere(search_term, MOST_FOUND))
        return queryset, False

    @admin.display(description="age", ordering="created_at")
    def age(self, message: Message) -> str:
        return ago(message.created_at)

    @admin.display(description="last piece", ordering="last_piece_at")
    def last_piece(self, message: Message) -> str:
        return ago(message.last_piece_at)

    @admin.display(description="text")
    def beginning(self, message: Message) -> str:
        return message.content[:80]


@admin.register(Attachment)
class AttachmentAdmin(GoesWithSession):
    """To look at. Files go with their session, or by the sweep: a message would go on to name what was deleted here."""

    list_display = ["name", "type", "size", "uploader", "session", "problem", "created_at"]
    list_filter = ["file__type"]
    search_fields = ["name", f"uploader__{User.USERNAME_FIELD}", "session__id"]
    list_select_related = ["file", "uploader", "session"]
    show_full_result_count = False

    @admin.display(description="type", ordering="file__type")
    def type(self, attachment: Attachment) -> str:
        return attachment.file.type

    @admin.display(description="bytes", ordering="file__size")
    def size(self, attachment: Attachment) -> int:
        return attachment.file.size

    @admin.display(description="problem")
    def problem(self, attachment: Attachment) -> str:
        return attachment.file.problem

    @admin.display(description="uploaded", ordering="file__created_at")
    def created_at(self, attachment: Attachment) -> datetime:
        return attachment.file.created_at
