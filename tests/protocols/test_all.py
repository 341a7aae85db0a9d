"""What holds for the fakes of all protocols: the same words of a script do the same, and Stop is seen by the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.protocols import ProtocolsProcess
from tests.protocols.asking import plain_client

TEXT = "Well?"
CHAT = {"messages": [{"role": "user", "content": TEXT}], "stream": True}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]}
BEARER = {"Authorization": "Bearer sk"}
# Address after the root, headers and body of one plain question to the model `{}`, as the providers document it.
QUESTIONS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", BEARER, CHAT | {"model": "{}"}),
    "responses": ("/v1/responses", BEARER, {"model": "{}", "input": TEXT, "stream": True}),
    "anthropic": (
        "/anthropic/v1/messages",
        {"x-api-key": "sk", "anthropic-version": "2023-06-01"},
        CHAT | {"model": "{}", "max_tokens": 4096},
    ),
    "gemini": ("/gemini/v1beta/models/{}:streamGenerateContent?alt=sse", {"x-goog-api-key": "AIza"}, CONTENTS),
    "ollama": ("/ollama/api/chat", {}, CHAT | {"model": "{}"}),
    "mistral": ("/mistral/v1/chat/completions", BEARER, CHAT | {"model": "{}"}),
    "deepseek": ("/deepseek/chat/completions", BEARER, CHAT | {"model": "{}"}),
    "openrouter": ("/openrouter/api/v1/chat/completions", BEARER, CHAT | {"model": "{}"}),
    "bedrock": (
        "/bedrock/model/{}/converse-stream",
        BEARER,
        {"messages": [{"role": "user", "content": [{"text": TEXT}]}]},
    ),
}
everywhere = pytest.mark.parametrize("protocol", QUESTIONS)


@contextmanager
def asked(protocols: ProtocolsProcess, protocol: str, model: str) -> Iterator[httpx.Response]:
    path, headers, body = QUESTIONS[protocol]
    body = {name: model if value == "{}" else value for name, value in body.items()}
    with (
        plain_client() as client,
        client.stream("POST", protocols.root + path.format(model), json=body, headers=headers) as response,
    ):
        yield response


def until(words: bytes, parts: Iterator[bytes]) -> bytes:
    """Reads until so much has come; what has come."""
    got = b""
    while words not in got:
        got += next(parts)
    return got


@everywhere
def test_a_held_answer_goes_on_when_it_is_released(protocols: ProtocolsProcess, protocol: str) -> None:
    with asked(protocols, protocol, "words-n4-hold=2") as response:
        rest = response.iter_raw()
        got = until(b"w1", rest)
        assert b"w2" not in got and protocols.wait_for(lambda it: it.held()) == 1
        protocols.release("words-n4-hold=2")
        assert b"w3" in got + b"".join(rest)
    assert protocols.last()["ended"] == "completed"


@everywhere
def test_a_client_that_goes_is_seen(protocols: ProtocolsProcess, protocol: str) -> None:
    with asked(protocols, protocol, "words-n9-silence=2") as response:
        parts = response.iter_raw()
        until(b"w1", parts)
        assert protocols.active() == 1
    protocols.wait_for(lambda it: it.active() == 0)
    assert protocols.last()["ended"] == "disconnected"


@everywhere
def test_a_cut_line_has_no_end(protocols: ProtocolsProcess, protocol: str) -> None:
    with asked(protocols, protocol, "words-n9-cut=3") as response, pytest.raises(httpx.RemoteProtocolError):
        b"".join(response.iter_raw())
    assert (protocols.last()["ended"], protocols.last()["tokens"]) == ("cut", 3)


@everywhere
def test_a_failure_in_mid_stream_comes_after_its_tokens(protocols: ProtocolsProcess, protocol: str) -> None:
    with asked(protocols, protocol, "words-n9-error=3") as response:
        said = b"".join(response.iter_raw())
    assert b"w2" in said and b"w3" not in said
    assert protocols.last()["ended"] == "failed"


@everywhere
def test_failures_are_counted_for_each_question(protocols: ProtocolsProcess, protocol: str) -> None:
    statuses = []
    for _ in range(3):
        with asked(protocols, protocol, "words-n1-429-fails=2") as response:
            statuses.append(response.status_code)
    assert statuses == [429, 429, 200]


@everywhere
def test_a_misspelt_script_is_refused(protocols: ProtocolsProcess, protocol: str) -> None:
    with asked(protocols, protocol, "words-nope") as response:
        assert response.status_code == 400


@pytest.mark.parametrize("protocol", [name for name in QUESTIONS if name not in ("openai", "ollama")])
def test_without_a_key_nobody_is_answered(protocols: ProtocolsProcess, protocol: str) -> None:
    path, _, body = QUESTIONS[protocol]
    with plain_client() as client:
        assert client.post(protocols.root + path.format("words"), json=body).status_code in (401, 403)
