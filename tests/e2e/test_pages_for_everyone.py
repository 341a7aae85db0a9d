"""Every page in every state: readable by machines and people, light and wide, dark and at 360 px, within the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.provider import ProviderProcess

from .page_states import SIGNED_OUT, STATES, Stage
from .people import Person
from .running import Product, newly_installed
from .windows import Window

pytestmark = pytest.mark.browser

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}
WIDE, NARROW = ViewportSize(width=1280, height=800), ViewportSize(width=360, height=740)
# Not all four: a scheme changes colours alone, a width everything else.
LOOKS: list[tuple[Literal["light", "dark"], ViewportSize]] = [("light", WIDE), ("dark", NARROW)]


@pytest.fixture(scope="module")
def product(provider: ProviderProcess, browser: Browser) -> Iterator[Product]:
    with newly_installed(provider, ASSISTANT_SIGNUP="open") as process:
        yield process


@pytest.fixture(scope="module")
def cast(product: Product) -> Iterator[list[Person]]:
    people = product.people("alice", "bob")
    yield people
    for person in people:
        person.http.close()


@pytest.fixture(scope="module")
def signed_in(product: Product, cast: list[Person], browser: Browser) -> Iterator[str]:
    """Where Alice's cookies are kept, so that she signs in once."""
    path = product.data_dir / "alice.json"
    with Window.opened(browser, product.url, "alice", reduced_motion="reduce") as window:
        window.context.storage_state(path=path)
    yield str(path)


def test_the_set_up_page_can_be_used_by_everyone(product: Product, browser: Browser) -> None:
    """The first test of the file: nobody has an account yet."""
    with Window.opened(browser, product.url, viewport=NARROW) as window:
        window.open("/")
        expect(window.page.get_by_role("heading", name="Make the first account")).to_be_visible()
        assert problems_of(window.page) == []
        assert window.complaints == []


@pytest.mark.parametrize("name", STATES)
def test_everyone_can_use_the_page(
    name: str, signed_in: str, cast: list[Person], product: Product, provider: ProviderProcess, browser: Browser
) -> None:
    alice, bob = cast
    kept = None if name in SIGNED_OUT else signed_in
    options: dict[str, Any] = {
        "storage_state": kept,
        "reduced_motion": "reduce",
        "color_scheme": "light",
        "viewport": WIDE,
    }
    with Window.opened(browser, product.url, **options) as window:
        STATES[name](Stage(window, alice, bob, product, provider))
        problems = []
        for scheme, size in LOOKS:
            window.page.emulate_media(color_scheme=scheme)
            window.page.set_viewport_size(size)
            expect(window.page.locator("html")).to_have_attribute("data-theme", scheme)
            problems += [f"{scheme}, {size['width']} px: {problem}" for problem in problems_of(window.page)]
        assert not problems, "\n".join(problems)
        # What can't be sent is tried again by itself, and may be refused again while the page is looked at.
        expected = "404|422|503" if name == "session_unsent" else "404|422"
        assert [text for text in window.complaints if not re.search(f"status of ({expected})", text)] == []


def problems_of(page: Page) -> list[str]:
    """What axe finds that is serious or critical, and whether one would have to scroll sideways."""
    found = [
        f"{violation['id']} ({violation['impact']}): {violation['help']}: "
        + "; ".join(f"{node['html'][:160]} | {node['failureSummary'][:200]}" for node in violation["nodes"][:4])
        for violation in Axe().run(page, options=RULES).response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("The page is wider than the window.")
    return found
