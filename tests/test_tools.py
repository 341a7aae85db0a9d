"""Tools as they are declared, and those that come with the product."""

import asyncio
import dataclasses
import http.server
import sys
import threading
import types
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from assistant.checks import configuration
from assistant.lifecycle import asking
from assistant.models.attachment import StoredFile
from assistant.toolbox import registry
from assistant.tools import Context, Result, Service, ToolError, page, reach
from assistant.tools.calculator import evaluate, written
from assistant.tools.clock import current_time
from assistant.tools.reach import is_public
from assistant.tools.recall import search_session
from assistant.tools.web import fetch_page
from tests.acting import answer_of, ask, claimed, finish
from tests.files import uploaded


def context(session_id=None):
    return Context(session_id or uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), None, {})


# --- declaring ---


def test_the_schema_comes_from_type_hints_and_the_docstring():
    service = Service("s", title="S")

    @service.tool(title="Book")
    def book(context: Context, city: str, nights: int = 1) -> str:
        """Books a room.

        city: where
        """
        return f"{city} for {nights}"

    offered = service.tools[0].offered
    assert (offered.name, offered.description) == ("book", "Books a room.")
    assert offered.schema["properties"] == {
        "city": {"type": "string", "description": "where"},
        "nights": {"type": "integer", "default": 1},
    }
    assert offered.schema["required"] == ["city"] and offered.doing == "Book"
    assert offered.run(context(), {"city": "Rome", "nights": 2}) == Result("Rome for 2", "Rome for 2")
    with pytest.raises(ToolError, match="city"):
        offered.run(context(), {})


def test_what_can_not_be_offered_is_refused_where_it_is_declared():
    service = Service("s", title="S")
    with pytest.raises(TypeError, match="docstring"):
        service.tool(title="x")(without_docstring)
    with pytest.raises(TypeError, match="type hint"):
        service.tool(title="x")(without_hint)
    with pytest.raises(ValueError, match="name"):
        Service("no spaces", title="x")


def without_docstring() -> None: ...


def without_hint(city) -> None:
    """Has no hint."""


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ASSISTANT_TOOLS", ["no.such.module"], "'no.such.module' can't be imported"),
        ("ASSISTANT_TOOLS", ["assistant.conf"], "has no Service"),
        ("ASSISTANT_TOOLS", ["assistant.tools.clock", "assistant.tools.clock"], "two services"),
        ("ASSISTANT_SERVICES", ["telepathy"], "no service 'telepathy'"),
        ("ASSISTANT_USER_CONTEXT", "no.such.hook", "can't be imported"),
    ],
)
def test_a_wrong_setting_fails_a_check_with_a_sentence(settings, name, value, says):
    setattr(settings, name, value)
    registry.services_of.cache_clear()
    (problem,) = configuration.tools_can_be_had(None)
    assert says in problem.msg and problem.id == "assistant.E004"


def test_the_services_that_come_with_the_product_pass_the_check():
    assert configuration.tools_can_be_had(None) == []
    assert list(registry.services()) == ["clock", "calculator", "recall", "web"]


# --- the clock and the calculator ---


def test_the_clock_knows_time_zones():
    assert "+09:00 (Asia/Tokyo)" in current_time("Asia/Tokyo").text
    for wrong in ("Mars/Base", "../etc/passwd", "", "Europe"):
        with pytest.raises(ToolError):
            current_time(wrong)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("0.1 + 0.2", "0.3"), ("2 + 3 * 4", "14"), ("-2^2", "-4"), ("2^-2", "0.25"), ("7 // 2", "3"), ("7 % 4", "3"),
        ("5!", "120"), ("sqrt(16)", "4"), ("round(2.567, 2)", "2.57"), ("max(1, 2) + abs(-3)", "5"), ("2**10", "1024"),
        ("1e3 × 2", "2000"), ("1/3", "0.333333333333333 (= 1/3)"), ("2^3^2", "512"),
    ],
)  # fmt: skip
def test_the_calculator_calculates_exactly(expression, value):
    assert written(evaluate(expression)) == value


