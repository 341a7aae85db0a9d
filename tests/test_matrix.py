"""Who may do what: every endpoint, every page and every frame, as owner, editor, viewer, outsider and nobody.

Whoever adds an endpoint or a page adds its row here, or `test_the_matrix_has_...` fails and names it:

- an endpoint of the API: a row in MATRIX with its method, its path in OpenAPI, a function that makes the path to call (in
  a fresh `Room`, where Alice owns, Bob edits and Vera views; give it a way of its own to make what it needs), a function
  that makes the body or None, and the status expected for ROLES in their order.
- any other URL: a row in PAGES with its route in Django, in the same way; it is opened with the browser's cookie.
- a frame that clients may send: a row in FRAMES; a frame that the socket tells: an entry in TOLD.

Refusals must change nothing. A reader by a share link who calls anything but the link's own URLs is nobody.
"""

import re
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import get_resolver

from assistant.lifecycle import people
from assistant.models import Attachment, ChatSession, Invitation, Message, Participant, ToolCall
from assistant.models.participant import Role
from assistant.presentation import public, wire
from assistant.sockets import consumers
from tests.acting import answer_of, ask
from tests.calling import Caller, Room, a_form, content, problem
from tests.sockets import joined, opened, reading, token_of

pytestmark = pytest.mark.django_db(transaction=True)

ROLES = ("owner", "editor", "viewer", "outsider", "nobody")

