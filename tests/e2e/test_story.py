"""One afternoon of three people in one session, each in a browser of their own. After each step all three are looked at.

`PARLEY_STORY_TIMES=20` tells it twenty times in a row (docs/reliability.md has what came of that).
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.provider import ProviderProcess, expected_text

from .people import Person
from .running import Product, running
from .windows import Window

pytestmark = pytest.mark.browser

TIMES = int(os.environ.get("PARLEY_STORY_TIMES", "1"))
FIRST, SECOND, THIRD = "Which trees grow here?", "Which of them bear fruit?", "How old are they?"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tool `look` has seen enough once this file is there."""
    return tmp_path_factory.mktemp("story") / "counts.look"


@pytest.fixture(scope="module")
def product(provider: ProviderProcess, gate: Path) -> Iterator[Product]:
    tools = {"ASSISTANT_TOOLS": "tests.e2e.counting_tools", "ASSISTANT_SERVICES": "counting"}
    with running(provider, COUNT_FILE=str(gate.with_suffix("")), **tools) as process:
        yield process


@pytest.fixture(scope="module")
def cast(product: Product) -> Iterator[tuple[Person, Person, Person]]:
    alice, bob, carol = product.people("alice", "bob", "carol")
    with alice, bob, carol:
        yield alice, bob, carol


def questions(window: Window) -> Locator:
    return window.page.locator(".message.is-question [data-part=body]")


def last_block(window: Window, index: int) -> Locator:
    """Of an answer with tools the text after them, of others all of it."""
    return window.page.locator(".message.is-answer").nth(index).locator(".block").last


def expect_waiting(window: Window, *waiting: tuple[str, str]) -> None:
    """(author, text) of what stands in the queue, in order."""
    expect(window.page.locator(".queued [data-part=author]")).to_have_text([author for author, _ in waiting])
    expect(window.page.locator(".queued [data-part=text]")).to_have_text([text for _, text in waiting])


def expect_here(window: Window, count: int) -> None:
    expect(window.page.get_by_role("button", name=f"People: {count}, {count} here now")).to_be_visible()


def choose(page: Page, opener: Locator, item: str) -> None:
    opener.click()
    page.get_by_role("menuitem", name=item).click()


def found(window: Window, word: str) -> Locator:
    """What the search sheet lists for a word; it stays open."""
    window.page.keyboard.press("Control+k")
    window.page.get_by_label("Search in all of your sessions").fill(word)
    expect(window.page.locator("[data-found-status]")).not_to_be_empty()
    return window.page.locator(".found")


