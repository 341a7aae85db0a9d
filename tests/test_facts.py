"""What a model can do is learnt once, off the loop: no server that is slow to say it holds up another answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from assistant import llm
from assistant.llm import by_litellm, facts, ollama_show, side_thread, warming
from assistant.llm.pieces import Finish, ModelError, Text

# litellm trips over its own libraries' warnings, which are errors in these tests.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

QUESTION = [{"role": "user", "content": "Hello?"}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
LLAVA = {
    "capabilities": ["completion", "vision", "tools", "thinking"],
    "parameters": "temperature 0.7\nnum_ctx 8192",
    "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
}
TICKS = 50


class Ollama:
    """A server that says what its model can do when it is let, and answers every question with two words."""

    def __init__(self) -> None:
        self.says: Any = LLAVA  # of its model; bytes: as they are
        self.status = 200
        self.let = threading.Event()
        self.let.set()
        self.was_let_in_time = True
        self.shows: list[str] = []
        self.chats: list[dict[str, Any]] = []

    def show(self, model: str) -> bytes:
        self.shows.append(model)
        self.was_let_in_time = self.let.wait(20) and self.was_let_in_time
        return self.says if isinstance(self.says, bytes) else json.dumps(self.says).encode()

    def chat(self, body: dict[str, Any]) -> bytes:
        self.chats.append(body)
        last = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 2}
        lines = [{"content": "Hello"}, {"content": " you"}, {"content": ""}]
        told = [{"model": body["model"], "message": {"role": "assistant"} | line, "done": False} for line in lines]
        return b"".join(json.dumps(one).encode() + b"\n" for one in [*told[:-1], told[-1] | last])


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ollama]:
    fake = Ollama()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_show = self.path == "/api/show"
            answer = fake.show(body["model"]) if is_show else fake.chat(body)
            self.send_response(fake.status if is_show else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # who asked has gone
                self.wfile.write(answer)

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OLLAMA_API_BASE", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(facts, "learnt", {})
    yield fake
    fake.let.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def loops_requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What httpx, by which litellm asks, has been asked to send by the tests' own thread, where the loop runs."""
    sent: list[str] = []
    original = httpx.Client.send

    def send(client: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        if threading.current_thread() is threading.main_thread():
            sent.append(str(request.url))
        return original(client, request, **more)

    monkeypatch.setattr(httpx.Client, "send", send)
    return sent


Answer = Callable[..., Any]


@pytest.fixture
def answer(loop: asyncio.Runner) -> Answer:
    """The text that a model answers to a question."""

    async def text_of(model: str, messages: list[dict[str, Any]], **more: Any) -> str:
        async with aclosing(llm.stream(model, messages, **more)) as pieces:
            return "".join([piece.text async for piece in pieces if isinstance(piece, Text)])

    return lambda model, messages=QUESTION, **more: loop.run(text_of(model, messages, **more))


async def ticking(until: Callable[[], bool] = lambda: False) -> int:
    """A neighbour on the same loop, until it has had its turns."""
    turns = 0
    while turns < TICKS and not until():
        await asyncio.sleep(0.001)
        turns += 1
    return turns


# --- nobody waits with it ---


@pytest.mark.parametrize("lane", [True, False], ids=["fast", "litellm's"])
def test_while_an_ollama_is_slow_to_say_what_it_can_its_neighbours_go_on(
    ollama, loop, settings, loops_requests, lane
):
    settings.ASSISTANT_FAST_LANE = lane
    ollama.let.clear()

    async def scenario() -> list[Any]:
        async def ask() -> list[Any]:
            async with aclosing(llm.stream("ollama_chat/llava", QUESTION)) as pieces:
                return [piece async for piece in pieces]

        asking = asyncio.create_task(ask())
        while not ollama.shows:
            await asyncio.sleep(0.001)
        assert await ticking() == TICKS
        ollama.let.set()  # by nobody else: a loop that stood still would never come here
        return await asking

    pieces = loop.run(scenario())
    assert ollama.was_let_in_time and [p.text for p in pieces if isinstance(p, Text)] == ["Hello", " you"]
    assert pieces[-1] == Finish("stop")
    assert ollama.shows == ["llava"] and loops_requests == []


def test_a_server_that_never_says_it_is_asked_all_the_same(ollama, answer, monkeypatch):
    monkeypatch.setattr(facts, "LOOKUP_SECONDS", 0.2)
    ollama.let.clear()
    assert answer("ollama_chat/llava") == answer("ollama_chat/llava") == "Hello you"
    assert len(ollama.shows) <= 1


@pytest.mark.parametrize(
    ("status", "says"),
    [(404, {"error": "no such model"}), (200, b"<html>"), (200, []), (200, {"capabilities": None, "model_info": 7})],
)
def test_what_no_server_says_is_no_reason_not_to_ask(ollama, answer, status, says):
    ollama.status, ollama.says = status, says
    assert answer("ollama_chat/llava") == "Hello you" and len(ollama.shows) == 1


def test_many_at_once_ask_it_once(ollama, loop):
    async def scenario() -> None:
        await asyncio.gather(*(llm.learn("ollama_chat/llava") for _ in range(20)))

    loop.run(scenario())
    assert ollama.shows == ["llava"]


def test_models_that_nobody_has_are_said_when_a_worker_starts(
    settings: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "_warm_litellm", lambda: None)
    monkeypatch.setattr(warming, "freeze_heap", lambda: None)
    named = ["openai/gpt-5-mini", "demo/assistant", "openai/*", "nonsense/model", "gpt5"]
    settings.ASSISTANT_MODELS = [(name, name) for name in named]
    settings.ASSISTANT_FALLBACK_MODELS = ["ollama/llama3", "nowhere/x"]
    warming.preload()
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [line.split("'")[1] for line in said] == ["gpt5", "nonsense/model", "nowhere/x"]


def test_workers_start_without_asking_any_server(ollama, settings, monkeypatch):
    ollama.let.clear()
    settings.ASSISTANT_MODELS = [("Llava", "ollama_chat/unseen"), ("Copilot", "github_copilot/gpt-4o")]
    monkeypatch.setattr(warming, "freeze_heap", lambda: None)
    warming.preload()
    assert ollama.shows == []


# --- what is learnt, and for how long ---


def test_what_the_server_says_is_what_counts(ollama, loop):
    loop.run(llm.learn("ollama/llava"))
    assert (llm.limit("ollama/llava"), llm.sees("ollama/llava")) == (8_192, True)
    ollama.says = {"capabilities": ["completion"], "model_info": {"qwen.context_length": 4_096}}
    loop.run(llm.learn("ollama/qwen"))
    assert (llm.limit("ollama/qwen"), llm.sees("ollama/qwen")) == (4_096, False)


def test_what_has_run_out_is_looked_up_again_while_the_old_still_serves(ollama, loop, monkeypatch):
    monkeypatch.setattr(facts, "KEPT_SECONDS", 0.0)
    loop.run(llm.learn("ollama/llava"))
    ollama.let.clear()
    ollama.says = LLAVA | {"parameters": "num_ctx 2048"}
    loop.run(llm.learn("ollama/llava"))
    assert llm.limit("ollama/llava") == 8_192
    looking = facts._looking["ollama/llava"]
    ollama.let.set()
    looking.result(20)
    assert llm.limit("ollama/llava") == 2_048 and len(ollama.shows) == 2


def test_a_server_that_was_away_is_asked_again_soon(ollama, loop, monkeypatch):
    monkeypatch.setattr(facts, "FAILED_SECONDS", 0.0)
    ollama.status = 503
    loop.run(llm.learn("ollama/away"))
    assert llm.limit("ollama/away") is None
    ollama.status = 200
    loop.run(llm.learn("ollama/away"))
    assert llm.limit("ollama/away") == 8_192


def test_images_go_to_a_model_that_sees_and_to_no_other_whoever_made_the_prompt_first(ollama, answer):
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]}]
    assert llm.sees("ollama_chat/llava"), "until its server has been asked, it may"
    answer("ollama_chat/llava", messages)
    ollama.says = {"capabilities": ["completion"]}
    answer("ollama_chat/blind", messages)
    seeing, blind = (chat["messages"][0] for chat in ollama.chats)
    assert seeing["images"] and not blind.get("images")
    assert not llm.sees("ollama_chat/blind")


