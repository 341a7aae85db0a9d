"""What a model thinks, on the page: one line while it does, all of it unfolded, after a reload too, never in the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product
from .windows import Window

pytestmark = pytest.mark.browser

SOME, FIRST, ALL = (" ".join(f"r{number}" for number in range(count)) for count in (300, 2_500, 3_000))


@pytest.fixture
def window(product: Product, alice: Person, browser: Browser) -> Iterator[Window]:
    with Window.opened(browser, product.url, "alice") as opened:
        yield opened


def thoughts(window: Window) -> Locator:
    return window.page.locator(".message.is-answer .reasoning").last


def text_of(window: Window) -> Locator:
    return thoughts(window).get_by_role("group", name="What the model thought")


def opened(window: Window, alice: Person, script: str) -> str:
    session = alice.new_session(script)
    window.open(f"/s/{session}/")
    expect(window.page.get_by_role("heading", name="Nothing said yet")).to_be_visible()
    return session


def test_thoughts_are_seen_live_unfold_and_are_there_after_a_reload(
    window: Window, alice: Person, provider: ProviderProcess
) -> None:
    script = tagged("words-n6-think=3000-hold=2500")
    session = opened(window, alice, script)
    window.ask("Think about it")
    summary = thoughts(window).locator("summary")
    expect(summary).to_contain_text(re.compile(r"Thinking, \d+ s.*r2499$"))
    expect(window.page.locator("[data-announcer]")).to_have_text(re.compile("is thinking"))
    expect(window.page.locator(".message.is-answer [data-part=status]")).to_be_hidden()
    summary.press("Enter")
    expect(text_of(window)).to_have_text(FIRST)
    assert text_of(window).evaluate("place => place.scrollTop > 0"), "it follows what is new"

    window.page.reload()
    expect(summary).to_contain_text(re.compile(r"Thinking, \d+ s.*r2499$"))
    summary.click()
    expect(text_of(window)).to_have_text(FIRST)
    text_of(window).evaluate("place => place.scrollTo(0, 0)")
    provider.release(script)
    window.expect_answer(expected_text("words-n6"))
    expect(text_of(window)).to_have_text(ALL)
    assert text_of(window).evaluate("place => place.scrollTop") == 0, "it stays where one reads"
    expect(summary).to_contain_text(re.compile(r"Thought for .*3,000 tokens"))

    window.page.reload()
    window.expect_answer(expected_text("words-n6"))
    expect(text_of(window)).to_be_hidden()
    summary.click()
    expect(text_of(window)).to_have_text(ALL)
    url = alice.http.post(f"/api/sessions/{session}/share").json()["url"]
    window.page.goto(url)
    window.expect_answer(expected_text("words-n6"))
    expect(thoughts(window)).to_be_hidden()


def test_stop_keeps_what_was_thought(window: Window, alice: Person) -> None:
    opened(window, alice, tagged("words-think=400-hold=300"))
    window.ask("Think about this")
    expect(thoughts(window)).to_contain_text("r299")
    window.page.get_by_role("button", name="Stop", exact=True).click()
    expect(window.note).to_contain_text("Stopped by alice")
    window.page.set_viewport_size({"width": 700, "height": 360})  # so low that what unfolds has no room below
    summary = thoughts(window).locator("summary")
    before = summary.bounding_box()
    summary.click()
    expect(text_of(window)).to_have_text(SOME)
    assert summary.bounding_box() == before, "it stays under the hand that unfolds it"


def test_of_an_answer_that_was_only_thought_about_the_error_and_the_thoughts_are_shown(
    window: Window, alice: Person
) -> None:
    opened(window, alice, tagged("empty-think=3"))
    window.ask("Think, and say nothing")
    expect(window.note).to_contain_text("The model sent an empty answer.")
    expect(thoughts(window)).to_contain_text("Thought for")
    thoughts(window).locator("summary").click()
    expect(text_of(window)).to_have_text("r0 r1 r2")
    expect(window.page.get_by_role("button", name="Retry")).to_be_visible()
