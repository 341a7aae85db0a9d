"""PostgreSQL is gone for ten seconds in mid answer: no turn is lost, and a send meanwhile is told so."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.provider import ProviderProcess, expected_text
from tests.servers import PostgresServer, require

from .people import Person, tagged
from .running import running

pytestmark = pytest.mark.long

AWAY_SECONDS = 10.0


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    require("initdb")
    with PostgresServer() as server:
        yield server


def test_postgres_away_for_a_while_loses_nothing(provider: ProviderProcess, postgres: PostgresServer) -> None:
    through, after = tagged("words-n500-rate=50"), tagged("words-n30-hold=15")
    with running(provider, DATABASE_URL=postgres.url) as product:
        (alice,) = product.people("alice")
        with alice:
            sessions = [alice.new_session(), alice.new_session(), alice.new_session()]
            ends = alice.asked(sessions[0], model=after)  # ends in the middle of the outage
            alice.wait_for_text(ends, expected_text("words-n15"))
            goes_on = alice.asked(sessions[1], model=through)
            alice.wait_for(goes_on, lambda message: message["content"])
            postgres.kill()
            until = time.monotonic() + AWAY_SECONDS
            provider.release(after)
            refused = alice.http.post(
                f"/api/sessions/{sessions[2]}/messages", json={"client_id": "away", "content": "Hello?", "model": ""}
            )
            assert refused.status_code == 503 and refused.headers["Retry-After"], refused.text
            assert refused.json()["code"] == "unavailable" and "database" in refused.json()["detail"]
            time.sleep(max(0.0, until - time.monotonic()))  # the outage itself
            with product.frozen_workers():  # none has renewed its lease yet, and all have run out
                postgres.start()
                # Each connection of the pool finds out for itself that it is broken, and says 503 once.
                product.wait_for(lambda: [_is_reachable(alice) for _ in range(10)] == [True] * 10, 60)
                with alice.view(sessions[1]) as viewer:
                    assert viewer.view.status(goes_on) == "processing", "who joins now takes nobody for dead"
            for answer, model in ((ends, after), (goes_on, through)):
                ended = alice.wait_for_end(answer, 120)
                assert (ended["status"], ended["content"]) == ("success", expected_text(model))
                assert ended["attempt"] == 1, "the turn was kept by its worker"
            sent = alice.ask(sessions[2], "Hello?", tagged("words-n3"), client_id="away")
            assert alice.wait_for_end(sent["reply"]["id"])["status"] == "success"


def _is_reachable(person: Person) -> bool:
    response = person.http.get("/api/sessions")
    assert response.status_code in (200, 503), response.text
    return response.is_success