@pytest.mark.parametrize(
    "expression",
    ["9**9**9", "9^9^9^9", "(9^999)^999", "500!!", "10^-99999", "1/0", "(1+2", "import os", "__import__('os')", "", "2 2",
     "sqrt(-1)", "(-8)^(1/3)", "sqrt", "sqrt(1,2)", "(" * 500, "-" * 999, "1e9999", "2^0.5^-99999"],
)  # fmt: skip
def test_what_is_undefined_too_large_or_no_arithmetic_is_refused_at_once(expression):
    with pytest.raises(ToolError):
        evaluate(expression)


@limits(deadline=None)  # the machine may be busy
@given(st.text("0123456789.+-*/%^!(), einpqrstuxmaglco", max_size=40))
def test_whatever_is_written_ends_in_a_number_or_a_refusal(expression):
    with suppress(ToolError):
        assert written(evaluate(expression))


# --- the session's memory ---


@pytest.mark.django_db(transaction=True)
def test_the_session_is_searched_and_no_other(session, alice, worker):
    from assistant.models import ChatSession

    finish(claimed(answer_of(ask(session, alice, "The code is Kiwi 7")), worker), "Noted.")
    other = ChatSession.objects.create()
    assert "Kiwi 7" in search_session(context(session.pk), "kiwi").text
    assert search_session(context(session.pk), "code mango").summary == "Nothing found"
    assert search_session(context(other.pk), "kiwi").summary == "Nothing found"
    with pytest.raises(ToolError):
        search_session(context(session.pk), "  ")


@pytest.mark.django_db(transaction=True)
def test_files_that_were_sent_are_searched_too(session, alice):
    sent = uploaded(alice, session=session)
    asking.send(session, alice, "Read this", uuid.uuid4().hex, attachments=[sent.pk])
    StoredFile.objects.filter(pk=sent.file_id).update(text="The parrot is called Coco.")
    found = search_session(context(session.pk), "parrot").text
    assert "Coco" in found and sent.name in found and "alice" in found
    unsent = uploaded(alice, session=session)
    StoredFile.objects.filter(pk=unsent.file_id).update(text="A secret zebra.")
    assert search_session(context(session.pk), "zebra").summary == "Nothing found"


# --- pages ---


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
     "192.0.2.1", "240.0.0.1"],
)  # fmt: skip
def test_no_address_of_an_inner_network_is_public(address):
    assert not is_public(address)


def test_public_addresses_are_public():
    assert all(map(is_public, ["8.8.8.8", "1.1.1.1", "2606:4700::1111"]))


class _Site(http.server.BaseHTTPRequestHandler):
    pages: dict = {}
    asked: list = []

    def do_GET(self):
        self.asked.append(self.path)
        status, headers, body = self.pages[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *args): ...


@contextmanager
def site(pages, allowed=True):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Site", (_Site,), {"pages": pages, "asked": []}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    door = ("127.0.0.1", server.server_port)
    if allowed:
        reach.allowed_in_tests.add(door)
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.RequestHandlerClass.asked
    finally:
        reach.allowed_in_tests.discard(door)
        server.shutdown()
        server.server_close()


HTML = {"Content-Type": "text/html; charset=utf-8"}


def read(url):
    return asyncio.run(fetch_page(context(), url))


def test_a_page_becomes_its_text():
    body = "<html><head><title>Fruit</title><style>x</style></head><body><script>evil()</script><h1>Kiwis</h1>"
    body += "<p>Green &amp; sweet. <a href='/more'>More</a></p><ul><li>one<li>two</ul></body></html>"
    with site({"/": (200, HTML, body.encode())}) as (url, _):
        result = read(url + "/")
    assert result.summary == "Fruit" and "# Kiwis" in result.text and "Green & sweet." in result.text
    assert f"[More]({url}/more)" in result.text and "- one" in result.text and "evil" not in result.text


def test_what_a_page_shows_as_markup_is_not_read_as_markup_again():
    """`&amp;lt;` is how a page writes `&lt;`: what somebody explains about escaping stays right."""
    body = (
        b"<title>&amp;amp;</title><p>Write &amp;lt;b&amp;gt; to show &lt;b&gt;.</p><a href='/?a=1&amp;amp;b=2'>x</a>"
    )
    title, text = page.read(body, "http://example.org/", None, is_html=True)
    assert title == "&amp;"
    assert text == "Write &lt;b&gt; to show <b>.\n\n[x](http://example.org/?a=1&amp;b=2)"


