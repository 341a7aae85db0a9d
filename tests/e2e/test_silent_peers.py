"""The servers' address falls silent: no reset, nothing comes back. Who waits is told, and all go on once it is back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.network import Network, is_possible
from tests.provider import ProviderProcess, expected_text
from tests.servers import PostgresServer, RedisServer, require

from .people import tagged
from .running import running

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not is_possible(), reason="the servers' network is a namespace, and this user may make none"),
]

# So long that what TCP sends again by itself would come next in 40 s: its pauses double.
SILENT_SECONDS = 55.0
TOLD_SECONDS = 15.0  # so long at most a request waits, and so soon everything is back
UNTIL_READY = 60.0


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def test_silence_is_found_out_told_and_survived(provider: ProviderProcess, network: Network) -> None:
    require("initdb")
    model = tagged("words-n4000-rate=40")
    with (
        PostgresServer(network) as postgres,
        RedisServer(network) as valkey,
        running(provider, DATABASE_URL=postgres.url, REDIS_URL=valkey.url) as product,
    ):
        (alice,) = product.people("alice")
        with alice, httpx.Client(base_url=product.url, timeout=60) as probe:
            session, other = alice.new_session(), alice.new_session()
            answer = alice.asked(session, model=model)
            with alice.view(session) as viewer:
                viewer.wait_for(lambda: len(viewer.view.text(answer)) > 30)
                network.cut()
                cut_at = time.monotonic()
                for ask, statuses in (
                    (lambda: probe.get("/readyz"), {503}),
                    (lambda: alice.http.post(f"/api/sessions/{other}/messages", json=_question("lost")), {503}),
                    (lambda: probe.get("/readyz"), {503}),
                ):
                    began = time.monotonic()
                    status = ask().status_code
                    print(f"during the silence: {status} after {time.monotonic() - began:.1f} s")
                    assert status in statuses and time.monotonic() - began < TOLD_SECONDS
                time.sleep(max(0.0, cut_at + SILENT_SECONDS - time.monotonic()))
                postgres.kill()
                valkey.kill()
                network.mend()
                postgres.start()
                valkey.start()
                back_at, shown = time.monotonic(), len(viewer.view.text(answer))
                product.wait_for(lambda: probe.get("/readyz").status_code == 200, UNTIL_READY)
                ready = time.monotonic() - back_at
                viewer.wait_for(lambda: len(viewer.view.text(answer)) > shown)
                seen = time.monotonic() - back_at
                print(f"ready again after {ready:.1f} s, words on the screen after {seen:.1f} s")
                assert ready < TOLD_SECONDS and seen < TOLD_SECONDS
                sent = alice.ask(other, "Hello?", tagged("words-n3"), client_id="lost")
                assert alice.wait_for_end(sent["reply"]["id"])["status"] == "success"
                ended = viewer.wait_for_end(answer, 180)
                assert (ended["status"], ended["content"], ended["attempt"]) == ("success", expected_text(model), 1)


def _question(client_id: str) -> dict[str, str]:
    return {"client_id": client_id, "content": "Hello?", "model": ""}
