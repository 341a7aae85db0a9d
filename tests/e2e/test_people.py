"""People in real browsers: roles, links, reading along, and being removed while an answer is written."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.product import ROOT, free_port
from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product, running
from .viewer import Viewer
from .windows import Window

HALF, WHOLE = expected_text("words-n8"), expected_text("words-n20")


@pytest.fixture(scope="module")
def product(provider: ProviderProcess) -> Iterator[Product]:
    with running(provider, ASSISTANT_PRESENCE="3") as process:
        yield process


@pytest.fixture
def windows(product: Product, people: tuple[Person, Person], browser: Browser) -> Iterator[tuple[Window, Window]]:
    with Window.opened(browser, product.url, "alice") as alice, Window.opened(browser, product.url, "bob") as bob:
        yield alice, bob
        assert alice.complaints == []


@pytest.fixture(scope="module")
def people(product: Product) -> Iterator[tuple[Person, Person]]:
    alice, bob = product.people("alice", "bob")
    with alice, bob:
        yield alice, bob


@pytest.mark.browser
def test_who_is_removed_in_mid_stream_sees_a_sentence_and_no_more_text(
    provider: ProviderProcess, windows: tuple[Window, Window], alice: Person, bob: Person
) -> None:
    """Race 35: the question that is being answered is Bob's own."""
    model = tagged("words-n20-hold=8")
    session = alice.new_session(model)
    alice.invite(session, bob)
    hers, his = windows
    for window in windows:
        window.open(f"/s/{session}/")
    his.ask("Mine")
    for window in windows:
        window.expect_answer(HALF)
    hers.page.get_by_role("button", name=re.compile("^People:")).click()
    hers.page.get_by_role("button", name="Remove bob").click()
    hers.page.get_by_role("button", name="Remove", exact=True).click()
    expect(his.page.locator("[data-connection]")).to_contain_text("You are no longer in this session.")
    expect(hers.page.get_by_role("button", name="Remove bob")).to_have_count(0)
    hers.page.keyboard.press("Escape")
    provider.release(model)
    hers.expect_answer(WHOLE)
    his.expect_answer(HALF)
    his.page.reload()
    expect(his.page.get_by_role("heading", name="There is nothing here")).to_be_visible()


@pytest.mark.browser
def test_a_change_of_role_takes_the_composer_away_and_brings_it_back(
    windows: tuple[Window, Window], alice: Person, bob: Person
) -> None:
    session = alice.new_session()
    alice.invite(session, bob)
    hers, his = windows
    for window in windows:
        window.open(f"/s/{session}/")
    expect(his.composer).to_be_visible()
    hers.page.get_by_role("button", name=re.compile("^People:")).click()
    hers.page.get_by_label("Role of bob").select_option("viewer")
    expect(his.composer).to_be_hidden()
    expect(his.page.get_by_text("You are reading along")).to_be_visible()
    expect(his.page.get_by_role("button", name="Invite")).to_be_hidden()
    expect(hers.page.get_by_role("dialog").get_by_role("heading", name="Invite by link")).to_be_visible()
    hers.page.get_by_label("Role of bob").select_option("editor")
    expect(his.composer).to_be_visible()
    his.composer.press_sequentially("I type")
    expect(hers.page.locator("[data-typing]")).to_have_text("bob is typing…")

    hers.page.get_by_role("button", name="Hand over…").click()
    hers.page.get_by_role("button", name="Hand over", exact=True).click()
    expect(hers.page.get_by_role("button", name="Leave the session…")).to_be_visible()
    his.page.get_by_role("button", name=re.compile("^People:")).click()
    expect(his.page.get_by_label("Role of alice")).to_have_value("editor")
    hers.page.get_by_role("button", name="Leave the session…").click()
    hers.page.get_by_role("button", name="Leave", exact=True).click()
    expect(his.page.get_by_label("Role of alice")).to_have_count(0)
    expect(hers.page).not_to_have_url(re.compile(session))


