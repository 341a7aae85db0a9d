"""The pages: who sees which, what they may load, and how much that is over the wire."""

import gzip
import posixpath
import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import brotli
import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from assistant.lifecycle import people
from assistant.models import ChatSession, Invitation, Participant
from assistant.models.participant import Role
from tests.acting import ask

pytestmark = pytest.mark.django_db(transaction=True)

MOST_BYTES = 60_000  # of script and style that a session's page loads
CSS, JS = "text/css", "text/javascript"


class Page(HTMLParser):
    """What a page loads, and what it holds that a strict policy forbids."""

    def __init__(self, html):
        super().__init__()
        self.scripts, self.styles, self.inline = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        is_data = given.get("type") in ("application/json", "importmap")
        if tag == "script" and not given.get("src") and not is_data:
            self.inline.append("script")
        if tag == "script" and given.get("src"):
            self.scripts.append(given["src"])
        if tag == "link" and given.get("rel") == "stylesheet":
            self.styles.append(given["href"])
        if tag == "style":
            self.inline.append("style")
        for name, value in attributes:
            if name == "style" or name.startswith("on") or (value or "").strip().lower().startswith("javascript:"):
                self.inline.append(f"{tag} {name}={value}")


def html_of(response):
    return response.content.decode()


def body_of(response):
    """The bytes of a file, whose handle is closed then."""
    sent = b"".join(response.streaming_content) if response.streaming else response.content
    response.close()
    return sent


# --- who sees what ---


def test_home_leads_nobody_to_the_sign_in(client, alice):
    assert client.get("/")["Location"] == "/login/"


def test_home_is_the_session_where_something_was_said_last(client, session, alice):
    client.force_login(alice)
    assert client.get("/")["Location"] == f"/s/{session.pk}/"
    later = ChatSession.objects.create(title="Later")
    Participant.objects.create(session=later, user=alice, role=Role.OWNER)
    assert client.get("/")["Location"] == f"/s/{later.pk}/"
    ask(session, alice)
    assert client.get("/")["Location"] == f"/s/{session.pk}/"


def test_home_of_somebody_without_a_session_is_a_new_one(client, charlie):
    client.force_login(charlie)
    assert client.get("/")["Location"] == "/new/"
    page = html_of(client.get("/new/"))
    assert "What would you like to talk about?" in page and "Your sessions will stand here." in page


@pytest.mark.parametrize("name", ["alice", "bob", "vera"])
def test_who_takes_part_sees_the_session_and_only_their_own_list(client, session, name):
    user = get_user_model().objects.get(username=name)
    ChatSession.objects.create(title="Somebody else's room")
    client.force_login(user)
    response = client.get(f"/s/{session.pk}/")
    page = html_of(response)
    assert response.status_code == 200 and f'data-session-id="{session.pk}"' in page
    assert "<title>A room · Parley</title>" in page and "Somebody else" not in page and name in page
    assert "csrftoken" in response.cookies, "the script sends it back"
    assert "no-store" in response["Cache-Control"]


def test_an_outsider_gets_the_same_page_for_a_session_that_is_and_one_that_is_not(client, session, charlie):
    client.force_login(charlie)
    there, not_there = client.get(f"/s/{session.pk}/"), client.get(f"/s/{ChatSession().pk}/")
    assert there.status_code == not_there.status_code == 404
    assert html_of(there) == html_of(not_there) and "A room" not in html_of(there)


@pytest.mark.parametrize("path", ["/s/{}/", "/new/"])
def test_nobody_is_asked_to_sign_in_and_led_back(client, session, path):
    url = path.format(session.pk)
    assert client.get(url)["Location"] == f"/login/?next={url}"


def test_who_was_removed_no_longer_sees_the_session(client, session, bob):
    client.force_login(bob)
    assert client.get(f"/s/{session.pk}/").status_code == 200
    session.participants.filter(user=bob).delete()
    assert client.get(f"/s/{session.pk}/").status_code == 404