#               method, OpenAPI path, how its path comes about, body, expected for ROLES
MATRIX = [
    ("get", "/me", lambda r: "/me", None, (200, 200, 200, 200, 401)),
    ("get", "/models", lambda r: "/models", None, (200, 200, 200, 200, 401)),
    ("get", "/sessions", lambda r: "/sessions", None, (200, 200, 200, 200, 401)),
    ("post", "/messages/{message_id}/fork", lambda r: r.finished() + "/fork", None, (201, 201, 201, 404, 401)),
    ("post", "/messages/{message_id}/resend", lambda r: r.question() + "/resend", content, (201, 403, 403, 404, 401)),
    ("get", "/sessions/{session_id}/export", lambda r: f"{r.path}/export", None, (200, 200, 200, 404, 401)),
    ("get", "/search", lambda r: "/search?q=room", None, (200, 200, 200, 200, 401)),
    ("post", "/sessions", lambda r: "/sessions", lambda: {"title": "New"}, (201, 201, 201, 201, 401)),
    ("get", "/sessions/{session_id}", lambda r: r.path, None, (200, 200, 200, 404, 401)),
    ("patch", "/sessions/{session_id}", lambda r: r.path, lambda: {"title": "T"}, (200, 200, 403, 404, 401)),
    ("delete", "/sessions/{session_id}", lambda r: r.path, None, (204, 403, 403, 404, 401)),
    ("get", "/sessions/{session_id}/messages", lambda r: f"{r.path}/messages", None, (200, 200, 200, 404, 401)),
    ("post", "/sessions/{session_id}/messages", lambda r: f"{r.path}/messages", content, (201, 201, 403, 404, 401)),
    ("post", "/sessions/{session_id}/resume", lambda r: f"{r.path}/resume", None, (200, 200, 403, 404, 401)),
    ("post", "/sessions/{session_id}/read", lambda r: f"{r.path}/read", None, (200, 200, 200, 404, 401)),
    ("post", "/sessions/{session_id}/archive", lambda r: f"{r.path}/archive", None, (200, 200, 200, 404, 401)),
    ("post", "/sessions/{session_id}/unarchive", lambda r: f"{r.path}/unarchive", None, (200, 200, 200, 404, 401)),
    ("post", "/sessions/{session_id}/invitations", lambda r: f"{r.path}/invitations",
     lambda: {"role": "viewer"}, (201, 201, 403, 404, 401)),
    ("post", "/sessions/{session_id}/attachments", lambda r: f"{r.path}/attachments", a_form,
     (201, 201, 403, 404, 401)),
    ("post", "/attachments", lambda r: "/attachments", a_form, (201, 201, 201, 201, 401)),
    ("get", "/attachments/{attachment_id}", lambda r: r.sent_file(), None, (200, 200, 200, 404, 401)),
    ("get", "/attachments/{attachment_id}/file", lambda r: r.sent_file() + "/file", None, (200, 200, 200, 404, 401)),
    ("delete", "/attachments/{attachment_id}", lambda r: r.unsent_file(), None, (204, 404, 404, 404, 401)),
    ("get", "/sessions/{session_id}/resources", lambda r: f"{r.path}/resources", None, (200, 200, 403, 404, 401)),
    ("post", "/sessions/{session_id}/resources", lambda r: f"{r.path}/resources",
     lambda: {"server": "depot", "uri": "depot://a"}, (404, 404, 403, 404, 401)),
    ("get", "/sessions/{session_id}/invitations", lambda r: f"{r.path}/invitations", None, (200, 200, 403, 404, 401)),
    ("delete", "/sessions/{session_id}/invitations/{invitation_id}", lambda r: f"{r.path}/invitations/{invitation(r).pk}",
     None, (204, 403, 403, 404, 401)),
    ("get", "/sessions/{session_id}/participants", lambda r: f"{r.path}/participants", None, (200, 200, 200, 404, 401)),
    ("patch", "/sessions/{session_id}/participants/{user_id}",
     lambda r: f"{r.path}/participants/{r.cast['viewer'].pk}", lambda: {"role": "editor"}, (200, 403, 403, 404, 401)),
    ("delete", "/sessions/{session_id}/participants/{user_id}",
     lambda r: f"{r.path}/participants/{another(r).pk}", None, (204, 403, 403, 404, 401)),
    ("post", "/sessions/{session_id}/owner", lambda r: f"{r.path}/owner", lambda: {"user": user_id("bob")},
     (200, 403, 403, 404, 401)),
    ("get", "/sessions/{session_id}/share", lambda r: f"{r.path}/share", None, (200, 200, 200, 404, 401)),
    ("post", "/sessions/{session_id}/share", lambda r: f"{r.path}/share", None, (201, 403, 403, 404, 401)),
    ("delete", "/sessions/{session_id}/share", lambda r: shared(r) and f"{r.path}/share", None,
     (204, 403, 403, 404, 401)),
    ("get", "/shared/{token}/messages", lambda r: f"/shared/{shared(r)}/messages", None, (200, 200, 200, 200, 200)),
    ("get", "/shared/{token}/attachments/{attachment_id}/file",
     lambda r: f"/shared/{shared(r)}{r.sent_file()}/file", None, (200, 200, 200, 200, 200)),
    ("post", "/sessions/{session_id}/leave", lambda r: f"{r.path}/leave", None, (409, 204, 204, 404, 401)),
    ("get", "/sessions/{session_id}/usage", lambda r: f"{r.path}/usage", None, (200, 200, 200, 404, 401)),
    ("get", "/me/usage", lambda r: "/me/usage", None, (200, 200, 200, 200, 401)),
    ("get", "/messages/{message_id}", lambda r: r.finished(), None, (200, 200, 200, 404, 401)),
    ("post", "/messages/{message_id}/cancel", lambda r: r.running() + "/cancel", None, (200, 200, 403, 404, 401)),
    ("post", "/messages/{message_id}/retry", lambda r: r.finished() + "/retry", None, (201, 201, 403, 404, 401)),
    ("get", "/messages/{message_id}/settings", lambda r: r.finished() + "/settings", None, (200, 200, 200, 404, 401)),
    ("post", "/messages/{message_id}/move", lambda r: r.waiting() + "/move", lambda: {"before": None},
     (200, 403, 403, 404, 401)),
    ("post", "/messages/{message_id}/send-now", lambda r: r.waiting() + "/send-now", None, (200, 200, 403, 404, 401)),
    ("get", "/tools", lambda r: "/tools", None, (200, 200, 200, 200, 401)),
    ("post", "/tool-calls/{call_id}/approve", lambda r: r.asked() + "/approve", None, (200, 200, 403, 404, 401)),
    ("post", "/tool-calls/{call_id}/deny", lambda r: r.asked() + "/deny", None, (200, 200, 403, 404, 401)),
    ("post", "/tool-calls/{call_id}/form", lambda r: r.form() + "/form", lambda: {"number": 1, "action": "decline"},
     (200, 200, 403, 404, 401)),
    ("patch", "/messages/{message_id}", lambda r: r.waiting(), lambda: {"content": "x"}, (200, 403, 403, 404, 401)),
    ("delete", "/messages/{message_id}", lambda r: r.waiting(), None, (200, 403, 403, 404, 401)),
]  # fmt: skip

CODES = {409: {"owner_must_hand_over"}, 401: {"not_signed_in"}, 403: {"forbidden", "not_yours"}, 404: {"not_found"}}

