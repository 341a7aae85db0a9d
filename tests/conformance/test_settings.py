"""A wrong setting of a provider is named as one, and a right one wins over what the environment holds by chance."""

from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from assistant import llm
from assistant.llm import errors
from assistant.llm.credentials import WrongSetting, check_address
from tests.conformance.case import ended, said, sse
from tests.conformance.playing import Answer, Player, playing

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
BODY = Answer(sse(said("Fine."), ended()))


@pytest.fixture(params=[True, False], ids=["lane", "litellm"])
def configured(request: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    settings.ASSISTANT_FAST_LANE = request.param
    settings.ASSISTANT_TIMEOUT = 5.0
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key")
    return monkeypatch


async def answered(model: str = "openai/m") -> str:
    text = ""
    async with aclosing(llm.stream(model, [{"role": "user", "content": "Hello?"}])) as pieces:
        async for piece in pieces:
            text += piece.text if isinstance(piece, llm.Text) else ""
    return text


def failure(loop: asyncio.Runner) -> llm.ModelError:
    with pytest.raises(llm.ModelError) as raised:
        loop.run(answered())
    return raised.value


@pytest.mark.parametrize(
    "key", ["sk-secret\n", " sk-secret", "sk-sec ret", "sk-sécret", "sk-“secret”", "sk-\x07secret"]
)
def test_a_key_that_no_header_may_hold_is_named_and_not_told(configured, loop, key):
    configured.setenv("OPENAI_API_KEY", key)
    error = failure(loop)
    assert (error.code, error.detail, error.is_transient) == ("auth", errors.WRONG_SETTING, False)
    assert "OPENAI_API_KEY" in error.raw and "ret" not in error.raw


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:9/v1", "localhost/v1", "htp://127.0.0.1:9", "http:/127.0.0.1:9/v1", "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:port/v1", "http://127.0.0.1:0/v1", "http://local host:9/v1", "http://127.0.0.1:9/v1\n",
        "//127.0.0.1:9/v1", "http://:9/v1",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_named(configured, loop, address):
    configured.setenv("OPENAI_API_BASE", address)
    error = failure(loop)
    assert (error.code, error.detail, error.is_transient) == ("provider_error", errors.WRONG_SETTING, False)
    assert "OPENAI_API_BASE" in error.raw


@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1:9/v1", "me:secret@127.0.0.1:9/v1"])
def test_a_password_in_an_address_is_named_and_not_told(configured, loop, address):
    configured.setenv("OPENAI_API_BASE", address)
    error = failure(loop)
    assert "OPENAI_API_BASE" in error.raw and "secret" not in error.raw and not error.is_transient


@pytest.mark.parametrize(
    "path", ["/models/gemini-1.0-pro@001:streamGenerateContent", "/run/@cf/meta/llama", "/?a=b@c"]
)
def test_an_at_in_the_path_of_an_address_is_no_password(path):
    check_address(f"http://127.0.0.1:9{path}", "IT")


@pytest.mark.parametrize("address", ["http://me:sec/ret@127.0.0.1/", "http://[me:secret@127.0.0.1", "me:secret@x y"])
def test_a_password_is_not_told_wherever_it_ends_up(address):
    with pytest.raises(WrongSetting) as raised:
        check_address(address, "IT")
    assert "IT" in str(raised.value) and "ret" not in str(raised.value)


@pytest.mark.parametrize("broken", ["learn", "dialect.adapted", "caching.takes_marks", "limits.fitting"])
def test_what_fails_before_a_request_is_made_is_an_error_like_any_other(monkeypatch, loop, broken):
    def fails(*_: Any, **__: Any) -> Any:
        raise KeyError("odd")

    monkeypatch.setattr(f"assistant.llm.{broken}", fails)
    assert failure(loop).code == "provider_error"


def test_an_address_where_nobody_answers_is_told_and_asked_again(configured, loop):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        configured.setenv("OPENAI_API_BASE", f"http://127.0.0.1:{port}/v1")
        error = failure(loop)
    assert (error.code, error.is_transient) == ("provider_error", True)


def played(loop: asyncio.Runner, configured: pytest.MonkeyPatch, *answers: Answer) -> tuple[str, Player]:
    async def scenario() -> tuple[str, Player]:
        async with playing() as player:
            player.load(*answers)
            configured.setenv("OPENAI_API_BASE", f"{player.url}/v1")
            return await answered(), player

    return loop.run(scenario())


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_server_on_this_machine_is_asked_past_the_environments_proxy(configured, loop, settings, name):
    if not settings.ASSISTANT_FAST_LANE:
        pytest.skip("litellm's own client goes by the proxy")
    configured.setenv(name, "http://127.0.0.1:9")
    assert played(loop, configured, BODY)[0] == "Fine."


def test_a_password_of_netrc_does_not_take_the_keys_place(configured, loop, tmp_path: Path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    netrc.chmod(0o600)
    configured.setenv("NETRC", str(netrc))
    configured.setenv("HOME", str(tmp_path))
    text, player = played(loop, configured, BODY)
    assert text == "Fine." and player.requests[0].headers["authorization"] == "Bearer sk-very-secret-key"


def test_neither_a_key_nor_a_question_is_sent_on_to_another_host(configured, loop):
    async def scenario() -> tuple[Player, Player]:
        async with playing() as first, playing() as other:
            elsewhere = other.url.replace("127.0.0.1", "localhost")
            first.load(Answer(b"", 307, "", (("Location", f"{elsewhere}/v1"),), end="length"))
            other.load(BODY)
            configured.setenv("OPENAI_API_BASE", f"{first.url}/v1")
            with pytest.raises(llm.ModelError, match="provider_error") as refused:
                await answered()
            assert "http://127.0.0.1 redirects to http://localhost" in refused.value.raw
            return first, other

    first, other = loop.run(scenario())
    assert len(first.requests) == 1 and not other.requests
