"""Accounts: the first one administers, sign-in and sign-out, and sign-up where it is open."""

import html
import threading

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from assistant.pages.forms import AccountForm
from tests.threads import LONG_SECONDS, at_once

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "violet harbour 9"
HOME = "/"


def account(username="dora", password=PASSWORD, again=None, email=""):
    return {"username": username, "email": email, "password1": password, "password2": again or password}


def signed_in(client):
    """The name of whoever is signed in there, or None."""
    user = client.get("/login/").wsgi_request.user
    return user.get_username() if user.is_authenticated else None


@pytest.fixture
def dora():
    return get_user_model().objects.create_user("dora", password=PASSWORD)


@pytest.fixture
def all_look_before_one_acts(monkeypatch):
    """Three forms are found valid before any of them is stored."""
    barrier, is_valid = threading.Barrier(3), AccountForm.is_valid

    def wait(form):
        found = is_valid(form)
        barrier.wait(LONG_SECONDS)
        return found

    monkeypatch.setattr(AccountForm, "is_valid", wait)


# --- the set-up ---


def test_before_there_is_an_account_every_way_leads_to_the_set_up(client):
    for url in (HOME, "/login/"):
        assert client.get(url)["Location"] == "/setup/"
    assert client.get("/signup/")["Location"] == HOME
    assert "Make the first account" in client.get("/setup/").content.decode()


def test_the_first_account_administers_and_is_signed_in(client):
    response = client.post("/setup/", account(email="dora@example.org"))
    assert (response.status_code, response["Location"]) == (302, HOME)
    dora = get_user_model().objects.get()
    assert dora.is_superuser and dora.is_staff and dora.email == "dora@example.org"
    assert dora.check_password(PASSWORD) and signed_in(client) == "dora"
    assert client.get(HOME)["Location"] == "/new/" and client.get("/admin/").status_code == 200


def test_once_somebody_has_an_account_there_is_no_set_up(client, alice):
    for response in (client.get("/setup/"), client.post("/setup/", account())):
        assert (response.status_code, response["Location"]) == (302, HOME)
    assert get_user_model().objects.get() == alice


@pytest.mark.usefixtures("all_look_before_one_acts")
def test_set_ups_at_once_make_one_administrator():
    def set_up(name):
        return lambda: Client().post("/setup/", account(name))

    responses = at_once(*[set_up(f"first-{number}") for number in range(3)])
    assert [response.status_code for response in responses] == [302] * 3
    assert get_user_model().objects.get().is_superuser


def test_a_set_up_with_errors_makes_nobody_and_keeps_what_was_typed(client):
    response = client.post("/setup/", account(again="something else"))
    assert response.status_code == 422 and 'value="dora"' in response.content.decode()
    assert not get_user_model().objects.exists()


def test_the_set_up_needs_the_forms_token():
    assert Client(enforce_csrf_checks=True).post("/setup/", account()).status_code == 403
    assert not get_user_model().objects.exists()


# --- signing in and out ---


def test_sign_in_leads_home(client, dora):
    response = client.post("/login/", {"username": "dora", "password": PASSWORD})
    assert (response.status_code, response["Location"]) == (302, HOME) and signed_in(client) == "dora"


def test_who_is_signed_in_needs_no_sign_in_page(client, dora):
    client.force_login(dora)
    assert client.get("/login/")["Location"] == HOME


def test_sign_in_leads_back_to_the_page_that_asked_for_it(client, dora):
    asked = client.get("/new/")
    assert asked["Location"] == "/login/?next=/new/"
    assert 'name="next" value="/new/"' in client.get(asked["Location"]).content.decode()
    response = client.post("/login/", {"username": "dora", "password": PASSWORD, "next": "/new/"})
    assert response["Location"] == "/new/"


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "http:///evil.example"],
)
def test_sign_in_leads_nowhere_but_to_this_site(client, dora, elsewhere):
    response = client.post("/login/", {"username": "dora", "password": PASSWORD, "next": elsewhere})
    assert response["Location"] == HOME
    assert client.get("/login/", {"next": elsewhere})["Location"] == HOME


def test_a_wrong_password_says_so_and_keeps_the_name_but_not_the_password(client, dora):
    response = client.post("/login/", {"username": "dora", "password": "wrong wrong"})
    page = html.unescape(response.content.decode())
    assert response.status_code == 422 and "don’t belong together" in page and 'value="dora"' in page
    assert "wrong wrong" not in page and signed_in(client) is None


def test_an_unknown_name_and_a_wrong_password_get_the_same_answer(client, dora):
    one, other = (client.post("/login/", {"username": name, "password": "wrong"}) for name in ("dora", "nobody"))
    assert one.status_code == other.status_code == 422
    assert one.context["form"].errors == other.context["form"].errors


def attempt(client, username="dora", password="wrong", url="/login/", **headers):
    return client.post(url, {"username": username, "password": password}, **headers)


def test_guessing_a_password_is_slowed_for_the_address_that_guesses(client, dora, settings):
    settings.ASSISTANT_SIGN_IN_RATE = 3
    assert [attempt(client, REMOTE_ADDR="10.0.0.1").status_code for _ in range(4)] == [422, 422, 422, 429]
    refused = attempt(client, "DORA", PASSWORD, REMOTE_ADDR="10.0.0.1")
    assert "Too many attempts. Try again in" in refused.content.decode() and signed_in(client) is None
    assert attempt(client, "dora", PASSWORD, REMOTE_ADDR="10.0.0.2").status_code == 302, (
        "nobody is locked out by others"
    )