@pytest.mark.parametrize("path", ["/", "/new/", "/s/{}/"])
def test_pages_are_only_read(client, session, alice, path):
    client.force_login(alice)
    assert client.post(path.format(session.pk)).status_code == 405


def test_what_people_wrote_is_text_and_not_markup(client, session, alice):
    ChatSession.objects.update(title="<script>alert(1)</script>\"'><img src=x onerror=alert(1)>")
    alice.first_name = "<b>Alice</b>"
    alice.save()
    client.force_login(alice)
    page = html_of(client.get(f"/s/{session.pk}/"))
    assert "<script>alert" not in page and "<img src=x" not in page and "<b>Alice" not in page
    assert not Page(page).inline


def test_the_page_needs_no_more_queries_for_more_sessions(client, session, alice, django_assert_num_queries):
    client.force_login(alice)
    for _ in range(20):
        Participant.objects.create(session=ChatSession.objects.create(), user=alice, role=Role.OWNER)
    with django_assert_num_queries(4):  # the cookie's session, the user, the session, the list
        client.get(f"/s/{session.pk}/")


# --- the policy ---


def every_page(client, session, alice, monkeypatch):
    """(what, response) of every page there is, as nobody and as somebody, in good and in bad times."""
    token = Invitation.issue(session, alice, Role.EDITOR)[1]
    shared = f"/shared/{people.share(session, alice)[0].token}/"
    for url in ("/login/", "/signup/", f"/invite/{token}/", "/invite/over/", "/nowhere/", shared, "/shared/over/"):
        yield url, client.get(url)
    yield "errors", client.post("/login/", {"username": "x"})
    yield "400", client.get("/", headers={"host": "evil.example"})
    yield "403 form", Client(enforce_csrf_checks=True).post("/login/")
    client.force_login(alice)
    for url in ("/new/", f"/s/{session.pk}/", f"/invite/{token}/", "/s/0/", "/api/docs"):
        yield f"alice {url}", client.get(url)
    alice.is_staff = True
    alice.save()
    yield "403", client.get("/admin/assistant/chatsession/")
    alice.is_superuser = True
    alice.save()
    for url in ("", "assistant/chatsession/", f"assistant/chatsession/{session.pk}/change/"):
        yield f"admin {url}", client.get(f"/admin/{url}")
    with monkeypatch.context() as broken:
        broken.setattr("assistant.pages.views.render", lambda *_args, **_kwargs: 1 / 0)
        client.raise_request_exception = False
        yield "500", client.get("/new/")
    get_user_model().objects.all().delete()
    yield "setup", Client().get("/setup/")


def test_every_page_has_a_policy_without_inline_and_keeps_to_it(client, session, alice, monkeypatch, settings):
    settings.ASSISTANT_SIGNUP = "open"
    seen = {}
    for what, response in every_page(client, session, alice, monkeypatch):
        seen[what] = response.status_code
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy, what
        for directive in ("object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"):
            assert directive in policy, what
        assert response["X-Content-Type-Options"] == "nosniff", what
        assert response["Referrer-Policy"] == "same-origin", what
        page = Page(html_of(response))
        assert not page.inline, (what, page.inline)
        assert all(re.match("/(static|admin)/", url) for url in page.scripts + page.styles), what
    assert {200, 400, 403, 404, 422, 500} == set(seen.values()), seen


# --- errors ---


def test_errors_have_pages_that_say_what_to_do(client, session, alice, monkeypatch):
    expected = {
        "/nowhere/": "There is nothing here",
        "400": "That request made no sense",
        "403 form": "The form was too old",
        "403": "This is not open to you",
        "500": "Something broke on our side",
    }
    pages = {what: html_of(response) for what, response in every_page(client, session, alice, monkeypatch)}
    for what, sentence in expected.items():
        assert f"<h1>{sentence}</h1>" in pages[what] and 'href="/"' in pages[what], what
        assert "Traceback" not in pages[what] and "ZeroDivisionError" not in pages[what]


# --- over the wire ---