@pytest.mark.browser
def test_whose_account_is_closed_is_told_so_and_keeps_what_was_not_sent(
    alice: Person, browser: Browser, product: Product
) -> None:
    session = alice.new_session()
    (carol,) = product.people("carol")
    with carol:
        alice.invite(session, carol)
    with Window.opened(browser, product.url, "carol") as theirs:
        page = theirs.open(f"/s/{session}/")
        expect(page.locator("[data-connection]")).to_be_hidden()
        theirs.composer.fill("Half a thought")
        product.manage(
            "shell",
            "-c",
            "from django.contrib.auth.models import User as U; U.objects.filter(username='carol').update(is_active=False)",
        )
        theirs.composer.press("Enter")
        expect(page.locator("[data-connection]")).to_contain_text("You are signed out, or your account was closed.")
        expect(page.get_by_role("link", name="Sign in")).to_be_visible()
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
        expect(theirs.composer).to_have_attribute("readonly", "")
        # As a message that was not sent, or still in the composer: that depends on who learned of it first.
        product.wait_for(
            lambda: "Half a thought" in theirs.composer.input_value() + page.locator("main").inner_text(), 20
        )
        expect(page).to_have_url(re.compile(session))


@pytest.mark.browser
def test_drawing_sets_no_control_that_is_right_already(
    provider: ProviderProcess, windows: tuple[Window, Window], alice: Person, bob: Person
) -> None:
    """A browser looks for forms to fill in all over the page each time: in a long session that is most of its work."""
    model = tagged("words-n20-hold=8")
    session = alice.new_session(model)
    alice.invite(session, bob)
    for window in windows:
        page = window.open(f"/s/{session}/")
        expect(page.locator("[data-connection]")).to_be_hidden()
        window.ask("And then?")
        window.expect_answer(HALF, 0)
        page.evaluate(_COUNT_SETTINGS)
    provider.release(model)
    for window in windows:
        window.expect_answer(WHOLE, 1)
        assert window.page.evaluate("settings") == []


_COUNT_SETTINGS = """() => {
  window.settings = [];
  for (const { prototype } of [HTMLSelectElement, HTMLInputElement, HTMLTextAreaElement]) {
    const { get, set } = Object.getOwnPropertyDescriptor(prototype, "value");
    const noted = function (value) {
      settings.push(`${this.outerHTML} = ${value}`);
      set.call(this, value);
    };
    Object.defineProperty(prototype, "value", { get, set: noted });
  }
}"""


@pytest.mark.browser
def test_an_invitation_is_made_listed_used_and_revoked(
    windows: tuple[Window, Window], alice: Person, browser: Browser, product: Product
) -> None:
    session = alice.new_session()
    hers = windows[0]
    hers.open(f"/s/{session}/")
    hers.page.get_by_role("button", name="Invite").click()
    hers.page.get_by_label("Joins as").select_option("viewer")
    hers.page.get_by_label("Lets in").select_option("5")
    hers.page.get_by_role("button", name="Make a link").click()
    expect(hers.page.get_by_label("Invitation link")).to_be_visible()
    link = hers.page.get_by_label("Invitation link").input_value()
    listed = hers.page.get_by_role("list", name="Open invitations").get_by_role("listitem")
    expect(listed).to_contain_text("Viewer · 0 of 5 used")
    with Window.opened(browser, product.url) as guest:
        guest.page.goto(link)
        guest.make_account("frieda", "Make the account and join")
        expect(guest.page.get_by_text("You are reading along")).to_be_visible()
        expect(hers.page.get_by_role("list", name="Who takes part")).to_contain_text("frieda")
    hers.page.keyboard.press("Escape")
    hers.page.get_by_role("button", name="Invite").click()
    expect(listed).to_contain_text("Viewer · 1 of 5 used")
    listed.get_by_role("button", name=re.compile("^Revoke")).click()
    expect(listed).to_have_count(0)
    with Window.opened(browser, product.url) as late:
        late.page.goto(link)
        expect(late.page.get_by_role("heading", name="This invitation doesn’t work any more")).to_be_visible()


