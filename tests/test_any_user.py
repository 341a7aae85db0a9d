"""Users of whatever model the project has: their keys may be UUIDs or texts, and they need have no user name.

The whole way of people is gone, in processes of a project of somebody else's that was migrated from nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.people import Person
from tests.embedded import EmbeddedProject
from tests.servers import PostgresServer, find_program

pytestmark = pytest.mark.long

PASSWORD = "violet harbour 9"
CREATE = "from django.contrib.auth import get_user_model as g; print(g().objects.create_user({}).pk)"


@pytest.fixture(scope="module", params=["uuid", "text", "uuid on PostgreSQL"])
def project(request, provider) -> Iterator[EmbeddedProject]:
    kind, _, database = request.param.partition(" on ")
    environment = {"OPENAI_API_BASE": provider.base_url, "OPENAI_API_KEY": "x"}
    if not database:
        with EmbeddedProject(f"{kind}_settings", **environment) as made, made.running():
            yield made
    elif find_program("initdb"):
        with PostgresServer() as server:
            environment["EMBEDDED_POSTGRES"] = str(server.port)
            with EmbeddedProject(f"{kind}_settings", **environment) as made, made.running():
                yield made
    else:
        pytest.skip("PostgreSQL is not installed.")


@pytest.fixture(scope="module")
def has_names(project) -> bool:
    """Whether one signs in with a user name, or with an e-mail address."""
    return "text_settings" in project.environment["DJANGO_SETTINGS_MODULE"]


@pytest.fixture(scope="module")
def people(project, has_names) -> dict[str, tuple[str, str]]:
    """The cast: name to (id, token)."""
    cast = {}
    for name in ("alice", "bob", "vera"):
        given = f"'{name}', password={PASSWORD!r}" if has_names else f"'{name}@example.org', password={PASSWORD!r}"
        id_ = project.shell(CREATE.format(given))
        token = project.manage("create_token", name if has_names else f"{name}@example.org").split()[-1]
        cast[name] = (id_, token)
    return cast


@pytest.fixture
def cast(project, people) -> Iterator[dict[str, Person]]:
    persons = {name: Person(project.url, name, token) for name, (_, token) in people.items()}
    yield persons
    for person in persons.values():
        person.http.close()


def did(response: httpx.Response, status: int = 200):
    assert response.status_code == status, response.text[:500]
    return response.json() if response.content else None


def test_the_project_passes_all_checks(project):
    assert "no issues" in project.manage("check", "--fail-level", "WARNING")
    assert "No changes" in project.manage("makemigrations", "--check", "--dry-run")


def test_people_ask_and_are_seen_by_their_ids(project, people, cast, has_names):
    alice, bob, vera = cast["alice"], cast["bob"], cast["vera"]
    (alice_id, _), (bob_id, _), (vera_id, _) = people["alice"], people["bob"], people["vera"]
    assert did(alice.http.get("/api/me"))["id"] == alice_id
    session = alice.new_session()
    alice.invite(session, bob)
    alice.invite(session, vera, "viewer")
    path = f"/api/sessions/{session}"

    with alice.view(session) as a, bob.view(session) as b:
        for viewer, own in ((a, alice_id), (b, bob_id)):
            assert viewer.view.you["id"] == own
            viewer.wait_for(lambda viewer=viewer: viewer.view.online == sorted([alice_id, bob_id]))
        b.send({"type": "typing", "active": True})
        a.wait_for(lambda: a.view.seen["typing"])
        name = "bob" if has_names else "bob@example.org"
        answer = alice.asked(session, f"What does @{name} think of zebras?")
        assert b.wait_for_end(answer)["status"] == "success"
        question = next(m for m in b.view.messages.values() if m["role"] == "user")
        assert (question["author"]["id"], question["mentions"]) == (alice_id, [bob_id])

        listed = did(bob.http.get(f"{path}/messages"))["messages"]
        assert listed[0]["author"]["id"] == alice_id and listed[0]["mentions"] == [bob_id]
        assert did(bob.http.get("/api/sessions"))["sessions"][0]["yours"]["mentioned"] is True
        [found] = did(bob.http.get("/api/search?q=zebras"))["messages"]
        assert found["author"]["id"] == alice_id
        assert did(alice.http.get("/api/me/usage"))["calls"] >= 1
        assert did(bob.http.get("/api/me/usage"))["calls"] == 0
        exported = json.loads(bob.http.get(f"{path}/export?format=json").content)
        assert [person["id"] for person in exported["participants"]] == [alice_id, bob_id, vera_id]

        shown = did(alice.http.patch(f"{path}/participants/{quoted(vera_id)}", json={"role": "editor"}))
        assert (shown["id"], shown["role"]) == (vera_id, "editor")
        after = did(alice.http.post(f"{path}/owner", json={"user": bob_id}))["participants"]
        assert {person["id"]: person["role"] for person in after}[bob_id] == "owner"
        a.wait_for(lambda: a.view.seen["participant.updated"] >= 3)
        did(bob.http.delete(f"{path}/participants/{quoted(alice_id)}"), 204)
        a.wait_for(lambda: a.codes == [4403])
    assert [p["id"] for p in did(bob.http.get(f"{path}/participants"))["participants"]] == [bob_id, vera_id]
    assert alice.http.get(path).status_code == 404


def test_an_upload_and_a_waiting_question_know_whose_they_are(cast, people):
    alice, bob = cast["alice"], cast["bob"]
    session = alice.new_session("openai/words-hold=1")
    alice.invite(session, bob)
    file = did(bob.http.post(f"/api/sessions/{session}/attachments", files={"file": ("a.txt", b"Words")}), 201)
    assert alice.http.get(f"/api/attachments/{file['id']}").status_code == 404  # nobody's but bob's until it is sent
    answer = alice.asked(session)
    body = {"client_id": "waits", "content": "And this?", "attachments": [file["id"]]}
    waiting = did(bob.http.post(f"/api/sessions/{session}/messages", json=body), 201)["message"]
    assert waiting["status"] == "pending" and waiting["author"]["id"] == people["bob"][0]
    assert alice.http.patch(f"/api/messages/{waiting['id']}", json={"content": "x"}).json()["code"] == "not_yours"
    assert did(bob.http.delete(f"/api/messages/{waiting['id']}"))["status"] == "cancelled"
    stopped = did(bob.http.post(f"/api/messages/{answer}/cancel"))
    assert stopped["stopped_by"]["id"] == people["bob"][0]


def test_the_project_s_own_app_hears_what_has_happened_in_the_process_that_did_it(project, cast, people, has_names):
    if has_names:
        return  # that project connects nothing
    alice, bob = cast["alice"], cast["bob"]
    session = alice.new_session("openai/words-hold=1")
    alice.invite(session, bob)
    stopped = alice.asked(session)
    did(bob.http.post(f"/api/messages/{stopped}/cancel"))
    done = alice.asked(session, model="openai/words")
    alice.wait_for_end(done)

    def told() -> list[dict]:
        lines = (project.data / "notes").read_text().splitlines()
        return [what for line in lines if (what := json.loads(line))["session_id"] == session]

    joined, first, second = project.until(lambda: found if len(found := told()) == 3 else None)
    assert (joined["of"], joined["user_id"], joined["role"]) == ("Participant", people["bob"][0], "editor")
    assert (first["message_id"], first["status"], first["user_id"]) == (stopped, "cancelled", people["alice"][0])
    assert (second["message_id"], second["status"]) == (done, "success")
    assert joined["pid"] == first["pid"] != second["pid"]  # the web process, and a worker


def test_an_id_that_nobody_can_have_is_refused(cast):
    alice = cast["alice"]
    session = alice.new_session()
    for given in (7, True, None, "\x00", "\ud800", ["x"], "x" * 10_000):
        content = json.dumps({"user": given})
        answer = alice.http.post(f"/api/sessions/{session}/owner", content=content)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), given
    for given in ("7", "%00", "x%ED%A0%80", "x" * 1000):
        answer = alice.http.delete(f"/api/sessions/{session}/participants/{given}")
        assert answer.status_code in (404, 422), (given, answer.text)


def test_the_schema_says_what_an_id_is(project, has_names):
    schemas = did(httpx.get(f"{project.url}/api/openapi.json", trust_env=False))["components"]["schemas"]
    shown = schemas["Person"]["properties"]["id"]
    assert shown["type"] == "string" and shown.get("format") == (None if has_names else "uuid")
    assert schemas["NewOwner"]["properties"]["user"]["type"] == "string"
    assert schemas["Message"]["properties"]["mentions"]["items"]["type"] == "string"


def test_one_signs_in_with_a_password_and_works_by_the_cookie(project, has_names, people):
    name = "alice" if has_names else "alice@example.org"
    with httpx.Client(base_url=project.url, trust_env=False, follow_redirects=True, timeout=30) as http:
        http.get("/login/")
        form = {"username": name, "password": PASSWORD, "next": "/new/"}
        form["csrfmiddlewaretoken"] = http.cookies["csrftoken"]
        assert 'name="content"' in http.post("/login/", data=form).text  # the composer
        headers = {"X-CSRFToken": http.cookies["csrftoken"]}
        session = did(http.post("/api/sessions", json={}, headers=headers), 201)["id"]
        assert 'data-session-id="' + session in http.get(f"/s/{session}/").text
        assert http.get("/usage/").status_code == 200


def test_who_is_invited_makes_an_account_of_the_project_s_own_kind(project, cast, has_names):
    alice = cast["alice"]
    session = alice.new_session()
    url = did(alice.http.post(f"/api/sessions/{session}/invitations", json={}), 201)["url"]
    with httpx.Client(base_url=project.url, trust_env=False, follow_redirects=True, timeout=30) as http:
        page = http.get(url).text
        field = "username" if has_names else "email"
        assert f'name="{field}"' in page
        name = "dora" if has_names else "dora@example.org"
        form = {field: name, "password1": PASSWORD, "password2": PASSWORD}
        form["csrfmiddlewaretoken"] = http.cookies["csrftoken"]
        taken = http.post(url, data=form | {field: "ALICE" if has_names else "ALICE@example.org"})
        assert taken.status_code == 422 and "Somebody has this name already." in taken.text
        assert http.post(url, data=form).status_code == 200
        [_, dora] = did(http.get(f"/api/sessions/{session}/participants"))["participants"]
    assert dora["name"] == name and dora["id"] == project.shell(
        f"from django.contrib.auth import get_user_model as g; print(g().objects.get({field}={name!r}).pk)"
    )


def test_the_admin_shows_what_belongs_to_such_users(project, cast, has_names):
    """Also where the project has not put its users themselves into the admin."""
    if not has_names:
        return  # that project is without the admin
    project.shell(
        "from django.contrib.auth import get_user_model as g; g().objects.create_superuser('root', password='x')"
    )
    session = cast["alice"].new_session()
    with httpx.Client(base_url=project.url, trust_env=False, follow_redirects=True, timeout=30) as http:
        http.get("/admin/login/")
        form = {"username": "root", "password": "x", "csrfmiddlewaretoken": http.cookies["csrftoken"]}
        assert "assistant/chatsession/" in http.post("/admin/login/?next=/admin/", data=form).text
        pages = [
            f"chatsession/{session}/change/",
            "budget/add/",
            "participant/?q=alice",
            "usagerecord/plots/",
            "attachment/?q=a",
        ]
        for page in pages:
            assert http.get(f"/admin/assistant/{page}").status_code == 200, page


def quoted(id_: str) -> str:
    return "".join(letter if letter.isalnum() or letter == "-" else f"%{ord(letter):02X}" for letter in id_)