#          method, route, path, expected for ROLES (302 leads on, nobody to the sign-in)
PAGES = [
    ("get", "", lambda r: "/", (302, 302, 302, 302, 302)),
    ("get", "new/", lambda r: "/new/", (200, 200, 200, 200, 302)),
    ("get", "s/<uuid:session_id>/", lambda r: f"/s/{r.session.pk}/", (200, 200, 200, 404, 302)),
    ("get", "usage/", lambda r: "/usage/", (200, 200, 200, 200, 302)),
    ("get", "setup/", lambda r: "/setup/", (302, 302, 302, 302, 302)),
    ("get", "signup/", lambda r: "/signup/", (302, 302, 302, 302, 404)),
    ("get", "login/", lambda r: "/login/", (302, 302, 302, 302, 200)),
    ("post", "logout/", lambda r: "/logout/", (302, 302, 302, 302, 302)),
    ("get", "invite/<str:token>/", lambda r: f"/invite/{invitation(r).token}/", (200, 200, 200, 200, 200)),
    ("post", "invite/<str:token>/", lambda r: f"/invite/{invitation(r).token}/", (302, 302, 302, 302, 200)),
    ("get", "shared/<str:token>/", lambda r: f"/shared/{shared(r)}/", (200, 200, 200, 200, 200)),
    ("get", "mcp/oauth/callback", lambda r: "/mcp/oauth/callback", (404, 404, 404, 404, 404)),
    ("get", "favicon.ico", lambda r: "/favicon.ico", (302, 302, 302, 302, 302)),
    ("get", "healthz", lambda r: "/healthz", (200, 200, 200, 200, 200)),
    ("get", "readyz", lambda r: "/readyz", (200, 200, 200, 200, 200)),
    ("get", "metrics", lambda r: "/metrics", (200, 200, 200, 200, 200)),
    ("get", "api/docs", lambda r: "/api/docs", (200, 200, 200, 200, 200)),
    ("get", "api/openapi.json", lambda r: "/api/openapi.json", (200, 200, 200, 200, 200)),
    ("get", "api/", lambda r: "/api/", (404, 404, 404, 404, 404)),
]  # fmt: skip

#          what a client sends, the type of frame that answers it for owner, editor, viewer and a reader by the link
FRAMES = [
    ({"type": "ping"}, ("pong", "pong", "pong", "pong")),
    ({"type": "sync"}, ("session.snapshot",) * 4),
    ({"type": "typing", "active": True}, ("typing", "typing", "error", "error")),
    ({"type": "nonsense"}, ("error",) * 4),
]


def invitation(room):
    """One that the owner made."""
    return Invitation.issue(room.session, room.cast["owner"], Role.EDITOR)[0]


def shared(room):
    """The token of the session's share link."""
    return people.share(room.session, room.cast["owner"])[0].token


def another(room):
    """A further participant."""
    user, _ = get_user_model().objects.get_or_create(username="dora")
    Participant.objects.create(session=room.session, user=user, role=Role.EDITOR)
    return user


def user_id(name):
    return get_user_model().objects.get(username=name).pk


@pytest.fixture
def cast(alice, bob, vera, charlie):
    return {"owner": alice, "editor": bob, "viewer": vera, "outsider": charlie, "nobody": None}


@pytest.fixture
def room(cast, worker):
    return Room(cast, worker)


def everything():
    """What a refusal must leave as it was."""
    tables = (ChatSession, Message, ToolCall, Participant, Invitation, Attachment)
    return [list(table.objects.order_by("pk").values()) for table in tables]


@pytest.mark.parametrize("way", ["cookie", "bearer"])
@pytest.mark.parametrize("row", MATRIX, ids=[f"{row[0]} {row[1]}" for row in MATRIX])
def test_each_endpoint_for_each_role(cast, worker, row, way):
    method, _, path_in, body, expected = row
    for role, status in zip(ROLES, expected, strict=True):
        path = path_in(Room(cast, worker))
        call = Caller(cast[role], way)
        before = everything()
        response = call(method, path, body and body())
        assert response.status_code == status, (role, response.content)
        if status >= 400:
            assert problem(response, status, response.json()["code"]) and response.json()["code"] in CODES[status]
            assert everything() == before


@pytest.mark.parametrize("row", [row for row in MATRIX if row[0] != "get"], ids=lambda row: f"{row[0]} {row[1]}")
def test_a_cookie_without_its_csrf_token_changes_nothing(cast, worker, row):
    method, _, path_in, body, _ = row
    path = path_in(Room(cast, worker))
    before = everything()
    problem(Caller(cast["owner"], "cookie", csrf=False)(method, path, body and body()), 403, "forbidden")
    assert everything() == before