@pytest.mark.parametrize(
    ("told", "reads", "sees", "calls", "thinks"),
    [
        (LLAVA, 8_192, True, True, True),
        ({"capabilities": [], "model_info": {"gemma3.context_length": 32_768}}, 32_768, False, False, False),
        ({"details": {"families": ["llama", "clip"]}, "template": "{{ .Prompt }}"}, None, True, False, False),
        ({"template": "{{ if .Tools }}", "projector_info": {"a": 1}, "model_info": None}, None, True, True, False),
        ({"details": None, "model_info": {"x.context_length": "many"}}, None, False, False, False),
    ],
)
def test_servers_old_and_new_are_understood(told, reads, sees, calls, thinks):
    assert ollama_show.read(told) == ollama_show.Shown(reads, sees, calls, thinks)


@pytest.mark.parametrize("base", ["http://there:1", "http://there:1/", "http://there:1/api/chat", None])
def test_the_address_is_the_one_that_litellm_would_take(monkeypatch, base):
    monkeypatch.setenv("OLLAMA_API_BASE", base) if base else monkeypatch.delenv("OLLAMA_API_BASE", raising=False)
    assert ollama_show.address() == ("http://there:1" if base else "http://localhost:11434")


# --- asked by nobody's leave ---


@pytest.mark.parametrize(
    "model",
    ["ollama/llava", "lemonade/Qwen", "huggingface/meta-llama/Llama-3-8B", "github_copilot/gpt-4o", "openai/unlisted",
     "groq/llama-3.3-70b-versatile", "replicate/meta/llama-2-7b", "anthropic/claude-opus-4-8", "bedrock/x", "vertex_ai/x"],
)  # fmt: skip
def test_what_is_asked_of_facts_never_asks_anybody(monkeypatch, model):
    monkeypatch.setattr(facts, "learnt", {})

    def refuse(*args: Any, **more: Any) -> None:
        raise AssertionError(f"somebody asks {args[:2]}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    llm.limit(model), llm.output_limit(model), llm.sees(model), llm.keys_of(model), llm.is_priced(model)
    assert llm.cost(model, 10, 10) is None or llm.cost(model, 10, 10) >= 0
    assert llm.count(model, QUESTION) > 0


# --- how much it may write ---


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("anthropic/claude-sonnet-4-5", 64_000),
        ("anthropic/claude-3-5-haiku-custom", 8_192),
        ("bedrock/arn:aws:bedrock:eu-west-1:1:application-inference-profile/claude-x", 64_000),
        ("openrouter/anthropic/claude-3-opus", 4_096),
        ("anthropic/claude-opus-4-1@custom", 32_000),
        ("anthropic/claude-opus-99", 64_000),
        ("openai/gpt-4o", 16_384),
        ("openai/nobody-knows-it", None),
    ],
)
def test_the_output_limit_is_the_lists_and_for_every_other_claude_a_generous_one(model, tokens):
    assert llm.output_limit(model) == tokens


