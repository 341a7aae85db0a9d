"""Sessions, who takes part in them, the invitations and links to them. Changed by the verbs, so that everyone is told."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from assistant.admin.base import USERS_NAME, GoesWithSession, NamesUser, ReadOnly
from assistant.delivery import clock
from assistant.lifecycle import people, session_changes
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession, Invitation, Message, Participant, ShareLink
from assistant.models.participant import Role


class ParticipantInline(NamesUser, admin.TabularInline):
    """To add people and to remove them. Roles change by the actions of the participants' own page."""

    model = Participant
    extra = 0
    fields = ["user", "role"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _count_of(model: type[Model]) -> Coalesce:
    rows = model._default_manager.filter(session=OuterRef("pk")).order_by().values("session")
    return Coalesce(Subquery(rows.annotate(count=Count("pk")).values("count")), 0)


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
        """Counted for the rows that are shown, and so not to be sorted by: joined, all messages were counted for a page."""
        counts = {"people_": _count_of(Participant), "messages_": _count_of(Message)}
        return super().get_queryset(request).annotate(**counts)

    @admin.display(description="people")
    def people(self, session: Any) -> int:
        return session.people_

    @admin.display(description="messages")
    def messages_count(self, session: Any) -> int:
        return session.messages_

    def save_model(self, request: HttpRequest, obj: ChatSession, form: Any, change: bool) -> None:
        """By the verb: it writes only what was changed, so a send at the same moment keeps what it wrote; and tells it."""
        given = {name: getattr(obj, name) for name in form.changed_data}
        if "parameters" in given:  # what was taken out of them is to go
            given["parameters"] = dict.fromkeys(form.initial["parameters"]) | given["parameters"]
        try:
            session_changes.change(obj, **given)
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
        session_changes.delete(obj)  # stops what is being written there, and tells the viewers

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ChatSession]) -> None:
        for session in queryset:
            self.delete_model(request, session)


@admin.register(Participant)
class ParticipantAdmin(GoesWithSession):
    """Who takes part where: for an operator whose help a session needs, say because its owner is gone.

    Removed by the action, which tells everyone.
    """

    list_display = ["user", "session", "role", "joined_at"]
    list_filter = ["role"]
    list_select_related = ["user", "session"]
    search_fields = [USERS_NAME, "session__title", "session__id"]
    ordering = ["-id"]
    actions = ["make_owner", "remove"]

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


@admin.register(Invitation)
class InvitationAdmin(ReadOnly):
    list_display = ["session", "role", "created_by", "expires_at", "uses", "revoked_at"]
    actions = ["revoke"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("assistant.change_invitation")

    @admin.action(permissions=["revoke"], description="Revoke the selected invitations")
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        queryset.filter(revoked_at=None).update(revoked_at=clock.now())


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
