"""An invitation: a link made over the API, opened as a page, accepted by a person or a program."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from assistant.lifecycle import people
from assistant.models import ApiToken, ChatSession, Invitation, Participant
from assistant.models.participant import Role
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

DORA = {"username": "dora", "password1": "violet harbour 9", "password2": "violet harbour 9"}


@pytest.fixture
def link(session, alice):
    """The path of an invitation as editor."""
    return f"/invite/{Invitation.issue(session, alice, Role.EDITOR)[1]}/"


def bearer(user):
    return {"Authorization": f"Bearer {ApiToken.issue(user)}"}


def invite(client, session, by, **payload):
    return client.post(
        f"/api/sessions/{session.pk}/invitations", payload, content_type="application/json", headers=bearer(by)
    )


def role(session, user):
    return session.role_of(user)


# --- making one ---


def test_owner_and_editor_make_links_that_work_for_a_week(client, session, alice, bob, charlie):
    for inviter, given in ((alice, "editor"), (bob, "viewer")):
        made = invite(client, session, inviter, role=given)
        assert made.status_code == 201
        link = urlsplit(made.json()["url"])
        assert link.netloc == "testserver" and link.path.startswith("/invite/")
        assert client.get(link.path).status_code == 200
        expires_in = datetime.fromisoformat(made.json()["expires_at"]) - timezone.now()
        assert timedelta(days=6, hours=23) < expires_in < timedelta(days=7, seconds=1)


def test_viewers_can_not_invite_and_outsiders_and_nobody_learn_nothing(client, session, vera, charlie):
    assert invite(client, session, vera, role="viewer").status_code == 403
    assert invite(client, session, charlie, role="viewer").status_code == 404
    assert (
        client.post(f"/api/sessions/{session.pk}/invitations", {}, content_type="application/json").status_code == 401
    )
    assert not Invitation.objects.exists()


def test_nobody_can_be_invited_as_owner(client, session, alice, bob):
    for inviter in (alice, bob):
        assert invite(client, session, inviter, role="owner").status_code == 422
    assert not Invitation.objects.exists()


def test_the_token_itself_is_not_stored(session, alice):
    invitation, token = Invitation.issue(session, alice, Role.VIEWER)
    stored = Invitation.objects.filter(pk=invitation.pk).values().get()
    assert token not in str(stored)
    assert invitation.token == Invitation.objects.get().token == token, "but it can be told again"


# --- the list of them ---


def call(client, method, session, by, path="", body=None):
    url = f"/api/sessions/{session.pk}/invitations{path}"
    return getattr(client, method)(url, body or {}, content_type="application/json", headers=bearer(by))


def test_an_invitation_has_the_time_and_the_uses_that_were_chosen(client, session, alice, charlie):
    made = invite(client, session, alice, role="viewer", expires_in=3600, max_uses=1).json()
    expires_in = datetime.fromisoformat(made["expires_at"]) - timezone.now()
    assert timedelta(minutes=59) < expires_in < timedelta(hours=1, seconds=1)
    assert (made["role"], made["max_uses"], made["uses"]) == ("viewer", 1, 0)
    assert made["created_by"] == {"id": alice.pk, "name": "alice"}


@pytest.mark.parametrize(
    "wrong",
    [{"expires_in": 59}, {"expires_in": 31 * 24 * 3600}, {"expires_in": "soon"}, {"expires_in": None},
     {"max_uses": 0}, {"max_uses": 1001}, {"max_uses": -1}, {"uses": 1}],
)  # fmt: skip
def test_time_and_uses_have_bounds(client, session, alice, wrong):
    assert invite(client, session, alice, **wrong).status_code == 422 and not Invitation.objects.exists()


def test_those_that_are_open_are_listed_with_their_links(client, session, alice, bob):
    first = invite(client, session, alice, role="viewer", max_uses=3).json()
    second = invite(client, session, bob).json()
    for over in ({"expires_at": timezone.now()}, {"revoked_at": timezone.now()}, {"max_uses": 1, "uses": 1}):
        Invitation.objects.filter(pk=invite(client, session, alice).json()["id"]).update(**over)
    for who in (alice, bob):
        listed = client.get(f"/api/sessions/{session.pk}/invitations", headers=bearer(who)).json()["invitations"]
        assert listed == [second, first], "newest first"
    assert client.get(urlsplit(listed[0]["url"]).path).status_code == 200


def test_after_a_change_of_the_secret_key_links_work_but_are_not_told_again(client, session, alice, settings):
    link = urlsplit(invite(client, session, alice).json()["url"]).path
    settings.SECRET_KEY = "another"
    [listed] = client.get(f"/api/sessions/{session.pk}/invitations", headers=bearer(alice)).json()["invitations"]
    assert listed["url"] is None and client.get(link).status_code == 200


def test_the_owner_revokes_any_and_an_editor_their_own(client, session, alice, bob):
    hers, his, his_other = (invite(client, session, who).json() for who in (alice, bob, bob))
    refused = call(client, "delete", session, bob, f"/{hers['id']}")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_yours")
    for who, made in ((bob, his), (alice, his_other), (alice, hers), (alice, hers)):
        assert call(client, "delete", session, who, f"/{made['id']}").status_code == 204
        assert client.get(urlsplit(made["url"]).path).status_code == 404
    assert call(client, "delete", session, alice, "/999999").status_code == 404


def test_an_invitation_is_revoked_in_its_own_session_only(client, session, alice, charlie):
    elsewhere = ChatSession.objects.create()
    Participant.objects.create(session=elsewhere, user=charlie, role=Role.OWNER)
    hers = invite(client, session, alice).json()
    assert call(client, "delete", elsewhere, charlie, f"/{hers['id']}").status_code == 404
    assert Invitation.objects.get().revoked_at is None


def test_a_session_has_a_bounded_number_of_open_ones(client, session, alice, monkeypatch):
    monkeypatch.setattr(people, "MOST_OPEN_INVITATIONS", 2)
    answers = [invite(client, session, alice) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429] and int(answers[-1]["Retry-After"]) > 0
    Invitation.objects.filter(pk=Invitation.objects.first().pk).update(revoked_at=timezone.now())
    assert invite(client, session, alice).status_code == 201


@pytest.mark.parametrize("how", ["account closed", "removed", "left", "made a viewer"])
def test_the_links_of_one_who_may_no_longer_invite_let_nobody_in(client, session, alice, bob, charlie, how):
    link = f"/invite/{Invitation.issue(session, bob, Role.EDITOR)[1]}/"
    match how:
        case "account closed":
            get_user_model().objects.filter(pk=bob.pk).update(is_active=False)
        case "removed":
            people.remove(session, alice, bob.pk)
        case "left":
            people.leave(session, bob)
        case "made a viewer":
            people.change_role(session, alice, bob.pk, Role.VIEWER)
    client.force_login(charlie)
    assert client.get(link).status_code == client.post(link).status_code == 404
    assert role(session, charlie) is None
    assert client.get(f"/api/sessions/{session.pk}/invitations", headers=bearer(alice)).json() == {"invitations": []}


# --- the page ---


def test_nobody_sees_who_invites_where_and_as_what_and_can_sign_in_or_make_an_account(client, link):
    response = client.get(link)
    page = response.content.decode()
    assert response.status_code == 200 and "Join “A room”" in page and "alice invites you as editor" in page
    assert f'href="/login/?next={link}"' in page and 'name="password2"' in page


def test_signing_in_from_an_invitation_leads_back_to_it(client, link, charlie):
    charlie.set_password("violet harbour 9")
    charlie.save()
    sent = {"username": "charlie", "password": "violet harbour 9", "next": link}
    assert client.post("/login/", sent)["Location"] == link


def test_who_is_signed_in_sees_one_button_and_joins_with_it(client, link, session, charlie):
    client.force_login(charlie)
    page = client.get(link).content.decode()
    assert "Join as editor" in page and "signed in as charlie" in page and "password" not in page
    assert role(session, charlie) is None, "looking is not joining"
    assert client.post(link)["Location"] == f"/s/{session.pk}/"
    assert role(session, charlie) == Role.EDITOR and client.get(f"/s/{session.pk}/").status_code == 200


@pytest.mark.parametrize("name, kept", [("alice", Role.OWNER), ("bob", Role.EDITOR), ("vera", Role.VIEWER)])
def test_who_is_in_already_keeps_their_role_and_uses_nothing_up(client, link, session, name, kept, frames):
    user = get_user_model().objects.get(username=name)
    client.force_login(user)
    assert client.get(link).status_code == 200
    assert client.post(link)["Location"] == f"/s/{session.pk}/"
    assert role(session, user) == kept and Invitation.objects.get().uses == 0 and not frames


def test_everyone_in_the_session_is_told_who_has_joined(client, link, session, charlie, frames):
    client.force_login(charlie)
    client.post(link)
    [frame] = frames
    assert frame["type"] == "participant.joined"
    assert frame["participant"] == Participant.objects.get(user=charlie).as_json()
    assert (frame["participant"]["name"], frame["participant"]["role"]) == ("charlie", "editor")


def test_joining_twice_at_once_makes_one_participant(link, session, charlie):
    headers = bearer(charlie)
    responses = at_once(*[lambda: Client(headers=headers).post(link) for _ in range(3)])
    assert [response.status_code for response in responses] == [200] * 3
    assert session.participants.filter(user=charlie).count() == 1


# --- an account by invitation ---


def test_nobody_makes_an_account_by_invitation_although_sign_up_is_closed(client, link, session):
    assert client.get("/signup/").status_code == 404
    assert client.post(link, DORA)["Location"] == f"/s/{session.pk}/"
    dora = get_user_model().objects.get(username="dora")
    assert role(session, dora) == Role.EDITOR and not dora.is_staff and not dora.is_superuser
    assert client.get(f"/s/{session.pk}/").status_code == 200, "and is signed in"


def test_errors_in_that_form_make_nothing_and_keep_what_was_typed(client, link, session):
    response = client.post(link, DORA | {"password2": "another one"})
    page = response.content.decode()
    assert response.status_code == 422 and 'value="dora"' in page and "Join “A room”" in page
    assert not get_user_model().objects.filter(username="dora").exists() and Invitation.objects.get().uses == 0


def test_an_invitation_that_is_over_makes_no_account(client, link):
    Invitation.objects.update(expires_at=timezone.now())
    assert client.post(link, DORA).status_code == 404
    assert not get_user_model().objects.filter(username="dora").exists()


# --- who may post ---


def test_a_page_elsewhere_can_not_make_a_browser_join(link, session, charlie):
    client = Client(enforce_csrf_checks=True)
    assert client.post(link, DORA).status_code == 403
    client.force_login(charlie)
    assert client.post(link).status_code == 403 and role(session, charlie) is None
    token = str(client.get(link).context["csrf_token"])
    assert client.post(link, {"csrfmiddlewaretoken": token}).status_code == 302
    assert role(session, charlie) == Role.EDITOR


def test_a_program_joins_with_its_token_and_needs_no_forms_token(link, session, charlie):
    response = Client(enforce_csrf_checks=True).post(link, headers=bearer(charlie))
    joined = Participant.objects.get(user=charlie)
    assert response.status_code == 200
    assert response.json() == {"session": str(session.pk), "participant": joined.as_json()}


def test_a_program_with_a_wrong_token_or_method_is_told_so_in_json(client, link, session, charlie):
    wrong = client.post(link, headers={"Authorization": "Bearer parley_wrong"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "not_signed_in")
    read = client.get(link, headers=bearer(charlie))
    assert (read.status_code, read.json()["code"]) == (405, "method_not_allowed")
    assert role(session, charlie) is None


def test_a_wrong_token_does_not_fall_back_to_the_cookie(link, session, charlie):
    client = Client()
    client.force_login(charlie)
    assert client.post(link, headers={"Authorization": "Bearer parley_wrong"}).status_code == 401
    assert role(session, charlie) is None


def test_a_browser_behind_a_proxy_with_a_password_is_still_a_browser(link, session, charlie):
    basic = {"Authorization": "Basic cHJveHk6cHJveHk="}
    client = Client(enforce_csrf_checks=True)
    client.force_login(charlie)
    assert "Join as editor" in client.get(link, headers=basic).content.decode()
    assert client.post(link, headers=basic).status_code == 403 and role(session, charlie) is None


# --- what is over ---


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": timezone.now() - timedelta(seconds=1)},
        {"revoked_at": timezone.now()},
        {"max_uses": 1, "uses": 1},
    ],
    ids=["expired", "revoked", "used up"],
)
def test_an_invitation_that_is_over_lets_nobody_in_and_says_so(client, link, session, charlie, change):
    Invitation.objects.update(**change)
    program = client.post(link, headers=bearer(charlie))
    assert (program.status_code, program.json()["code"]) == (404, "not_found")
    for _ in ("as nobody", "signed in"):
        response = client.get(link)
        assert response.status_code == 404 and "doesn’t work any more" in response.content.decode()
        client.force_login(charlie)
    assert client.post(link).status_code == 404 and role(session, charlie) is None


def test_an_unknown_invitation_looks_like_one_that_is_over(client, link):
    response = client.get("/invite/unknown/")
    assert response.status_code == 404 and "doesn’t work any more" in response.content.decode()


def test_an_invitation_for_one_lets_one_in_even_if_two_come_at_once(link, session, charlie):
    Invitation.objects.update(max_uses=1)
    guests = [get_user_model().objects.create_user(f"guest-{number}") for number in range(3)]
    headers = [bearer(guest) for guest in guests]
    responses = at_once(*[lambda header=header: Client(headers=header).post(link) for header in headers])
    assert sorted(response.status_code for response in responses) == [200, 404, 404]
    assert session.participants.filter(user__in=guests).count() == 1 and Invitation.objects.get().uses == 1


def test_an_invitation_for_one_makes_one_account_even_if_many_come_at_once(link, session, django_user_model):
    """Race 39."""
    Invitation.objects.update(max_uses=1)
    before = django_user_model.objects.count()

    def come(name):
        return lambda: Client().post(
            link, {"username": name, "password1": "correct horse", "password2": "correct horse"}
        )

    statuses = sorted(response.status_code for response in at_once(*(come(f"guest{n}") for n in range(6))))
    assert statuses == [302, 404, 404, 404, 404, 404]
    assert django_user_model.objects.count() == before + 1
    assert session.participants.filter(user__username__startswith="guest").count() == 1


def test_an_invitation_ends_with_its_session(client, link, session, charlie):
    session.delete()
    client.force_login(charlie)
    assert client.get(link).status_code == client.post(link).status_code == 404