def test_a_limit_that_the_provider_has_named_is_kept(monkeypatch):
    monkeypatch.setattr(facts, "output_limits", {})
    llm.note_output_limit("anthropic/claude-next", 8_000)
    llm.note_output_limit("anthropic/claude-next", 0)
    assert llm.output_limit("anthropic/claude-next") == 8_000


# --- litellm's own lane ---


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """litellm stands still, wherever it runs, until this is set."""
    let = threading.Event()

    async def stream(question: Any) -> Any:
        yield Text("One")
        let.wait(20)
        yield Text("two")

    monkeypatch.setattr(by_litellm, "stream", stream)
    yield let
    let.set()


def test_what_blocks_in_litellm_blocks_its_own_answer_only(loop, blocked):
    async def scenario() -> list[Any]:
        came: list[Any] = []
        async with aclosing(llm.stream("demo/assistant", QUESTION)) as pieces:
            async for piece in pieces:
                came.append(piece)
                if len(came) == 1:
                    assert await ticking() == TICKS
                    blocked.set()
        return came

    assert loop.run(scenario()) == [Text("One"), Text("two")]


def test_stopping_does_not_wait_for_what_blocks(loop, blocked, monkeypatch):
    monkeypatch.setattr(side_thread, "ENDING_SECONDS", 0.05)

    async def scenario() -> None:
        async with aclosing(llm.stream("demo/assistant", QUESTION)) as pieces:
            async for _ in pieces:
                break

    loop.run(scenario())
    assert not blocked.is_set()