@pytest.mark.browser
def test_anybody_reads_along_live_until_the_link_is_ended(
    provider: ProviderProcess, windows: tuple[Window, Window], alice: Person, browser: Browser, product: Product
) -> None:
    model = tagged("words-n20-hold=8")
    session = alice.new_session(model)
    hers = windows[0]
    hers.open(f"/s/{session}/")
    hers.page.get_by_role("button", name="Invite").click()
    hers.page.get_by_label("Anybody with the link reads along").check()
    link = hers.page.get_by_label("Link to read along", exact=True)
    expect(link).to_be_visible()
    url = link.input_value()
    with Window.opened(browser, product.url) as reader:
        reader.page.goto(url)
        expect(reader.page.get_by_text("You are reading along")).to_be_visible()
        expect(hers.page.locator("[data-readers]")).to_have_text("1 reads along by the link.")
        hers.page.keyboard.press("Escape")
        hers.ask("For all to read")
        reader.expect_answer(HALF)
        expect(reader.page.locator("textarea")).to_have_count(0)
        provider.release(model)
        reader.expect_answer(WHOLE)
        hers.page.get_by_role("button", name="Invite").click()
        hers.page.get_by_label("Anybody with the link reads along").uncheck()
        hers.page.get_by_role("button", name="End it").click()
        expect(reader.page.get_by_role("heading", name="This session is no longer shared")).to_be_visible()
        expect(reader.page.get_by_text("For all to read")).to_have_count(0)
        expect(link).to_be_hidden()
        reader.page.reload()
        expect(reader.page.get_by_role("heading", name="This link doesn’t work any more")).to_be_visible()
        assert [text for text in reader.complaints if "404" not in text] == []


def test_who_reads_along_further_up_is_told_of_what_is_said_below(
    alice: Person, browser: Browser, product: Product
) -> None:
    session = alice.new_session(tagged("words-n3"))
    alice.http.patch(f"/api/sessions/{session}", json={"replies": "mention"}).raise_for_status()
    for number in range(30):
        alice.ask(session, f"Message number {number}")
    url = alice.http.post(f"/api/sessions/{session}/share").raise_for_status().json()["url"]
    with Window.opened(browser, product.url) as reader:
        reader.page.goto(url)
        expect(reader.page.locator(".message").last).to_be_in_viewport()
        reader.page.locator("[data-thread]").hover()
        reader.page.mouse.wheel(0, -500)
        expect(reader.page.locator(".message").last).not_to_be_in_viewport()
        alice.ask(session, "Something new")
        below = reader.page.get_by_role("button", name="1 new message")
        below.click()
        expect(reader.page.get_by_text("Something new", exact=True)).to_be_in_viewport()
        assert reader.complaints == []


@pytest.mark.long
def test_two_web_servers_agree_on_who_is_here_and_one_that_is_killed_takes_its_viewers_along(
    product: Product, alice: Person, bob: Person
) -> None:
    """And a removal at one of them disconnects at the other."""
    session = alice.new_session()
    alice.invite(session, bob)
    ids = {person.name: person.http.get("/api/me").json()["id"] for person in (alice, bob)}
    port = free_port()
    environment = product.environment | {"PYTHONPATH": str(ROOT)}
    other = subprocess.Popen(
        [sys.executable, "-m", "assistant.web", "--port", str(port)], cwd=ROOT, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with alice.view(session) as a:
            his = Viewer(f"ws://127.0.0.1:{port}", bob.token, session)
            with his:
                a.wait_for(lambda: a.view.online == sorted(ids.values()))
                other.kill()
                other.wait()
                a.wait_for(lambda: a.view.online == [ids["alice"]])
            other = subprocess.Popen(
                [sys.executable, "-m", "assistant.web", "--port", str(port)], cwd=ROOT, env=environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            with Viewer(f"ws://127.0.0.1:{port}", bob.token, session) as his:
                removed = alice.http.delete(f"/api/sessions/{session}/participants/{ids['bob']}")
                assert removed.status_code == 204
                his.wait_for(lambda: his.is_over)
                assert his.codes[-1] == 4403
    finally:
        other.kill()
        other.wait()
