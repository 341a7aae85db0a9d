"""The queue, steering it and talking among people, as they look in real browsers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product
from .windows import Frames, Window

pytestmark = pytest.mark.browser


@pytest.fixture
def windows(product: Product, browser: Browser, people: tuple[Person, Person]) -> Iterator[tuple[Window, Window]]:
    with Window.opened(browser, product.url, "alice") as one, Window.opened(browser, product.url, "bob") as two:
        yield one, two
        assert one.complaints + two.complaints == []


def waiting(window: Window, text: str) -> Locator:
    return window.page.locator(".queued", has_text=text)


def expect_waiting(window: Window, *texts: str) -> None:
    expect(window.page.locator(".queued [data-part=text]")).to_have_text(list(texts))


def questions(window: Window) -> Locator:
    return window.page.locator(".message.is-question [data-part=body]")


def opened(windows: tuple[Window, Window], session: str) -> tuple[Window, Window]:
    for window in windows:
        window.open(f"/s/{session}/")
        expect(window.page.locator("[data-connection]")).to_be_hidden()
    return windows


def test_two_are_queued_reordered_with_the_keyboard_and_one_is_sent_now(
    windows: tuple[Window, Window], provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    model = tagged("words-n9-hold=4")
    session = alice.new_session(model)
    alice.invite(session, bob)
    one, two = opened(windows, session)
    one.ask("First")
    one.expect_answer(expected_text("words-n4"))
    one.ask("Second")
    one.ask("Third")
    two.ask("Bob’s")
    for window in windows:
        expect_waiting(window, "Second", "Third", "Bob’s")
    expect(waiting(two, "Second").get_by_role("button", name="Move up")).to_be_hidden()
    expect(waiting(two, "Second").get_by_role("button", name="Edit")).to_be_hidden()

    waiting(one, "Third").get_by_role("button", name="Edit").click()
    text = one.page.get_by_role("textbox", name="Waiting message")
    text.fill("Fourth")
    waiting(one, "Third").get_by_role("button", name="Cancel").press("Enter")  # which is no Enter in the text
    expect(text).to_be_hidden()
    expect_waiting(two, "Second", "Third", "Bob’s")

    up = waiting(one, "Third").get_by_role("button", name="Move up")
    up.focus()
    one.page.keyboard.press("Enter")
    for window in windows:
        expect_waiting(window, "Third", "Second", "Bob’s")
    down = waiting(one, "Third").get_by_role("button", name="Move down")
    expect(down).to_be_focused()
    one.page.keyboard.press("Enter")
    expect_waiting(two, "Second", "Third", "Bob’s")
    expect(down).to_be_focused()
    expect(one.page.locator("[data-queue-said]")).to_have_text("Moved. It is number 2 of 3 now.")
    two.page.get_by_role("button", name="Move up").and_(two.page.locator(":visible")).click()
    for window in windows:
        expect_waiting(window, "Second", "Bob’s", "Third")

    waiting(two, "Third").get_by_role("button", name="Send now").click()
    two.expect_answer(expected_text("words-n4"), index=1)
    provider.release(model)
    for window in windows:
        expect(window.page.locator(".message.is-answer [data-part=note]").first).to_have_text("Stopped by bob.")
        window.expect_answer(expected_text("words-n4"), index=0)
        expect(questions(window)).to_have_text(["First", "Third", "Second", "Bob’s"])
        expect(window.page.locator(".queue")).to_be_hidden()
        for index in (1, 2, 3):
            window.expect_answer(expected_text("words-n9"), index)


def test_the_place_of_a_moved_message_is_said_right_before_its_frames_are_there(
    windows: tuple[Window, Window], provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    """The request's answer may come long before the frames that move the messages in the page."""
    model = tagged("words-n9-hold=4")
    session = alice.new_session(model)
    alice.invite(session, bob)
    frames = Frames(windows[0].page)
    one, two = opened(windows, session)
    for text in ("First", "Second", "Third"):
        one.ask(text)
    expect_waiting(one, "Second", "Third")
    said = one.page.locator("[data-queue-said]")
    frames.hold()
    with one.page.expect_response(re.compile("/move$")) as moving:
        waiting(one, "Second").get_by_role("button", name="Move down").click()
    moving.value.finished()
    expect_waiting(two, "Third", "Second")
    expect(said).to_have_text("Moved. It is number 2 of 2 now.")
    expect_waiting(one, "Second", "Third")
    frames.release()
    expect_waiting(one, "Third", "Second")
    provider.release(model)


