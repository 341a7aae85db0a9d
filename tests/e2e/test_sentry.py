"""What Sentry is told of a failed turn: who, where and how long; never a key, never what people wrote."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import brotli
import pytest

from tests.provider import ProviderProcess

from .people import tagged
from .running import running

pytestmark = pytest.mark.long

KEY = "sk-secret-77aa41bc"
SECRET = "the-heron-sleeps-at-noon"


class Sentry(ThreadingHTTPServer):
    """Takes envelopes, as Sentry does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.bodies: list[str] = []
        self.dsn = f"http://public@127.0.0.1:{self.server_address[1]}/1"

    def events(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for body in list(self.bodies) for line in body.splitlines() if line.startswith("{")]
        return [line for line in lines if "event_id" in line and "level" in line]


class _Door(BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        unpack = {"gzip": gzip.decompress, "br": brotli.decompress}.get(
            self.headers.get("Content-Encoding", ""), bytes
        )
        self.server.bodies.append(unpack(body).decode())
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    server = Sentry()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_failed_turn_arrives_with_its_circumstances_and_without_secrets(
    provider: ProviderProcess, sentry: Sentry
) -> None:
    model = tagged("words-error=5")
    environment = {"SENTRY_DSN": sentry.dsn, "OPENAI_API_KEY": KEY, "ASSISTANT_RETRIES": "0"}
    with running(provider, **environment) as product:
        (alice,) = product.people("alice")
        with alice:
            session = alice.new_session(model)
            answer = alice.asked(session, f"Tell nobody that {SECRET}.")
            assert alice.wait_for_end(answer)["status"] == "error"
            wrong_key = alice.asked(
                alice.new_session(), SECRET, tagged("words-403")
            )  # a provider that repeats the key
            assert alice.wait_for_end(wrong_key)["error"]["code"] == "auth"
            user = product.rows("SELECT id FROM auth_user WHERE username = 'alice'")[0][0]
            product.wait_for(lambda: len(_of_turns(sentry)) >= 2, 60)
    told = _of_turns(sentry)
    assert set(told) == {answer, wrong_key}, "each failure once"
    extra = told[answer]["extra"]
    assert (extra["turn_session"], extra["turn_user"], extra["turn_model"]) == (session, user, model)
    assert len(extra["turn_worker"]) == 36 and extra["turn_job"] and extra["turn_attempt"] == 1
    assert 0 <= extra["turn_seconds"] < 60 and extra["turn_memory_mb"] > 10
    everything = "".join(sentry.bodies)
    assert "is not allowed to sample" in everything, "what the provider said"
    for secret in (KEY, SECRET, "w0 w1"):
        assert secret not in everything


def _of_turns(sentry: Sentry) -> dict[str, dict[str, Any]]:
    return {e["extra"]["turn_message"]: e for e in sentry.events() if "turn_message" in e.get("extra", {})}
