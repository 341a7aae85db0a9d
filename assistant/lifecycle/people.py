"""What people do with each other: join, change a role, hand over, remove, leave; and share a session by a link.

A session always has exactly one owner: only `make_owner` ends an owner's role. Each verb looks at the roles under the
session's lock, so that of two that exclude each other one is refused.
"""

from __future__ import annotations

import functools
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from assistant.lifecycle import asking, session_changes
from assistant.lifecycle.refusal import Refused
from assistant.models.invitation import LIFETIME_SECONDS, Invitation
from assistant.models.participant import WRITERS, Participant, Removal, Role
from assistant.models.session import ChatSession
from assistant.models.share import ShareLink
from assistant.models.user_id import UserId
from assistant.presentation import events
from assistant.signals import person_joined, send_after_commit

MOST_OPEN_INVITATIONS = 50
RETRY_AFTER_SECONDS = 3600  # some may have expired by then


# --- who takes part ---


def join(invitation: Invitation, user: Any) -> Participant:
    """Makes `user` a participant; one who is in already keeps the role they have, and uses nothing up.

    Raises Refused: not_found (the invitation is over), removed.
    """
    with transaction.atomic():
        session = session_changes.lock(invitation.session)
        present = session.participants.select_related("user").filter(user=user).first()
        if present:
            return present
        check_invited(invitation, user)
        if not Invitation.objects.open().filter(pk=invitation.pk).update(uses=F("uses") + 1):
            raise Refused("not_found", "This invitation is over.", status=404)
        session.removals.filter(user=user).delete()
        participant = Participant.objects.create(
            session=session, user=user, role=invitation.role, read=session.said
        )  # what was said before somebody came is not news to them
        joined(participant)
    return participant


def joined(participant: Participant) -> None:
    """Tells everyone, and the project, of somebody whom this transaction has made a participant."""
    events.participant_changed("participant.joined", participant)
    send_after_commit(
        person_joined, Participant,
        session_id=participant.session_id, user_id=participant.user_id, role=str(participant.role),
    )  # fmt: skip


def check_invited(invitation: Invitation, user: Any) -> None:
    """Raises Refused (removed) for one who was removed from the session after the invitation was made."""
    if Removal.objects.filter(
        session=invitation.session_id, user=user, removed_at__gte=invitation.created_at
    ).exists():
        detail = "You were removed from this session. Only a new invitation lets you in again."
        raise Refused("removed", detail, status=403)


def change_role(session: ChatSession, by: Any, user_id: UserId, role: str) -> Participant:
    """Makes a participant an editor or a viewer, from now on, on open sockets too.

    Raises Refused: forbidden, not_found, owner_stays.
    """
    with transaction.atomic():
        locked = session_changes.lock(session)
        _require_owner(locked, by)
        participant = _participant(locked, user_id)
        if participant.role == Role.OWNER:
            raise Refused("owner_stays", "An owner becomes something else only by handing the session over.")
        if participant.role != role:
            _give(participant, role)
    return participant


def make_owner(session: ChatSession, by: Any, user_id: UserId) -> Participant:
    """Makes another participant the owner; the present owner becomes an editor. Returns the new owner.

    Raises Refused: forbidden, not_found, already_owner, closed_account.
    """
    with transaction.atomic():
        locked = session_changes.lock(session)
        owner = _require_owner(locked, by)
        heir = _participant(locked, user_id)
        if heir.pk == owner.pk:
            raise Refused("already_owner", "You own this session already.")
        if not heir.user.is_active:
            raise Refused("closed_account", "This person's account is closed: they could not look after the session.")
        _succeed(locked, owner, heir)
    return heir


def put_in_charge(participant: Participant) -> None:
    """Makes a participant the owner, for an operator: when the present one is gone for good. Raises Refused (not_found)."""
    with transaction.atomic():
        locked = session_changes.lock(participant.session)
        heir = _participant(locked, participant.user_id)
        owner = locked.participants.select_related("user", "session").filter(role=Role.OWNER).first()
        if owner is None:
            _give(heir, Role.OWNER)
        elif owner.pk != heir.pk:
            _succeed(locked, owner, heir)


def remove(session: ChatSession, by: Any, user_id: UserId) -> None:
    """Takes somebody out: at once, and for good unless they are invited anew. What they have said stays.

    An answer to them goes on; what they have waiting in the queue is withdrawn, for nobody else could.
    Raises Refused: forbidden, not_found, owner_stays.
    """
    with transaction.atomic():
        locked = session_changes.lock(session)
        _require_owner(locked, by)
        take_out(locked, _participant(locked, user_id))


def take_out(session: ChatSession, participant: Participant) -> None:
    """As `remove`, for an operator. The caller's transaction has locked the session. Raises Refused (owner_stays)."""
    if participant.role == Role.OWNER:
        raise Refused("owner_stays", "The owner can't be removed. Hand the session over first.")
    Removal.objects.update_or_create(session=session, user=participant.user, defaults={"removed_at": Now()})
    for message in session.messages.queued().filter(author=participant.user):
        asking.withdraw(message)
    _end(participant, "participant.removed")


def leave(session: ChatSession, user: Any) -> None:
    """`user` goes; what they have asked is still answered.

    Raises Refused: not_found, owner_must_hand_over, last_person (who deletes the session instead, knowing what goes).
    """
    with transaction.atomic():
        locked = session_changes.lock(session)
        participant = _participant(locked, user.pk)
        if participant.role == Role.OWNER:
            if locked.participants.count() == 1:
                raise Refused(
                    "last_person", "Nobody else is in this session. Delete it if you don't need it any more."
                )
            raise Refused("owner_must_hand_over", "A session needs an owner. Hand it over to somebody, then leave.")
        _end(participant, "participant.left")


