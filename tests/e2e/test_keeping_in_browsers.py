"""Finding and keeping, as it looks in real browsers: unread marks, search, links, forks, asking anew, archive, export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product
from .windows import Frames, Window

pytestmark = pytest.mark.browser

LONG = 190  # messages: more than three pages of history


@pytest.fixture
def windows(product: Product, browser: Browser, people: tuple[Person, Person]) -> Iterator[tuple[Window, Window]]:
    with Window.opened(browser, product.url, "alice") as one, Window.opened(browser, product.url, "bob") as two:
        yield one, two
        assert one.complaints + two.complaints == []


@pytest.fixture
def window(product: Product, browser: Browser, people: tuple[Person, Person]) -> Iterator[Window]:
    with Window.opened(browser, product.url, "alice") as one:
        yield one
        assert one.complaints == []


def opened(window: Window, session: str, hash_: str = "") -> Page:
    page = window.open(f"/s/{session}/{hash_}")
    expect(page.locator("[data-connection]")).to_be_hidden()
    return page


def listed(page: Page, session: str) -> Locator:
    """The session in the list."""
    return page.locator(f".session-item[data-id='{session}']")


def badge(page: Page, session: str) -> Locator:
    return listed(page, session).locator("[data-part=unread]")


def questions(page: Page) -> Locator:
    return page.locator(".message.is-question [data-part=body]")


def talk(person: Person, session: str, count: int, needle_at: int) -> list[str]:
    """`count` messages without an answer, of which one says "needle"; their ids."""
    person.http.patch(f"/api/sessions/{session}", json={"replies": "mention"}).raise_for_status()
    texts = ["There is a needle here" if i == needle_at else f"Message number {i}" for i in range(count)]
    return [person.ask(session, text)["message"]["id"] for text in texts]


def choose(page: Page, opener: Locator, item: str) -> None:
    opener.click()
    page.get_by_role("menuitem", name=item).click()


def more(page: Page, message: str) -> Locator:
    element = page.locator(f"#message-{message}")
    element.hover()
    return element.get_by_role("button", name="More for this message")


def test_an_unread_mark_appears_live_and_goes_when_the_session_is_looked_at(
    windows: tuple[Window, Window], alice: Person, bob: Person
) -> None:
    session = alice.new_session(tagged("words-n3"))
    one, two = windows
    reader = two.open("/new/")
    alice.invite(session, bob)
    expect(listed(reader, session)).to_be_visible()
    expect(badge(reader, session)).to_be_hidden()
    asker = opened(one, session)
    one.ask("What is a lease?")
    one.expect_answer(expected_text("words-n3"))
    expect(badge(reader, session)).to_have_text("2 unread")
    expect(listed(reader, session).locator("[data-part=title]")).to_have_text("What is a lease?")
    expect(badge(asker, session)).to_be_hidden()
    listed(reader, session).locator("[data-part=link]").click()
    two.expect_answer(expected_text("words-n3"))
    expect(badge(reader, session)).to_be_hidden()
    reader.goto(f"{two.url}/new/")
    expect(listed(reader, session)).to_be_visible()
    expect(badge(reader, session)).to_be_hidden()
    two.complaints[:] = [text for text in two.complaints if "WebSocket" not in text]


def test_what_one_is_looking_at_has_no_unread_mark(window: Window, alice: Person, bob: Person) -> None:
    session = alice.new_session(tagged("words-n3"))
    alice.invite(session, bob)
    page = opened(window, session)
    page.route(
        "**/api/sessions/*/read", lambda route: route.fulfill(json={})
    )  # the server never hears that it was read
    bob.wait_for_end(bob.asked(session, "@alice look"))
    alice.http.patch(f"/api/sessions/{session}", json={"title": "Told after it"}).raise_for_status()
    expect(listed(page, session).locator("[data-part=title]")).to_have_text("Told after it")
    expect(badge(page, session)).to_be_hidden()


def test_who_is_mentioned_sees_it_in_the_list(windows: tuple[Window, Window], alice: Person, bob: Person) -> None:
    session = alice.new_session(tagged("words-n3"))
    alice.invite(session, bob)
    alice.http.patch(f"/api/sessions/{session}", json={"replies": "mention"})
    page = windows[1].open("/new/")
    alice.ask(session, "@bob have you seen this?")
    expect(badge(page, session)).to_have_text("@ 1 unread, you are mentioned")


def test_search_finds_an_old_message_and_jumps_to_it(window: Window, alice: Person) -> None:
    session = alice.new_session()
    ids = talk(alice, session, LONG, needle_at=7)
    page = opened(window, session)
    expect(questions(page).last).to_have_text(f"Message number {LONG - 1}")
    page.keyboard.press("Control+k")
    page.get_by_label("Search in all of your sessions").fill("there nee")
    found = page.locator(".found").filter(has_text="needle").first
    expect(found.locator("mark")).to_have_text(["There", "needle"])
    page.keyboard.press("ArrowDown")
    while not found.evaluate("element => element === document.activeElement"):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"#message-{ids[7]}$"))
    target = page.locator(f"#message-{ids[7]}")
    expect(target).to_be_in_viewport()
    expect(target).to_be_focused()
    expect(target).to_have_class(re.compile("is-marked"))

    gap = page.locator(".gap")
    expect(gap).to_have_count(1)
    page.get_by_role("button", name="Go on from above").click()
    expect(page.locator(f"#message-{ids[50]}")).to_be_attached()
    for first in (140, 90):  # what is loaded below the gap begins there
        expect(page.locator(f"#message-{ids[first]}")).to_be_attached()
        expect(gap).to_have_count(1)
        page.get_by_role("button", name="Go back from below").click()
    expect(gap).to_have_count(0)
    expect(questions(page)).to_have_text(
        ["There is a needle here" if i == 7 else f"Message number {i}" for i in range(LONG)]
    )


def test_a_link_opens_the_session_at_its_message(windows: tuple[Window, Window], alice: Person, bob: Person) -> None:
    session = alice.new_session()
    ids = talk(alice, session, LONG, needle_at=3)
    alice.invite(session, bob)
    one, two = windows
    one.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened(one, session)
    choose(page, more(page, ids[-2]), "Copy a link to it")
    expect(page.get_by_text("Link copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{one.url}/s/{session}/#message-{ids[-2]}"
    other = opened(two, session, f"#message-{ids[3]}")
    expect(other.locator(f"#message-{ids[3]}")).to_be_in_viewport()
    expect(other.locator(".gap")).to_have_count(1)
    other.evaluate("location.hash = 'message-00000000-0000-7000-8000-000000000000'")
    expect(other.get_by_text("The message that was linked to isn’t here.")).to_be_visible()
    two.complaints[:] = [text for text in two.complaints if "422" not in text]


def test_a_fork_begins_where_it_was_made(window: Window, alice: Person, bob: Person) -> None:
    session = alice.new_session(tagged("words-n3"))
    alice.invite(session, bob)
    for text in ("one", "two"):
        alice.wait_for_end(alice.asked(session, text))
    first_answer = alice.messages(session)[1]["id"]
    page = opened(window, session)
    choose(page, more(page, first_answer), "Fork from here")
    expect(page).not_to_have_url(re.compile(session))
    expect(page.locator("[data-title]")).to_have_text("Fork of one")
    expect(questions(page)).to_have_text(["one"])
    window.expect_answer(expected_text("words-n3"))
    window.ask("another way")
    expect(page.locator(".message.is-answer [data-part=body]").nth(1)).to_have_text(expected_text("words-n3"))
    assert [m["content"] for m in alice.messages(session)[::2]] == ["one", "two"]


def test_one_s_last_question_is_asked_anew(
    windows: tuple[Window, Window], provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    model = tagged("words-n12-hold=6")
    session = alice.new_session(model)
    alice.invite(session, bob)
    one, two = windows
    page, other = opened(one, session), opened(two, session)
    one.ask("with a tpyo")
    one.expect_answer(expected_text("words-n6"))
    page.locator(".message.is-question").hover()
    page.get_by_role("button", name="Edit, and ask again").click()
    field = page.get_by_label("Your question")
    expect(field).to_have_value("with a tpyo")
    field.fill("with a typo")
    page.get_by_role("button", name="Ask again").click()
    expect(questions(page)).to_have_text(["with a typo"])
    provider.release(model)
    for window in windows:
        expect(questions(window.page)).to_have_text(["with a typo"])
        window.expect_answer(expected_text("words-n12"), 0)
    expect(other.get_by_role("button", name="Edit, and ask again")).to_be_hidden()
    for _ in range(2):
        other.get_by_role("button", name="Version before").first.click()
        expect(questions(other)).to_have_text(["with a tpyo"])
        expect(other.get_by_text("the conversation goes on with the newest").first).to_be_visible()
        two.expect_answer(expected_text("words-n6"), 0)
        other.reload()
        expect(questions(other)).to_have_text(["with a typo"])


def test_enter_on_cancel_leaves_a_question_as_it_was(window: Window, alice: Person) -> None:
    session = alice.new_session(tagged("words-n3"))
    alice.wait_for_end(alice.asked(session, "What is a lease?"))
    page = opened(window, session)
    page.locator(".message.is-question").hover()
    page.get_by_role("button", name="Edit, and ask again").click()
    page.get_by_label("Your question").fill("What is a fence?")
    page.get_by_role("button", name="Cancel").and_(page.locator(":visible")).press("Enter")
    expect(questions(page)).to_have_text(["What is a lease?"])
    expect(page.get_by_label("Your question")).to_have_count(0)
    assert [m["content"] for m in alice.messages(session)[::2]] == ["What is a lease?"]


def test_a_question_that_is_edited_stays_in_view_in_a_low_window(window: Window, alice: Person) -> None:
    session = alice.new_session(tagged("words-n3"))
    alice.wait_for_end(alice.asked(session, "What is a lease?"))
    window.page.set_viewport_size({"width": 600, "height": 380})
    page = opened(window, session)
    window.expect_answer(expected_text("words-n3"))
    page.locator(".message.is-question").hover()
    page.get_by_role("button", name="Edit, and ask again").click()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.get_by_label("Your question")).to_be_in_viewport(ratio=0.9)


def test_versions_of_an_answer_are_paged_and_say_which_one_counts(window: Window, alice: Person) -> None:
    session = alice.new_session(tagged("words-n3"))
    answer = alice.asked(session)
    alice.wait_for_end(answer)
    alice.wait_for_end(alice.retry(answer))
    page = opened(window, session)
    shown = page.locator(".message.is-answer")
    for _ in range(2):
        expect(shown.locator("[data-part=version]")).to_have_text("2 / 2")
        expect(shown.locator("[data-part=version-note]")).to_be_hidden()
        shown.get_by_role("button", name="Version before").click()
        expect(shown.locator("[data-part=version]")).to_have_text("1 / 2")
        expect(shown.locator("[data-part=version-note]")).to_be_visible()
        page.reload()


def test_a_session_is_archived_and_comes_back_when_somebody_asks(window: Window, alice: Person, bob: Person) -> None:
    session = alice.new_session(tagged("words-n3"))
    alice.invite(session, bob)
    page = window.open("/new/")
    item = listed(page, session)
    item.hover()
    choose(page, item.locator("[data-part=menu]"), "Archive")
    expect(item).to_have_count(0)
    page.get_by_role("button", name="Archived").click()
    expect(item).to_be_visible()
    expect(page.get_by_role("button", name="Back to your sessions")).to_be_focused()
    page.keyboard.press("Enter")
    expect(item).to_have_count(0)
    bob.ask(session, "Anybody here?")
    expect(item).to_be_visible()


def test_an_export_is_downloaded(window: Window, alice: Person) -> None:
    session = alice.new_session(tagged("words-n3"))
    alice.wait_for_end(alice.asked(session, "What/is a lease?"))
    page = opened(window, session)
    for format, name in (("Markdown", "What-is-a-lease.md"), ("JSON", "What-is-a-lease.json")):
        with page.expect_download() as download:
            choose(page, page.get_by_role("button", name="Actions for this session"), f"Export as {format}")
        assert download.value.suggested_filename == name
        text = Path(download.value.path()).read_text()
        assert "What/is a lease?" in text and expected_text("words-n3") in text
        if format == "JSON":
            assert len(json.loads(text)["messages"]) == 2


def test_a_long_list_is_loaded_as_one_scrolls(window: Window, alice: Person) -> None:
    for i in range(70):
        alice.http.post("/api/sessions", json={"title": f"Session number {i}"}).raise_for_status()
    page = window.open("/new/")
    expect(page.locator(".session-item")).to_have_count(50)
    page.locator("[data-session-list]").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    expect(page.locator(".session-item", has_text="Session number 0")).to_have_count(1)


def test_who_scrolls_before_the_list_is_there_is_not_forgotten(window: Window, alice: Person) -> None:
    for i in range(70):
        alice.http.post("/api/sessions", json={"title": f"Early number {i}"}).raise_for_status()
    frames = Frames(window.page)
    frames.hold()
    page = window.open("/new/")
    expect(page.locator(".session-item")).to_have_count(50)
    page.locator("[data-session-list]").evaluate("box => box.scrollTo(0, box.scrollHeight)")
    frames.release()
    expect(page.locator(".session-item", has_text="Early number 0")).to_have_count(1)


def test_links_are_shown_in_a_sheet_that_was_opened_before_one_was_known(window: Window, alice: Person) -> None:
    session = alice.new_session()
    alice.http.post(f"/api/sessions/{session}/share").raise_for_status()
    frames = Frames(window.page)
    frames.hold()
    page = window.open(f"/s/{session}/")
    page.locator("[data-thread]").press("p")
    expect(page.get_by_role("dialog", name="People")).to_be_visible()
    frames.release()
    expect(page.get_by_label("Link to read along", exact=True)).to_be_visible()
