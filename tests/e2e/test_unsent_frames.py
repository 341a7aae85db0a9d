"""A worker is killed after it has committed the end of an answer and before it has told anyone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.provider import ProviderProcess, expected_text

from .people import tagged
from .running import running


@pytest.mark.long
def test_its_viewers_see_the_end_soon_and_do_nothing_for_it(provider: ProviderProcess, tmp_path: Path) -> None:
    dies = tmp_path / "dies"
    model = tagged("words-n30-hold=15")
    settings = {"DJANGO_SETTINGS_MODULE": "tests.e2e.dying", "DYING_FILE": str(dies)}
    with running(provider, **settings) as product:
        (alice,) = product.people("alice")
        with alice:
            session = alice.new_session(model)
            answer = alice.asked(session)
            with alice.view(session) as viewer:
                viewer.wait_for(lambda: viewer.view.text(answer) == expected_text("words-n15"))
                worker = product.worker_of(answer)
                assert worker
                dies.touch()
                provider.release(model)
                product.wait_for(lambda: not dies.exists())
                since = time.monotonic()
                ended = viewer.wait_for_end(answer)
                print(f"the end was seen {time.monotonic() - since:.2f} s after the worker had died untold")
                assert (ended["status"], ended["content"], ended["attempt"]) == ("success", expected_text(model), 1)
                assert viewer.view.seen["session.snapshot"] == 2 and viewer.view.holes == 0
            product.wait_for(lambda: any(f"its worker (pid {worker.pid}) died" in line for line in product.said))
