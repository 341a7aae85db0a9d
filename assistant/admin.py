"""The operator's pages. Messages are read-only: a status changes by its verbs only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html

from assistant.lifecycle import asking, people, recovery
from assistant.lifecycle.refusal import Refused
from assistant.models import (
    ApiToken,
    Attachment,
    Budget,
    ChatSession,
    Invitation,
    McpProblem,
    McpServer,
    Message,
    Participant,
    ShareLink,
    UnfinishedAnswer,
    UsageRecord,
    WorkerProcess,
)
from assistant.models.message import UNFINISHED, MessageRole
from assistant.models.participant import Role
from assistant.pages import mcp_sign_in, usage_pages
from assistant.pages.forms import Slowed

User = get_user_model()
USERS_NAME = f"user__{User.USERNAME_FIELD}"


class SignInForm(Slowed, AdminAuthenticationForm):
    """For `admin.site.login_form`."""


class ReadOnly(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NamesUser(admin.options.BaseModelAdmin):
    """Has a `user`, found by name where the project has its users in the admin, else entered by id."""

    raw_id_fields = ["user"]

    def get_autocomplete_fields(self, request: HttpRequest) -> Any:
        users = self.admin_site._registry.get(User)
        return ["user"] if users and users.search_fields else []


class ParticipantInline(NamesUser, admin.TabularInline):
    """To add people and to remove them. Roles change by the actions of the participants' own page."""

    model = Participant
    extra = 0
    fields = ["user", "role"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ChatSession)
class ChatSessionAdmin(admin.ModelAdmin):
    list_display = ["title", "model", "people", "messages_count", "updated_at"]
    search_fields = ["title", "id"]
    readonly_fields = ["id", "created_at", "updated_at", "queue_paused_until"]
    inlines = [ParticipantInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A session is begun by whoever owns it; one without an owner would be nobody's."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChatSession]:
        counts = {"people_": Count("participants", distinct=True), "messages_": Count("messages", distinct=True)}
        return super().get_queryset(request).annotate(**counts)

    @admin.display(ordering="people_", description="people")
    def people(self, session: Any) -> int:
        return session.people_

    @admin.display(ordering="messages_", description="messages")
    def messages_count(self, session: Any) -> int:
        return session.messages_

    def save_model(self, request: HttpRequest, obj: ChatSession, form: Any, change: bool) -> None:
        """By the verb: it writes only what was changed, so a send at the same moment keeps what it wrote; and tells it."""
        given = {name: getattr(obj, name) for name in form.changed_data}
        if "parameters" in given:  # what was taken out of them is to go
            given["parameters"] = dict.fromkeys(form.initial["parameters"]) | given["parameters"]
        try:
            asking.change(obj, **given)
        except Refused as refusal:
            self.message_user(request, refusal.detail, messages.ERROR)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """By the verbs: whoever is taken out is disconnected, and everyone hears who came and went."""
        with transaction.atomic():
            session = ChatSession.objects.locked(form.instance.pk)
            if session is None:
                return
            added = formset.save(commit=False)
            for participant in formset.deleted_objects:
                try:
                    people.take_out(session, participant)
                except Refused as refusal:
                    self.message_user(request, refusal.detail, messages.ERROR)
            for participant in added:
                if participant.role == Role.OWNER and session.participants.filter(role=Role.OWNER).exists():
                    self.message_user(
                        request, "A session has one owner. Make somebody it who takes part.", messages.ERROR
                    )
                    continue
                participant.session, participant.read = session, session.said
                participant.save()
                people.joined(participant)

    def delete_model(self, request: HttpRequest, obj: ChatSession) -> None:
        asking.delete(obj)  # stops what is being written there, and tells the viewers

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ChatSession]) -> None:
        for session in queryset:
            self.delete_model(request, session)