@pytest.mark.parametrize("row", PAGES, ids=[f"{row[0]} {row[1]}" for row in PAGES])
def test_each_page_for_each_role(cast, worker, row):
    method, _, path_in, expected = row
    for role, status in zip(ROLES, expected, strict=True):
        path = path_in(Room(cast, worker))
        client = Client()
        if cast[role] is not None:
            client.force_login(cast[role])
        response = getattr(client, method)(path)
        assert response.status_code == status, (role, response.content[:500])


def test_the_matrix_has_every_endpoint(client):
    """Whoever adds an endpoint says here who may call it."""
    paths = client.get("/api/openapi.json").json()["paths"]
    offered = {(method, path.removeprefix("/api")) for path, methods in paths.items() for method in methods}
    assert offered == {(row[0], row[1]) for row in MATRIX}


def test_the_matrix_has_every_url():
    """Also those that OpenAPI doesn't show. (Django's admin asks for permissions of its own.)"""

    def routes(patterns, before=""):
        for pattern in patterns:
            route = before + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from routes(pattern.url_patterns, route)
            elif not route.startswith("admin/"):
                yield route

    shown = {row[1] for row in PAGES}
    api = {"api" + row[1].replace("{", "<").replace("}", ">") for row in MATRIX}
    assert {route.replace("<path:", "<") for route in routes(get_resolver().url_patterns)} == shown | api


# --- the socket ---


@pytest.mark.parametrize("role, code", [("outsider", 4404), ("nobody", 4401)])
def test_who_takes_no_part_is_sent_away_by_the_socket(room, cast, role, code, loop):
    headers = [token_of(cast[role])] if cast[role] else []

    async def scenario():
        async with opened(room.session.pk, *headers) as socket:
            assert await socket.close_code() == code and socket.seen == []

    loop.run(scenario())


@pytest.mark.parametrize("row", FRAMES, ids=lambda row: row[0]["type"])
def test_each_frame_for_each_role(room, cast, row, loop):
    frame, answers = row
    sockets = [joined(room.session, token_of(cast[role])) for role in ROLES[:3]]
    sockets.append(reading(room.session, shared(room)))

    async def scenario():
        for one, answer in zip(sockets, answers, strict=True):
            async with one as socket:
                before = len(socket.seen)
                await socket.send(frame)
                await socket.until(answer)
                assert {seen["type"] for seen in socket.seen[before:]} - {"presence"} == {answer}

    loop.run(scenario())


# What the socket of a session tells, and whether it reaches a reader by the link too: what was said, and nothing else.
TOLD = {
    "session.snapshot": False,  # readers are sent one of their own
    "session.updated": True,
    "session.shared": False,
    "message.created": True,
    "message.updated": True,
    "message.delta": True,
    "message.reasoning_delta": False,
    "message.reset": True,
    "message.tool_calls": True,
    "message.tool_status": False,
    "message.turn_status": False,
    "participant.joined": False,
    "participant.updated": False,
    "participant.left": False,
    "participant.removed": False,
    "presence": False,
    "typing": False,
}


def test_of_what_is_told_only_what_was_said_reaches_readers(room, worker):
    answer = answer_of(ask(room.session, room.cast["owner"]))
    fields = {
        "message": wire.message_json(answer), "session": wire.session_json(room.session, None, running=False),
        "message_id": str(answer.pk), "version": 1, "tool_calls": [], "attempt": 1, "seq": 0, "content": "", "html": [],
    }  # fmt: skip
    passed = {type_ for type_ in TOLD if public.frame(wire.encode(type_, **fields), "token")}
    assert passed == {type_ for type_, reaches in TOLD.items() if reaches}


def test_the_matrix_has_every_frame_that_is_told():
    """Whoever tells something new says here whether it is for the session's people only."""
    code = "".join(path.read_text() for path in Path(consumers.__file__).parent.parent.rglob("*.py"))
    found = set(re.findall(r"""["']((?:session|message|participant)\.[a-z_]+)["']""", code))
    assert found | {"presence", "typing"} == set(TOLD)


def test_the_matrix_has_every_frame():
    """Whoever teaches the socket a frame says here who may send it."""
    known = {frame["type"] for frame, _ in FRAMES} - {"nonsense"}
    assert consumers.SessionConsumer.hears == known
    assert consumers.ReaderConsumer.hears <= known and consumers.ListConsumer.hears <= known