def test_the_menu_of_sending_goes_with_its_button(
    windows: tuple[Window, Window], provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    model = tagged("words-n9-hold=4")
    session = alice.new_session(model)
    alice.invite(session, bob)
    one, _ = opened(windows, session)
    one.ask("First")
    one.expect_answer(expected_text("words-n4"))
    mode = one.page.get_by_role("button", name=re.compile("Sending now"))
    mode.click()
    steer = one.page.get_by_role("menuitemradio", name="Steer")
    expect(steer).to_be_visible()
    provider.release(model)
    one.expect_answer(expected_text("words-n9"))
    expect(mode).to_be_hidden()
    expect(steer).to_be_hidden()


def test_an_interrupting_message_stops_the_answer_for_everyone(
    windows: tuple[Window, Window], provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    model = tagged("words-n9-hold=4")
    session = alice.new_session(model)
    alice.invite(session, bob)
    one, two = opened(windows, session)
    one.page.get_by_role("button", name="Settings of this session").click()
    sheet = one.page.get_by_role("dialog", name="Settings of this session")
    sheet.get_by_label("Steers").check()
    sheet.get_by_label("System prompt").fill("Be brief.")
    sheet.get_by_text("Parameters").click()
    sheet.get_by_label("Temperature").fill("0.5")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet).to_be_hidden()
    one.ask("First")
    two.expect_answer(expected_text("words-n4"))
    mode = two.page.get_by_role("button", name=re.compile("Sending now"))
    expect(mode).to_have_text("Steer")
    mode.press("Enter")
    expect(two.page.get_by_role("menuitemradio", name="Steer")).to_be_focused()
    two.page.keyboard.press("ArrowDown")
    two.page.keyboard.press("Enter")
    expect(mode).to_have_text("Interrupt")
    two.ask("Wait!")
    one.expect_answer(expected_text("words-n4"), 1)
    provider.release(model)
    for window in windows:
        expect(questions(window)).to_have_text(["First", "Wait!"])
        expect(window.page.locator(".message.is-answer [data-part=note]").first).to_have_text("Stopped by bob.")
        window.expect_answer(expected_text("words-n4"), 0)
        window.expect_answer(expected_text("words-n9"), 1)
    expect(mode).to_be_hidden()
    first, second = (record["body"] for record in provider.requests(model))
    for body in (first, second):
        assert body["temperature"] == 0.5 and body["messages"][0]["content"].startswith("Be brief.")
    assert [line["content"] for line in second["messages"][1:]] == [
        "alice: First", expected_text("words-n4"), "bob: Wait!",
    ]  # fmt: skip


def test_people_talk_among_themselves_until_somebody_mentions_the_assistant(
    windows: tuple[Window, Window], provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    model = tagged("words-n9-hold=4")
    session = alice.new_session(model)
    alice.invite(session, bob)
    one, two = opened(windows, session)
    assert alice.http.patch(f"/api/sessions/{session}", json={"replies": "mention"}).status_code == 200
    expect(two.composer).to_have_attribute("placeholder", re.compile("ask @assistant"))
    two.ask("Shall we ask?")
    expect(questions(one)).to_have_text(["Shall we ask?"])

    one.composer.press_sequentially("Yes, @as")
    expect(one.page.locator(".mention-option")).to_have_count(1)
    one.composer.press("Enter")
    expect(one.composer).to_have_value("Yes, @assistant ")
    one.composer.press_sequentially("go, and @b")
    one.composer.press("Tab")
    expect(one.composer).to_have_value("Yes, @assistant go, and @bob ")
    one.composer.press("Enter")
    two.expect_answer(expected_text("words-n4"))
    expect(two.page.locator(".mention")).to_have_text(["@assistant", "@bob"])
    expect(two.page.locator(".mention.is-you")).to_have_text("@bob")

    two.ask("While it writes: nobody waits")
    expect(questions(one)).to_have_text(
        ["Shall we ask?", "Yes, @assistant go, and @bob", "While it writes: nobody waits"]
    )
    expect(one.page.locator(".queue")).to_be_hidden()
    provider.release(model)
    for window in windows:
        window.expect_answer(expected_text("words-n9"))
        expect(window.page.locator(".message.is-answer")).to_have_count(1)
    two.ask("Thanks, @Assistant")
    one.expect_answer(expected_text("words-n9"), 1)
    told = [line["content"] for line in provider.requests(model)[-1]["body"]["messages"][1:]]
    assert told == [
        "bob: Shall we ask?\n\nalice: Yes, @assistant go, and @bob", expected_text("words-n9"),
        "bob: While it writes: nobody waits\n\nbob: Thanks, @Assistant",
    ]  # fmt: skip


def test_a_user_name_is_marked_as_a_mention_like_a_name(product: Product, browser: Browser) -> None:
    (dora,) = product.people("dora")
    product.manage(
        "shell", "--no-imports", "-c",
        "from django.contrib.auth import get_user_model as m; "
        "m().objects.filter(username='dora').update(first_name='Dorothea', last_name='Brown')",
    )  # fmt: skip
    with dora, Window.opened(browser, product.url, "dora") as window:
        session = dora.new_session()
        dora.http.patch(f"/api/sessions/{session}", json={"replies": "mention"}).raise_for_status()
        page = window.open(f"/s/{session}/")
        expect(page.locator("[data-connection]")).to_be_hidden()
        window.ask("Is @dora the same as @Dorothea Brown and as @nobody?")
        expect(page.locator(".mention.is-you")).to_have_text(["@dora", "@Dorothea Brown"])
        expect(page.locator(".mention")).to_have_count(2)


def test_who_joins_after_being_mentioned_is_marked_in_what_stands_there(product: Product, browser: Browser) -> None:
    dora, erin = product.people("dora", "erin")
    with dora, erin, Window.opened(browser, product.url, "dora") as window:
        session = dora.new_session()
        dora.http.patch(f"/api/sessions/{session}", json={"replies": "mention"}).raise_for_status()
        window.open(f"/s/{session}/")
        window.ask("Shall @erin join us?")
        expect(questions(window)).to_have_text(["Shall @erin join us?"])
        expect(window.page.locator(".mention")).to_have_count(0)
        dora.invite(session, erin)
        expect(window.page.locator(".mention")).to_have_text(["@erin"])


def test_a_failure_says_why_the_queue_rests_and_resume_goes_on(
    windows: tuple[Window, Window], provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    model, failing = tagged("words-n9"), tagged("words-n9-hold=2-cut=3")
    session = alice.new_session(model)
    alice.invite(session, bob)
    one, two = opened(windows, session)
    alice.asked(session, "First", model=failing)
    one.expect_answer(expected_text("words-n2"))
    one.ask("Second")
    expect_waiting(two, "Second")
    provider.release(failing)
    resting = two.page.locator("[data-queue-paused]")
    expect(resting).to_contain_text("The last answer failed, so the queue rests. The model's provider had a problem.")
    resting.get_by_role("button", name="Resume").click()
    for window in windows:
        window.expect_answer(expected_text("words-n9"), 1)
        expect(window.page.locator("[data-queue-paused]")).to_be_hidden()