async def _pieces(*pieces: Any, error: Exception | None = None, closed: list[bool] | None = None) -> Any:
    try:
        for piece in pieces:
            yield piece
        if error:
            raise error
        if closed is not None:
            await asyncio.sleep(3600)
    finally:
        if closed is not None:
            closed.append(True)


def test_all_pieces_come_in_order_and_then_the_error(loop):
    async def scenario() -> list[str]:
        came: list[str] = []
        source = _pieces(*(Text(str(number)) for number in range(5_000)), error=ModelError("timeout", "raw"))
        with pytest.raises(ModelError) as caught:
            async with aclosing(side_thread.streamed("test", lambda: source)) as pieces:
                async for piece in pieces:
                    assert isinstance(piece, Text)
                    came.append(piece.text)
        assert caught.value.code == "timeout"
        return came

    assert loop.run(scenario()) == [str(number) for number in range(5_000)]


@pytest.mark.parametrize("by", ["closing", "cancelling"])
def test_a_stream_that_is_left_is_closed_over_there(loop, by):
    closed: list[bool] = []

    async def scenario() -> None:
        async def read(until: int) -> None:
            async with aclosing(side_thread.streamed("test", lambda: _pieces(Text("a"), closed=closed))) as pieces:
                async for _ in pieces:
                    begun.set()
                    if until:
                        return

        begun = asyncio.Event()
        reading = asyncio.create_task(read(until=by == "closing"))
        await begun.wait()
        if by == "cancelling":
            reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    loop.run(scenario())
    assert closed == [True]


def read_aside(loop: Any, source: Any) -> list[Any]:
    async def scenario() -> list[Any]:
        async with asyncio.timeout(30), aclosing(side_thread.streamed("test", lambda: source)) as pieces:
            return [piece async for piece in pieces]

    return loop.run(scenario())


def test_a_source_that_is_cancelled_from_inside_ends_the_reading(loop):
    with pytest.raises(RuntimeError, match="broken off"):
        read_aside(loop, _pieces(Text("a"), error=asyncio.CancelledError()))


def test_what_blocks_for_longer_than_a_silence_may_last_is_a_timeout(loop, blocked, monkeypatch, settings):
    settings.ASSISTANT_TIMEOUT = 0.05
    monkeypatch.setattr(side_thread, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(side_thread, "ENDING_SECONDS", 0.05)

    async def scenario() -> None:
        async with aclosing(llm.stream("demo/assistant", QUESTION)) as pieces:
            async for _ in pieces:
                pass

    with pytest.raises(ModelError) as caught:
        loop.run(scenario())
    assert caught.value.code == "timeout" and not blocked.is_set()


def test_a_source_that_works_on_one_piece_is_waited_for(loop, monkeypatch, settings):
    """Bytes may come without one: the arguments of a call are told when they are whole."""
    settings.ASSISTANT_TIMEOUT = 0.01
    asked: list[bool] = []
    is_turning = side_thread._Reading._is_turning

    async def noted(reading: Any) -> bool:
        asked.append(await is_turning(reading))
        return asked[-1]

    async def slow() -> Any:
        while len(asked) < 3:
            await asyncio.sleep(0.001)
        yield Text("whole")

    monkeypatch.setattr(side_thread._Reading, "_is_turning", noted)
    assert read_aside(loop, slow()) == [Text("whole")]