DOCUMENTATION = """
<html><head><title>Retrying</title></head><body class="cookie-banner">
<div id="cookie-consent" class="cookie-banner"><div><p>We and our 842 partners use cookies.</p></div></div>
<header role="banner"><a href="/">mylib</a></header>
<div class="sidebar"><ul><li><a href="install.html">Installation</a></li></ul></div>
<div role="main"><section><h1>Retrying calls</h1><p>Use <code>retry()</code>:</p>
<table><tr><th>Name</th><th>Default</th></tr><tr><td>times</td><td>3</td></tr></table>
<div class="highlight"><pre>
<span>@retry</span>(times=5)
<span>def</span> fetch(url):

    <span>return</span> a &lt; b
</pre></div>
<aside class="note">Only the last exception is raised.</aside>
<p hidden>Not shown.</p><p style="display: none">Nor this.</p>
<a href="api.html"><h2>The API</h2><p>All of it.</p></a></section></div>
<aside>Related: <a href="/x">x</a></aside><footer>Imprint</footer></body></html>
"""


def test_of_a_page_of_documentation_its_own_part_is_read_with_its_tables_and_its_code():
    _, text = page.read(DOCUMENTATION.encode(), "http://example.org/", None, is_html=True)
    assert text.split("\n\n") == [
        "# Retrying calls",
        "Use retry():",
        "| Name | Default\n| times | 3",
        "```\n@retry(times=5)\ndef fetch(url):",
        "    return a < b\n```",
        "Only the last exception is raised.",
        "## [The API](http://example.org/api.html)",
        "All of it.",
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        # Two stories and a whole page that calls one sentence its main part: nothing of the rest is left out.
        (f"<main>Menu</main><p>{'News. ' * 30}</p>", "Menu" + "\n\n" + ("News. " * 30).strip()),
        # A banner that never ends, and one that has the page in it.
        ("<div class=cookie-banner><p>We use cookies.<p>Words", "We use cookies.\n\nWords"),
        ("<div class=gdpr-overlay><p>We use cookies.</p><h1>Words</h1></div>", "# Words"),
        ("<ul><li><a href=/a><img src=x></a><li><a href=/b>B</a></ul>", "- [B](http://example.org/b)"),
        ("<nav>Home<div>About</nav><p>Words</p>", "Words"),
        ("<pre>a\n\n\n", "```\na"),
    ],
)
def test_nothing_is_left_out_that_may_be_what_was_asked_for(body, text):
    assert page.read(body.encode(), "http://example.org/", None, is_html=True)[1] == text


def test_a_server_of_this_machine_is_not_reached():
    with site({"/": (200, HTML, b"secret")}, allowed=False) as (url, asked):
        port = url.rpartition(":")[2]
        reach.allowed_in_tests.add(("192.0.2.7", int(port)))  # so that the port itself is no reason
        try:
            for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"):
                with pytest.raises(ToolError):
                    read(f"http://{host}:{port}/")
        finally:
            reach.allowed_in_tests.discard(("192.0.2.7", int(port)))
    assert asked == []


def test_a_redirect_to_an_inner_address_is_not_followed():
    with site({"/": (200, HTML, b"secret")}, allowed=False) as (inner, asked):
        reach.allowed_in_tests.add(("192.0.2.7", int(inner.rpartition(":")[2])))  # so that the port is no reason
        with site({"/": (302, {"Location": inner + "/"}, b"")}) as (url, _), pytest.raises(ToolError, match="public"):
            read(url + "/")
        reach.allowed_in_tests.clear()
    assert asked == []


