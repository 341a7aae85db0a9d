"""The disk is full in mid answer: the answer waits and goes on once there is room; a send is told so."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator

import pytest

from tests.provider import ProviderProcess, expected_text

from .people import tagged
from .running import Product, running

PAGES = 4000
LONG = "Why? " * 1900  # more than a page of the file has free


@pytest.fixture
def product(provider: ProviderProcess) -> Iterator[Product]:
    if os.environ.get("DATABASE_URL"):
        pytest.skip("This is about SQLite's file.")
    settings = {"DJANGO_SETTINGS_MODULE": "tests.e2e.small_disk", "SMALL_DISK_PAGES": str(PAGES)}
    with running(provider, **settings) as process:
        yield process


@contextlib.contextmanager
def full_disk(product: Product) -> Iterator[None]:
    """Every page that the file may have is taken, until the end of the block."""
    with contextlib.closing(sqlite3.connect(product.data_dir / "parley.sqlite3", timeout=30)) as file:
        (page,), (taken,) = (file.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "page_count"))
        file.execute("CREATE TABLE filler (bytes BLOB)")
        file.execute("INSERT INTO filler VALUES (zeroblob(?))", [(PAGES - taken) * page])
        file.commit()
        assert file.execute("PRAGMA page_count").fetchone()[0] >= PAGES
        yield
        file.execute("DROP TABLE filler")
        file.commit()


@pytest.mark.long
def test_a_full_disk_costs_time_and_nothing_else(provider: ProviderProcess, product: Product) -> None:
    model = tagged("big=64K-pieces=400-hold=10")
    (alice,) = product.people("alice")
    with alice:
        session, other = alice.new_session(model), alice.new_session()
        answer = alice.asked(session)
        with alice.view(session) as viewer:
            viewer.wait_for(lambda: viewer.view.text(answer))
            with full_disk(product):
                provider.release(model)
                product.wait_for(
                    lambda: any("is full" in line and "succeed waits" in line for line in product.said), 60
                )
                refused = alice.http.post(
                    f"/api/sessions/{other}/messages", json={"client_id": "c-full", "content": LONG, "model": ""}
                )
                assert refused.status_code == 503 and refused.headers["Retry-After"], refused.text
                assert refused.json()["code"] == "unavailable" and "disk is full" in refused.json()["detail"]
                assert viewer.view.status(answer) == "processing"
            ended = viewer.wait_for_end(answer)
            assert (ended["status"], ended["content"], ended["attempt"]) == ("success", expected_text(model), 1)
            assert alice.message(answer)["content"] == expected_text(model)
        again = alice.ask(other, LONG, model=tagged("words-n3"), client_id="c-full")["reply"]["id"]
        assert alice.wait_for_end(again)["status"] == "success", "what was refused is sent again"
        assert not [line for line in product.said if "Traceback" in line]
