from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.provider import ProviderProcess

from .people import Person
from .running import Product, running
from .windows import chromium, executable

# What no test of those that share a product minds, and some need: small files, few of them, models that see.
SETTINGS = {
    "ASSISTANT_ATTACHMENT_MAX_MB": "1", "ASSISTANT_ATTACHMENT_MAX_COUNT": "4", "ASSISTANT_VISION_MODELS": "openai/*",
}  # fmt: skip


@pytest.fixture(scope="package")
def provider() -> Iterator[ProviderProcess]:
    """One for each process of tests, while it is at this folder's; tests tell their requests apart by the model's name."""
    with ProviderProcess() as process:
        yield process


@pytest.fixture(autouse=True, scope="module")
def _nobody_waits_for_ever(provider: ProviderProcess) -> Iterator[None]:
    """A turn that a file leaves held would time out while another file's test reads the product's log."""
    yield
    provider.release()


@pytest.fixture(scope="package")
def product(provider: ProviderProcess) -> Iterator[Product]:
    """One for each process of tests, until the folder is done: an idle one, too, takes some of a core.

    Who kills or configures it takes one of their own (`running.running`).
    """
    with running(provider, **SETTINGS) as process:
        yield process


@pytest.fixture(scope="package")
def people(product: Product) -> Iterator[tuple[Person, Person]]:
    alice, bob = product.people("alice", "bob")
    with alice, bob:
        yield alice, bob


@pytest.fixture
def alice(people: tuple[Person, Person]) -> Person:
    """Owns the sessions of the tests."""
    return people[0]


@pytest.fixture
def bob(people: tuple[Person, Person]) -> Person:
    """Takes part where Alice invites him."""
    return people[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """`windows.Window.opened` gives a person a window in it. (Of a module: while Playwright runs, asyncio.run can't.)"""
    if not executable():
        reason = "There is no chromium on the PATH; tests/install_browser.sh installs it where it can."
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium() as started:
        yield started
