"""A pooler in transaction mode before PostgreSQL: nothing here leans on a connection that is the same as before."""

from __future__ import annotations

import pytest

from tests.provider import ProviderProcess, expected_text
from tests.servers import Pooler, PostgresServer, require

from .people import tagged
from .running import running

pytestmark = pytest.mark.long

QUESTIONS = 12


def test_behind_a_pooler_every_question_is_answered(provider: ProviderProcess) -> None:
    require("initdb", "pgbouncer")
    model = tagged("words-n40-rate=40")
    with (
        PostgresServer() as postgres,
        Pooler(postgres) as pooler,
        running(provider, DATABASE_URL=pooler.url) as product,
    ):
        (alice,) = product.people("alice")
        with alice:
            answers = [alice.asked(alice.new_session(), model=model) for _ in range(QUESTIONS)]
            stopped = alice.asked(alice.new_session(), model=tagged("words-n9000-rate=40"))
            alice.wait_for(stopped, lambda message: message["content"])
            assert alice.stop(stopped).status_code == 200
            for answer in answers:
                ended = alice.wait_for_end(answer)
                assert (ended["status"], ended["content"]) == ("success", expected_text(model))
            found = alice.http.get("/api/search", params={"q": expected_text(model).split()[3]}).json()
            assert found, "a search goes by a cursor"
            assert alice.http.get("/api/sessions").json()["sessions"]
        product.assert_no_traceback()