@pytest.mark.parametrize("time", range(TIMES))
def test_three_people_ask_queue_steer_stop_remove_fork_search_and_export(
    time: int,
    product: Product,
    provider: ProviderProcess,
    browser: Browser,
    cast: tuple[Person, Person, Person],
    gate: Path,
) -> None:
    alice, bob, carol = cast
    gate.unlink(missing_ok=True)
    word = f"pear{uuid.uuid4().hex}"
    steering = f"Only those that are no {word}."
    look = {"text": "Let me look.", "preamble": 99, "tools": [{"name": "look", "arguments": {"what": "the garden"}}]}
    model = provider.script(
        f"story-{uuid.uuid4().hex[:10]}", [look, "words-n20-hold=8", "words-n30-hold=12", "words-n9"]
    )
    session = alice.new_session(model)
    alice.http.patch(f"/api/sessions/{session}", json={"title": "The garden"}).raise_for_status()
    for guest in (bob, carol):
        alice.invite(session, guest)
    with (
        Window.opened(browser, product.url, "alice") as hers,
        Window.opened(browser, product.url, "bob") as his,
        Window.opened(browser, product.url, "carol") as carols,
    ):
        everyone = hers, his, carols
        for window in everyone:
            window.open(f"/s/{session}/")
        for window in everyone:
            expect_here(window, 3)

        # Alice asks; the model looks around first.
        hers.ask(FIRST)
        for window in everyone:
            expect(questions(window)).to_have_text([FIRST])
            expect(window.page.locator(".message.is-question [data-part=author]")).to_have_text(["alice"])
            expect(last_block(window, 0)).to_have_text("Let me look.")
            expect(window.page.locator(".tool-call")).to_have_attribute("data-status", "running")

        # Bob and Carol ask meanwhile, and wait.
        his.ask(SECOND)
        expect_waiting(hers, ("bob", SECOND))
        carols.ask(THIRD)
        for window in everyone:
            expect_waiting(window, ("bob", SECOND), ("carol", THIRD))
            expect(questions(window)).to_have_text([FIRST])
        for window, text in ((his, SECOND), (carols, THIRD)):
            edits = window.page.get_by_role("button", name="Edit this waiting message")
            expect(edits.and_(window.page.locator(":visible"))).to_have_count(1)
            mine = window.page.locator(".queued", has_text=text)
            expect(mine.get_by_role("button", name="Withdraw this waiting message")).to_be_visible()

        # Bob steers the answer that is being written.
        his.page.get_by_role("button", name=re.compile("^Sending now")).click()
        his.page.get_by_role("menuitemradio", name="Steer").click()
        his.ask(steering)
        for window in everyone:
            expect_waiting(window, ("bob", SECOND), ("carol", THIRD), ("bob", steering))
            expect(window.page.locator(".queued", has_text=word).get_by_text("steers")).to_be_visible()
        gate.touch()
        for window in everyone:
            expect(last_block(window, 0)).to_have_text(expected_text("words-n8"))
            expect(questions(window)).to_have_text([FIRST, steering])
            expect_waiting(window, ("bob", SECOND), ("carol", THIRD))
            expect(window.page.locator(".message.is-answer")).to_have_count(1)
            joined = window.page.locator(".message.is-answer .tool-round")
            expect(joined).to_have_attribute("data-joined", "Here bob’s message joined in.")
        told = provider.requests(model)[1]["body"]["messages"]
        assert [line["role"] for line in told[1:]] == ["user", "assistant", "tool", "assistant", "user"], told
        assert told[-1]["content"] == f"bob: {steering}"

        # Carol stops it; Bob's question is next.
        carols.page.get_by_role("button", name="Stop", exact=True).click()
        for window in everyone:
            expect(window.page.locator(".message.is-answer [data-part=note]").first).to_have_text("Stopped by carol.")
            expect(last_block(window, 0)).to_have_text(expected_text("words-n8"))
            expect(questions(window)).to_have_text([FIRST, steering, SECOND])
            expect_waiting(window, ("carol", THIRD))
            expect(last_block(window, 1)).to_have_text(expected_text("words-n12"))

        # Alice removes Bob while his answer is being written. He sees no more of it, nor of what comes after it.
        hers.page.get_by_role("button", name=re.compile("^People:")).click()
        hers.page.get_by_role("button", name="Remove bob").click()
        hers.page.get_by_role("button", name="Remove", exact=True).click()
        expect(his.page.locator("[data-connection]")).to_contain_text("You are no longer in this session.")
        expect(his.page.locator(f".session-item[data-id='{session}']")).to_have_count(0)
        expect(hers.page.get_by_role("button", name="Remove bob")).to_have_count(0)
        hers.page.keyboard.press("Escape")
        for window in (hers, carols):
            expect_here(window, 2)
        provider.release(model)
        for window in (hers, carols):
            expect(last_block(window, 1)).to_have_text(expected_text("words-n30"))
            expect(questions(window)).to_have_text([FIRST, steering, SECOND, THIRD])
            expect(last_block(window, 2)).to_have_text(expected_text("words-n9"))
            expect(window.page.locator(".queue")).to_be_hidden()
            expect(window.page.locator(".message[aria-busy]")).to_have_count(0)
        expect(questions(his)).to_have_text([FIRST, steering, SECOND])
        expect(last_block(his, 1)).to_have_text(expected_text("words-n12"))
        expect(his.page.locator(".message.is-answer")).to_have_count(2)

        # Carol forks where the first answer was stopped, and has that for herself.
        stopped = carols.page.locator(".message.is-answer").first
        stopped.hover()
        choose(carols.page, stopped.get_by_role("button", name="More for this message"), "Fork from here")
        expect(carols.page.locator("[data-title]")).to_have_text("Fork of The garden")
        expect(questions(carols)).to_have_text([FIRST, steering])
        expect(last_block(carols, 0)).to_have_text(expected_text("words-n8"))
        expect(carols.page.locator(".message.is-answer")).to_have_count(1)
        expect_here(carols, 1)
        expect(hers.page.get_by_role("button", name="People: 2, 1 here now")).to_be_visible()
        fork = carols.page.url.rstrip("/").rpartition("/")[2]
        for window in everyone:
            count = 1 if window is carols else 0
            expect(window.page.locator(f".session-item[data-id='{fork}']")).to_have_count(count)

        # Each finds what they may: Carol also her fork, Bob not even his own words.
        expect(found(carols, word)).to_have_count(2)
        carols.page.keyboard.press("Escape")
        expect(found(his, word)).to_have_count(0)
        expect(his.page.locator("[data-found-status]")).to_contain_text("Nothing found.")
        one = found(hers, word)
        expect(one).to_have_count(1)
        expect(one).to_contain_text("The garden")
        one.click()
        expect(questions(hers).nth(1)).to_be_in_viewport()
        expect(hers.page.locator(".message.is-marked")).to_contain_text(word)

        # And takes along what they may.
        with hers.page.expect_download() as download:
            choose(hers.page, hers.page.get_by_role("button", name="Actions for this session"), "Export as Markdown")
        text = Path(download.value.path()).read_text()
        places = [text.index(part) for part in (FIRST, steering, SECOND, expected_text("words-n30").strip(), THIRD)]
        assert places == sorted(places), text
        with carols.page.expect_download() as download:
            choose(carols.page, carols.page.get_by_role("button", name="Actions for this session"), "Export as JSON")
        kept = json.loads(Path(download.value.path()).read_text())
        assert [message["content"] for message in kept["messages"] if message["role"] == "user"] == [FIRST, steering]
        assert his.page.request.get(f"{product.url}/api/sessions/{session}/export?format=md").status == 404
        assert hers.complaints + his.complaints + carols.complaints == []
    product.assert_no_traceback()