def forget(user: Any) -> None:
    """Before an account is deleted: its sessions get another owner (the first editor, or else the first viewer).

    A session in which nobody else takes part is deleted with what belongs to it.
    """
    for participant in Participant.objects.filter(user=user).order_by(
        "session_id"
    ):  # as whoever deletes another does
        with transaction.atomic():
            session = ChatSession.objects.locked(participant.session_id)
            if session is None:
                continue
            mine = session.participants.select_related("user").filter(user=user).first()
            if mine is None:
                continue
            if mine.role == Role.OWNER:
                others = session.participants.exclude(user=user).select_related("user").order_by("joined_at", "id")
                heirs = [other for other in others if other.user.is_active] or list(others)
                if not heirs:
                    session_changes.delete(session)
                    continue
                _succeed(session, mine, next((heir for heir in heirs if heir.role == Role.EDITOR), heirs[0]))
            _end(mine, "participant.left")


# --- links ---


def invite(
    session: ChatSession, by: Any, role: str, lifetime_seconds: float = LIFETIME_SECONDS, max_uses: int | None = None
) -> Invitation:
    """A new link to come in by. Raises Refused: forbidden, too_many_invitations."""
    with transaction.atomic():
        locked = session_changes.lock(session)
        _require(locked, by, WRITERS)
        if Invitation.objects.open().filter(session=locked).count() >= MOST_OPEN_INVITATIONS:
            raise Refused(
                "too_many_invitations",
                f"{MOST_OPEN_INVITATIONS} invitations into this session are open. Revoke one first.",
                status=429,
                retry_after=RETRY_AFTER_SECONDS,
            )
        made, _ = Invitation.issue(locked, by, role, lifetime_seconds=lifetime_seconds, max_uses=max_uses)
    return made


def revoke(session: ChatSession, by: Any, invitation_id: int) -> None:
    """Ends an invitation: the owner any, an editor their own. Harmless if it is over.

    Raises Refused: forbidden, not_yours, not_found.
    """
    with transaction.atomic():
        locked = session_changes.lock(session)
        participant = _require(locked, by, WRITERS)
        invitation = locked.invitations.filter(pk=invitation_id).first()
        if invitation is None:
            raise Refused("not_found", "There is no such invitation.", status=404)
        if participant.role != Role.OWNER and invitation.created_by_id != by.pk:
            raise Refused("not_yours", "Only the owner, or whoever made it, can revoke an invitation.", status=403)
        locked.invitations.filter(pk=invitation_id, revoked_at=None).update(revoked_at=Now())


def share(session: ChatSession, by: Any) -> tuple[ShareLink, bool]:
    """The link by which anyone may read along, and whether it was made just now. Raises Refused (forbidden)."""
    with transaction.atomic():
        locked = session_changes.lock(session)
        _require_owner(locked, by)
        link = ShareLink.objects.filter(session=locked).first()
        if link is not None:
            return link, False
        link = ShareLink.objects.create(session=locked, created_by=by, **ShareLink.secrets())
        events.shared_changed(locked.pk, True)
    return link, True


def unshare(session: ChatSession, by: Any) -> None:
    """Ends it: whoever reads along by the link is sent away at once. Harmless if there is none.

    Raises Refused (forbidden).
    """
    with transaction.atomic():
        locked = session_changes.lock(session)
        _require_owner(locked, by)
        withdraw_share(locked)


def withdraw_share(session: ChatSession) -> None:
    """As `unshare`, for an operator. The caller's transaction has locked the session."""
    if ShareLink.objects.filter(session=session).delete()[0]:
        events.share_ended(session.pk)
        events.shared_changed(session.pk, False)


# --- parts of them ---


def _participant(session: ChatSession, user_id: UserId) -> Participant:
    found = session.participants.select_related("user", "session").filter(user_id=user_id).first()
    if found is None:
        raise Refused("not_found", "This person is not in the session.", status=404)
    return found


def _require(session: ChatSession, user: Any, roles: tuple[Role, ...]) -> Participant:
    participant = _participant(session, user.pk)
    if participant.role not in roles:
        needed = " or ".join(role.value for role in roles)
        raise Refused("forbidden", f"Your role in this session does not allow that; it needs {needed}.", status=403)
    return participant


_require_owner = functools.partial(_require, roles=(Role.OWNER,))


def _give(participant: Participant, role: str) -> None:
    Participant.objects.filter(pk=participant.pk).update(role=role, version=F("version") + 1)
    participant.refresh_from_db()
    events.role_changed(participant.session_id, participant.user_id, role)  # first: who hears of it may rely on it
    events.participant_changed("participant.updated", participant)


def _succeed(session: ChatSession, owner: Participant, heir: Participant) -> None:
    _give(owner, Role.EDITOR)  # first: the database bears no two owners, not even for a moment
    _give(heir, Role.OWNER)
    ShareLink.objects.filter(session=session).update(created_by=heir.user)


def _end(participant: Participant, type_: str) -> None:
    session_id, user_id = participant.session_id, participant.user_id
    told = participant.as_json()
    participant.delete()
    events.access_ended(
        session_id, user_id
    )  # first, so that who is gone is not told of it as of somebody else's going
    events.participant_gone(type_, session_id, told)
