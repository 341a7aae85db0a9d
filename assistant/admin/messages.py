"""Messages and their files, to look at: a status changes by its verbs only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from assistant.admin.base import ReadOnly, User, ago
from assistant.models import Attachment, Message


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
        return ago(message.created_at)

    @admin.display(description="last piece", ordering="last_piece_at")
    def last_piece(self, message: Message) -> str:
        return ago(message.last_piece_at)

    @admin.display(description="text")
    def beginning(self, message: Message) -> str:
        return message.content[:80]


@admin.register(Attachment)
class AttachmentAdmin(ReadOnly):
    """To look at. Files go with their session, or by the sweep."""

    list_display = ["name", "type", "size", "uploader", "session", "problem", "created_at"]
    list_filter = ["file__type"]
    search_fields = ["name", f"uploader__{User.USERNAME_FIELD}", "session__id"]
    list_select_related = ["file", "uploader", "session"]
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only with its session: its message would go on to name it."""
        match = request.resolver_match
        own_pages = match is not None and (match.url_name or "").startswith("assistant_attachment_")
        return not own_pages and super().has_delete_permission(request, obj)

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
