"""A database that is away: every request is answered, with 503 and a sentence, and not with a traceback."""

import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError

from assistant.models import ApiToken
from assistant.web.middleware import SENTENCE
from tests.outage import database_away

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = [OperationalError, InterfaceError]


def is_unavailable(response):
    return response.status_code == 503 and response["Retry-After"] == "5"


@pytest.mark.parametrize("kind", KINDS)
def test_pages_answer_503_with_a_page(client, session, alice, kind):
    client.force_login(alice)
    for url in ("/", "/new/", f"/s/{session.pk}/", "/login/", "/setup/", "/admin/", "/metrics"):
        with database_away(kind):
            response = client.get(url)
        assert is_unavailable(response), url
        page = response.content.decode()
        assert SENTENCE in page and "<h1>Back in a moment</h1>" in page and "closed the connection" not in page
        assert "default-src 'self'" in response["Content-Security-Policy"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_api_answers_503_in_json_to_browsers_and_programs(client, session, alice, kind):
    headers = {"Authorization": f"Bearer {ApiToken.issue(alice)}"}
    for url in ("/api/me", "/api/sessions", f"/api/sessions/{session.pk}"):
        with database_away(kind):
            response = client.get(url, headers=headers)
        assert is_unavailable(response) and response.json() == {"code": "unavailable", "detail": SENTENCE}, url
    client.force_login(alice)
    with database_away(kind):
        response = client.get("/api/sessions")
    assert is_unavailable(response) and response.json()["code"] == "unavailable"


def test_a_question_that_meets_it_is_not_stored_and_can_be_sent_again(client, session, alice):
    headers = {"Authorization": f"Bearer {ApiToken.issue(alice)}"}

    def send():
        sent = {"client_id": "one", "content": "Hello"}
        url = f"/api/sessions/{session.pk}/messages"
        return client.post(url, sent, content_type="application/json", headers=headers)

    with database_away(when='INSERT INTO "assistant_message"'):
        assert is_unavailable(send())
    assert not session.messages.exists()
    assert send().status_code == 201 and session.messages.count() == 2


def test_it_goes_on_as_soon_as_the_database_is_back(client, session, alice):
    client.force_login(alice)
    with database_away():
        assert is_unavailable(client.get(f"/s/{session.pk}/"))
    assert client.get(f"/s/{session.pk}/").status_code == 200


def test_a_sign_in_that_can_not_be_remembered_is_a_503(client, alice):
    alice.set_password("violet harbour 9")
    alice.save()
    with database_away(when='INSERT INTO "django_session"'):
        response = client.post("/login/", {"username": "alice", "password": "violet harbour 9"})
    assert is_unavailable(response) and not client.cookies.get("sessionid")


def test_a_mistake_of_ours_is_not_called_an_outage(client, alice):
    client.force_login(alice)
    client.raise_request_exception = False
    with database_away(ProgrammingError):
        response = client.get("/new/")
    assert response.status_code == 500 and "Retry-After" not in response


def test_what_needs_no_database_goes_on(client, alice):
    with database_away():
        assert client.get("/healthz").status_code == 200
        style = client.get("/static/assistant/css/base.css")
        assert style.status_code == 200 and style.getvalue()
        style.close()