def test_pages_are_compressed_for_those_who_can_read_that(client, session, alice):
    client.force_login(alice)
    packed = client.get(f"/s/{session.pk}/", headers={"accept-encoding": "gzip"})
    assert packed["Content-Encoding"] == "gzip" and "Accept-Encoding" in packed["Vary"]
    assert f'data-session-id="{session.pk}"' in gzip.decompress(packed.content).decode()
    assert "Content-Encoding" not in client.get(f"/s/{session.pk}/")


FILES = ["/static/assistant/js/session.js", "/static/assistant/css/base.css", "/static/assistant/mark.svg"]


@pytest.mark.parametrize("url", FILES)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_file_is_asked_for_again_each_time_and_sent_again_only_if_it_has_changed(client, url, encoding):
    headers = {"accept-encoding": encoding}
    first = client.get(url, headers=headers)
    assert first.status_code == 200 and "max-age=0" in first["Cache-Control"] and body_of(first)
    again = client.get(url, headers=headers | {"if-none-match": first["ETag"]})
    assert again.status_code == 304 and not body_of(again)
    as_old = {"if-none-match": first["ETag"], "if-modified-since": first["Last-Modified"]}
    assert client.get(url, headers=headers | as_old).status_code == 304
    changed = client.get(url, headers=headers | {"if-none-match": '"another"'})
    assert changed.status_code == 200 and body_of(changed)


def test_files_have_the_types_that_browsers_insist_on(client):
    for url, kind in zip(FILES, (JS, CSS, "image/svg+xml"), strict=True):
        response = client.get(url)
        assert response["Content-Type"].split(";")[0] == kind and response["X-Content-Type-Options"] == "nosniff"
        body_of(response)


def loaded_by(client, html, later=True):
    """Every file of script and style that a page loads, with its bytes over the wire, compressed.

    `later`: also what it loads only when somebody opens something (`import()`).
    """
    page = Page(html)
    waiting, sizes = page.scripts + page.styles, {}
    while waiting:
        url = waiting.pop()
        if url in sizes:
            continue
        response = client.get(url, headers={"accept-encoding": "gzip, br"})  # as every browser says
        assert response.status_code == 200, url
        sent = body_of(response)
        sizes[url] = len(sent)
        text = (brotli.decompress(sent) if response.get("Content-Encoding") == "br" else sent).decode()
        if posixpath.splitext(url)[1] == ".js":
            found = re.findall(r"""\b(?:from|import)\s*["'](\.[^"']+)["']""", text)
            if later:
                found += re.findall(r"""\bimport\s*\(\s*["'](\.[^"']+)["']""", text)
        else:
            found = re.findall(r"""@import\s+(?:url\()?["']?([^"')]+)""", text)
        waiting += [urljoin(url, name) for name in found]
    return sizes


def test_a_session_loads_less_than_60_kb_of_script_and_style(client, session, alice):
    client.force_login(alice)
    sizes = loaded_by(client, html_of(client.get(f"/s/{session.pk}/")), later=False)
    assert len(sizes) > 20 and any(url.endswith("state/reducer.js") for url in sizes), "imports are followed"
    assert sum(sizes.values()) < MOST_BYTES, sorted(sizes.items(), key=lambda entry: -entry[1])


def test_every_file_of_script_and_style_is_used_by_a_page(client, session, alice):
    from django.contrib.staticfiles import finders

    client.force_login(alice)
    used = {
        url
        for path in ("/new/", f"/s/{session.pk}/", "/usage/")
        for url in loaded_by(client, html_of(client.get(path)))
    } | set(loaded_by(Client(), html_of(Client().get("/login/"))))
    shared = f"/shared/{people.share(session, alice)[0].token}/"
    used |= set(loaded_by(Client(), html_of(Client().get(shared))))
    there = {
        f"/static/{path}"
        for finder in finders.get_finders()
        for path, _ in finder.list([])
        if path.startswith("assistant/") and path.endswith((".js", ".css"))
    }
    assert there == used