def test_a_name_that_changes_its_address_gains_nothing(monkeypatch):
    """The connection goes to the address that was looked at: the name is asked once for each connection."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    asked = []

    async def getaddrinfo(self, host, port, **kwargs):
        asked.append(host)
        return [(2, 1, 6, "", (next(answers), port))]

    async def connect_tcp(self, host, port, *args, **kwargs):
        connected.append(host)
        raise OSError("no network here")

    connected: list = []
    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(reach.httpcore.AnyIOBackend, "connect_tcp", connect_tcp)
    with pytest.raises(ToolError):
        read("http://rebinding.example/")
    assert (asked, connected) == (["rebinding.example"], ["93.184.216.34"])


def test_redirects_and_bytes_are_bounded(monkeypatch):
    monkeypatch.setattr("assistant.tools.web.MOST_BYTES", 1000)
    pages = {"/loop": (302, {"Location": "/loop"}, b""), "/big": (200, HTML, b"word " * 100_000)}
    with site(pages) as (url, asked):
        with pytest.raises(ToolError, match="redirects too often"):
            read(url + "/loop")
        assert len(asked) == reach.MOST_REDIRECTS + 1
        assert "The page goes on" in read(url + "/big").text


@pytest.mark.parametrize("url", ["ftp://example.org/", "file:///etc/passwd", "http://", "http://a:b@example.org/", "x",
                                 "http://example.org:22/", "http://[", "http://example.org/\x01",
                                 "http://ex\u2028ample.org/", "http://example.org/" + "a" * 3000])  # fmt: skip
def test_what_is_no_address_of_a_page_is_refused(url):
    with pytest.raises(ToolError):
        read(url)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Content-Type": "image/png"}, 200), (HTML | {"Content-Encoding": "gzip"}, 200), (HTML, 404), (HTML, 500)],
)
def test_what_is_no_text_or_no_page_is_told_in_a_sentence(headers, status):
    with site({"/": (status, headers, b"\x89PNG")}) as (url, _), pytest.raises(ToolError):
        read(url + "/")


@pytest.mark.parametrize("charset", ["latin-1", "utf-7", "idna", "punycode", "hex", "x-unknown", "unicode_escape"])
def test_a_page_may_claim_any_charset(charset):
    headers = {"Content-Type": f"text/html; charset={charset}"}
    with site({"/": (200, headers, b"<p>Words and +2AA- more \\ud800</p>")}) as (url, _):
        assert "Words and" in read(url + "/").text


def test_a_page_that_would_be_read_for_hours_is_given_up_and_delays_nobody(monkeypatch):
    monkeypatch.setattr("assistant.tools.web.READING_SECONDS", 1.0)
    turns = 0

    async def others():
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    async def scenario(url):
        beside = asyncio.create_task(others())
        with pytest.raises(ToolError, match="tangled"):
            await fetch_page(context(), url)
        beside.cancel()

    with site({"/": (200, HTML, b"<a b='" * 300_000)}) as (url, _):
        asyncio.run(scenario(url + "/"))
    assert turns > 10  # it was not this loop that read


@limits(deadline=None)  # the machine may be busy
@given(st.binary(max_size=300))
def test_whatever_bytes_come_give_a_text(body):
    title, text = page.read(body, "http://example.org/", None, is_html=True)
    assert isinstance(title, str) and isinstance(text, str)


# --- the guide ---


def test_the_guide_s_example_works(settings, monkeypatch):
    """The first block of Python in docs/tools.md, as a module that ASSISTANT_TOOLS names."""
    guide = (Path(__file__).parents[1] / "docs" / "tools.md").read_text()
    module = types.ModuleType("orders_of_the_guide")
    exec(guide.split("```python\n")[1].split("```")[0], vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.ASSISTANT_TOOLS = [module.__name__]
    find, cancel = registry.offered(["orders"]).values()
    asker = dataclasses.replace(context(), user=get_user_model()(username="alice"))
    assert find.run(asker, {"number": 7}).text == "Order 7 of alice: on its way."
    with pytest.raises(ToolError, match="no order 8"):
        find.run(asker, {"number": 8})
    assert find.is_idempotent and cancel.needs_approval and cancel.is_async
    assert find.schema["properties"]["number"]["description"] == "the order's number, as printed on the invoice"
    assert asyncio.run(cancel.run(asker, {"number": 7})).text == "Order 7 is cancelled."