@admin.register(Participant)
class ParticipantAdmin(ReadOnly):
    """Who takes part where: for an operator whose help a session needs, say because its owner is gone."""

    list_display = ["user", "session", "role", "joined_at"]
    list_filter = ["role"]
    list_select_related = ["user", "session"]
    search_fields = [USERS_NAME, "session__title", "session__id"]
    ordering = ["-id"]
    actions = ["make_owner", "remove"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only with its session or account: by itself it is removed by the action, which tells everyone."""
        match = request.resolver_match
        own_pages = match is not None and (match.url_name or "").startswith("assistant_participant_")
        return not own_pages and super().has_delete_permission(request, obj)

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("assistant.change_participant")

    @admin.action(permissions=["act"], description="Make them the owner (the present one becomes an editor)")
    def make_owner(self, request: HttpRequest, queryset: QuerySet[Participant]) -> None:
        for participant in queryset.select_related("session"):
            people.put_in_charge(participant)

    @admin.action(permissions=["act"], description="Remove them from their session")
    def remove(self, request: HttpRequest, queryset: QuerySet[Participant]) -> None:
        for participant in queryset.select_related("user", "session"):
            with transaction.atomic():
                session = ChatSession.objects.locked(participant.session_id)
                try:
                    if session is not None:
                        people.take_out(session, participant)
                except Refused as refusal:
                    self.message_user(request, f"{participant.user} in {session}: {refusal.detail}", messages.ERROR)


@admin.register(ShareLink)
class ShareLinkAdmin(ReadOnly):
    """Sessions that anybody may read who has their link. Deleting one ends it, and sends its readers away."""

    list_display = ["session", "created_by", "created_at"]
    list_select_related = ["session", "created_by"]

    def delete_model(self, request: HttpRequest, obj: ShareLink) -> None:
        with transaction.atomic():
            session = ChatSession.objects.locked(obj.session_id)
            if session is not None:
                people.withdraw_share(session)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ShareLink]) -> None:
        for link in queryset:
            self.delete_model(request, link)


class PassesOnSessions(admin.ModelAdmin):
    """For the admin of users: before one is deleted their sessions go to somebody else, so that none has no owner."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        people.forget(obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for user in queryset:
            self.delete_model(request, user)


class AccountAdmin(PassesOnSessions, UserAdmin):
    """In the place of Django's own. A project that has an admin of its own for its users mixes the first into that."""


if type(admin.site._registry.get(User)) is UserAdmin:
    admin.site.unregister(User)
    admin.site.register(User, AccountAdmin)


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
    search_fields = [USERS_NAME, "prefix"]


@admin.register(McpServer)
class McpServerAdmin(admin.ModelAdmin):
    """MCP servers. Only superusers enter them: a command is run on the workers' machines, and `${NAME}` in a header sends
    what stands in the workers' environment, keys among it, to whatever address is given."""

    list_display = ["name", "title", "url", "is_enabled", "approval", "sign_in", "problem"]
    list_select_related = ["grant"]
    readonly_fields = ["sign_in", "problem"]

    @admin.display(description="away because")
    def problem(self, server: McpServer) -> str:
        return McpProblem.objects.filter(name=server.name).values_list("reason", flat=True).first() or ""

    @admin.display(description="sign-in")
    def sign_in(self, server: McpServer) -> str:
        if not server.uses_oauth or not server.pk:
            return ""
        grant = getattr(server, "grant", None)
        told, again = "not connected", "Connect"
        if grant is not None and grant.is_usable:
            told, again = f"connected by {grant.connected_by or 'somebody'}", "Connect again"
        address = reverse("admin:assistant_mcpserver_connect", args=[server.pk])
        return format_html('{} · <a href="{}">{}</a>', told, address, again)

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(mcp_sign_in.connect)
        own = path("<int:server_id>/connect/", page, name="assistant_mcpserver_connect")
        return [own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """An address that is typed without a scheme is an https one, as it will be by default in Django 6."""
        if db_field.name == "url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(McpProblem)
class McpProblemAdmin(ReadOnly):
    """Why servers can't be used, those of the file too. A row goes when a worker reaches its server again."""

    list_display = ["name", "reason", "noted_at"]


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    list_display = ["session", "role", "created_by", "expires_at", "uses", "revoked_at"]
    actions = ["revoke"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("assistant.change_invitation")

    @admin.action(permissions=["revoke"], description="Revoke the selected invitations")
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        queryset.filter(revoked_at=None).update(revoked_at=timezone.now())


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnly):
    """The ledger, to look at; and its plots."""

    list_display = [
        "created_at",
        "user",
        "model",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "reasoning_tokens",
        "cost",
        "error_code",
        "total_ms",
    ]
    list_filter = ["day", "model", "error_code", "is_estimate"]
    search_fields = [USERS_NAME, "model", "session__id", "message__id"]
    list_select_related = ["user"]
    show_full_result_count = False
    change_list_template = "admin/assistant/usagerecord/change_list.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # only ever added to

    def get_urls(self) -> list[Any]:
        plots = self.admin_site.admin_view(usage_pages.of_everyone)
        return [path("plots/", plots, name="assistant_usagerecord_plots"), *super().get_urls()]


@admin.register(Budget)
class BudgetAdmin(NamesUser, admin.ModelAdmin):
    list_display = ["user", "tokens_per_day", "cost_per_day", "is_unlimited"]
    search_fields = [USERS_NAME]


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


def _ago(moment: datetime | None) -> str:
    return "" if moment is None else f"{max(0.0, (timezone.now() - moment).total_seconds()):,.0f} s ago"