def test_trying_one_password_at_many_names_is_slowed_too(client, settings, dora):
    settings.ASSISTANT_SIGN_IN_RATE = 1
    answers = [attempt(client, f"name{number}", REMOTE_ADDR="10.0.1.1").status_code for number in range(11)]
    assert answers == [422] * 10 + [429]


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_has_seen(client, dora, settings):
    settings.ASSISTANT_SIGN_IN_RATE, settings.ASSISTANT_BEHIND_PROXY = 1, True
    seen = [
        f"{number}.1.1.1, 10.2.0.{number // 2}" for number in range(3)
    ]  # what comes before the last, anybody can write
    assert [attempt(client, HTTP_X_FORWARDED_FOR=one).status_code for one in seen] == [422, 429, 422]


def test_the_admins_sign_in_is_slowed_too(client, dora, settings):
    settings.ASSISTANT_SIGN_IN_RATE = 1
    attempt(client, url="/admin/login/", REMOTE_ADDR="10.0.3.1")
    page = attempt(client, url="/admin/login/", REMOTE_ADDR="10.0.3.1").content.decode()
    assert "Too many attempts." in page


def test_a_switched_off_account_can_not_sign_in(client, dora):
    dora.is_active = False
    dora.save()
    assert client.post("/login/", {"username": "dora", "password": PASSWORD}).status_code == 422
    assert signed_in(client) is None


def test_sign_out_is_a_post(client, dora):
    client.force_login(dora)
    assert client.get("/logout/").status_code == 405 and signed_in(client) == "dora"
    assert client.post("/logout/")["Location"] == "/login/" and signed_in(client) is None


def test_a_page_elsewhere_can_neither_sign_in_nor_sign_out(dora):
    client = Client(enforce_csrf_checks=True)
    assert client.post("/login/", {"username": "dora", "password": PASSWORD}).status_code == 403
    client.force_login(dora)
    assert client.post("/logout/").status_code == 403 and signed_in(client) == "dora"


def test_the_forms_token_of_the_page_lets_sign_in(dora):
    client = Client(enforce_csrf_checks=True)
    token = client.get("/login/").context["csrf_token"]
    sent = {"username": "dora", "password": PASSWORD, "csrfmiddlewaretoken": str(token)}
    assert client.post("/login/", sent).status_code == 302


# --- sign-up ---


def test_sign_up_is_closed_unless_it_is_opened(client, alice):
    assert client.get("/signup/").status_code == client.post("/signup/", account()).status_code == 404
    assert get_user_model().objects.get() == alice
    assert "Make an account" not in client.get("/login/").content.decode()


def test_where_sign_up_is_open_anyone_makes_an_account_without_rights(client, alice, settings):
    settings.ASSISTANT_SIGNUP = "open"
    assert reverse("assistant:signup") in client.get("/login/").content.decode()
    assert client.get("/signup/").status_code == 200
    assert client.post("/signup/", account() | {"is_superuser": "on", "is_staff": "on"})["Location"] == HOME
    made = get_user_model().objects.get(username="dora")
    assert signed_in(client) == "dora" and not made.is_staff and not made.is_superuser


def test_open_sign_up_does_not_make_the_administrator(client, settings):
    settings.ASSISTANT_SIGNUP = "open"
    assert client.post("/signup/", account())["Location"] == HOME
    assert not get_user_model().objects.exists()


def test_who_is_signed_in_needs_no_sign_up(client, alice, settings):
    settings.ASSISTANT_SIGNUP = "open"
    client.force_login(alice)
    assert client.get("/signup/")["Location"] == HOME


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (account("alice"), "Somebody has this name already."),
        (account("ALICE"), "Somebody has this name already."),
        (account(""), "This field is required."),
        (account("do ra"), "Enter a valid username."),
        (account(email="nowhere"), "Enter a valid email address."),
        (account(password="kiwi-9"), "at least 8 characters"),
        (account(password="trustno1"), "too common"),
        (account("violetharbour", password="violetharbour"), "too similar"),
        (account(again="different one"), "didn’t match"),
    ],
)
def test_sign_up_says_what_is_wrong_and_keeps_the_input(client, alice, settings, wrong, sentence):
    settings.ASSISTANT_SIGNUP = "open"
    response = client.post("/signup/", wrong)
    page = html.unescape(response.content.decode())
    assert response.status_code == 422 and sentence in page
    assert all(f'value="{wrong[kept]}"' in page for kept in ("username", "email") if wrong[kept])
    assert f'"{wrong["password1"]}"' not in page.replace(f'value="{wrong["username"]}"', "")
    assert get_user_model().objects.get() == alice


@pytest.mark.usefixtures("all_look_before_one_acts")
def test_several_people_can_not_take_the_same_name_at_once(alice, settings):
    settings.ASSISTANT_SIGNUP = "open"
    responses = at_once(*[lambda: Client().post("/signup/", account()) for _ in range(3)])
    assert sorted(response.status_code for response in responses) == [302, 422, 422]
