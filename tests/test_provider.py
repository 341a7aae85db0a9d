"""The scripted provider itself, over real HTTP: the other tests trust it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.provider import ProviderProcess, expected_text, expected_tokens
from tests.provider.script import ScriptError

QUESTION = "Grüße 👋🏽 cafe\u0301?"


@pytest.fixture
def provider(scripted: ProviderProcess) -> ProviderProcess:
    scripted.wait_for(lambda it: it.active() == 0)
    scripted.reset()
    return scripted


@contextmanager
def opened(provider: ProviderProcess, model: str, **body: Any) -> Iterator[httpx.Response]:
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": QUESTION}]} | body
    url = provider.base_url + "/chat/completions"
    with (
        httpx.Client(
            timeout=20, trust_env=False, verify=False
        ) as client,  # certificates take longer to read than a test
        client.stream("POST", url, json=body, headers={"Authorization": "Bearer secret"}) as response,
    ):
        yield response


def events(response: httpx.Response) -> Iterator[str]:
    """The data of the server-sent events; split at bytes, for a text may hold any line separator."""
    rest = b""
    for part in response.iter_raw():
        *whole, rest = (rest + part).split(b"\n\n")
        yield from (event.decode().removeprefix("data: ") for event in whole)


def read(provider: ProviderProcess, model: str, **body: Any) -> list[Any]:
    """All events of an answer, decoded; those that aren't JSON as they are."""
    with opened(provider, model, **body) as response:
        assert response.status_code == 200, response.read()
        return [decoded(event) for event in events(response)]


def decoded(event: str) -> Any:
    try:
        return json.loads(event)
    except ValueError:
        return event


def text_of(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for choice in choices_of(chunks))


def finish_of(chunks: list[Any]) -> list[str]:
    return [choice["finish_reason"] for choice in choices_of(chunks) if choice["finish_reason"]]


def choices_of(chunks: list[Any]) -> list[Any]:
    return [choice for chunk in chunks if isinstance(chunk, dict) for choice in chunk.get("choices", [])]


@pytest.mark.parametrize(
    "model",
    [
        "words", "paced-n30-rate2000", "words-n12-burst=4-pause=0.01", "words-salt",
        "unicode", "unicode-n40-split", "unicode-pieces", "markdown", "markdown-n500",
        "echo", "big=300K", "big=10K-pieces=7", "blank", "empty",
        "words-n3-think=4", "words-n3;first=0.01;tag=any.thing:at,all", "words-n2-dribble=0.0001",
        "words-n3-first=0.05-keepalive=0.01",
    ],
)  # fmt: skip
def test_the_streamed_text_is_the_expected_text(provider: ProviderProcess, model: str) -> None:
    chunks = read(provider, model)
    assert text_of(chunks) == expected_text(model, QUESTION)
    assert finish_of(chunks) == ["stop"]
    assert chunks[-1] == "[DONE]"
    assert provider.requests()[-1]["ended"] == "completed"


def test_sizes_are_exact() -> None:
    assert len(expected_text("big=2M")) == 2 * 1024 * 1024
    assert len(expected_tokens("unicode-n1000")) == 1000
    assert expected_tokens("words-n3") == ["w0", " w1", " w2"]
    assert expected_text("words-n2-salt", "a") != expected_text("words-n2-salt", "b")


def test_code_points_of_one_letter_are_in_different_chunks() -> None:
    tokens = expected_tokens("unicode")
    assert "\u200d" in tokens and "\u0301" in tokens
    assert all(len(token) == 1 for token in tokens)


def test_split_cuts_http_chunks_inside_utf8_sequences(provider: ProviderProcess) -> None:
    with opened(provider, "unicode-n20-split") as response:
        parts = list(response.iter_raw())
    cut = 0
    for part in parts:
        try:
            part.decode()
        except UnicodeDecodeError:
            cut += 1
    assert cut
    assert b"".join(parts).decode()


def test_the_schedule_does_not_drift(provider: ProviderProcess) -> None:
    read(provider, "paced-n40-rate200-burst=4")
    (request,) = provider.requests(times=True)
    planned = [due - request["due_at"][0] for due in request["due_at"]]
    assert planned == pytest.approx([index // 4 * 4 / 200 for index in range(40)])
    assert all(sent >= due for sent, due in zip(request["sent_at"], request["due_at"], strict=True))


@pytest.mark.parametrize("fault", ["cut=3", "reset=3", "cut=0"])
def test_a_cut_connection_breaks_the_body_after_the_tokens(provider: ProviderProcess, fault: str) -> None:
    chunks: list[Any] = []
    with pytest.raises(httpx.TransportError), opened(provider, f"words-{fault}") as response:
        for event in events(response):
            chunks.append(decoded(event))
    assert text_of(chunks) == expected_text(f"words-{fault}")
    assert provider.requests()[-1]["ended"] == fault.partition("=")[0]


@pytest.mark.parametrize("model", ["words-n5-silence=2", "paced-n5000-rate20", "big=40M", "words-n2-hold=1"])
def test_a_client_that_goes_is_noticed(provider: ProviderProcess, model: str) -> None:
    with opened(provider, model) as response:
        stream = events(response)
        next(stream)
        assert provider.active() == 1
    provider.wait_for(lambda it: it.active() == 0)
    (request,) = provider.requests()
    assert request["ended"] == "disconnected"
    assert request["ended_at"] >= request["at"]


def test_silence_keeps_the_socket_open_after_its_tokens(provider: ProviderProcess) -> None:
    model = "words-n5-silence=2"
    with opened(provider, model) as response:
        stream = events(response)
        chunks = [decoded(next(stream)) for _ in range(3)]
        assert text_of(chunks) == expected_text(model) == "w0 w1"
        assert provider.requests()[-1]["ended"] is None


def test_a_client_that_goes_before_the_headers_is_noticed(provider: ProviderProcess) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            provider.base_url + "/chat/completions",
            json={"model": "hang", "messages": []},
            timeout=0.2,
            trust_env=False,
        )
    provider.wait_for(lambda it: it.active() == 0)
    assert provider.requests()[-1]["ended"] == "disconnected"


def test_hold_waits_for_the_release_and_loses_nothing(provider: ProviderProcess) -> None:
    model = "words-n6-hold=4"
    chunks: list[Any] = []
    reader = threading.Thread(target=lambda: chunks.extend(read(provider, model)))
    reader.start()
    provider.wait_for(lambda it: it.held() == 1)
    assert provider.requests()[-1]["tokens"] == 4
    provider.release(f"openai/{model}")
    reader.join(20)
    assert text_of(chunks) == expected_text(model)


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("401", 401, "invalid_api_key"), ("403", 403, None), ("404", 404, "model_not_found"),
        ("429", 429, "rate_limit_exceeded"), ("quota", 429, "insufficient_quota"), ("500", 500, None),
        ("status=503", 503, None), ("context", 400, "context_length_exceeded"),
        ("filter", 400, "content_filter"), ("policy", 400, "content_policy_violation"),
        ("wrods-n3", 400, "invalid_script"),
    ],
)  # fmt: skip
def test_errors_come_as_openai_words_them(
    provider: ProviderProcess, model: str, status: int, code: str | None
) -> None:
    with opened(provider, model) as response:
        response.read()
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["message"]
    assert provider.requests()[-1]["ended"] == "refused"


def test_a_gateway_answers_with_a_page_and_429_says_when_to_come_back(provider: ProviderProcess) -> None:
    with opened(provider, "502") as response:
        assert response.status_code == 502 and "html" in response.headers["content-type"]
    with opened(provider, "429-retryafter=7") as response:
        assert response.headers["retry-after"] == "7"


def test_only_long_conversations_overflow_a_limited_context(provider: ProviderProcess) -> None:
    assert text_of(read(provider, "words-n2-context=1K")) == "w0 w1"
    with opened(provider, "words-n2-context=1K", messages=[{"role": "user", "content": "x" * 1024}]) as response:
        assert response.status_code == 400


def test_failures_are_counted_for_each_question(provider: ProviderProcess) -> None:
    model = "words-n2-fails=1"
    other = [{"role": "user", "content": [{"type": "text", "text": "another"}]}]
    with opened(provider, model) as response:
        assert response.status_code == 503
    with opened(provider, model, messages=other) as response:
        assert response.status_code == 503
    assert text_of(read(provider, model)) == expected_text(model)
    provider.reset()
    with opened(provider, model) as response:
        assert response.status_code == 503


def test_any_fault_can_heal(provider: ProviderProcess) -> None:
    model = "words-n4-finish=length-nodone-fails=1"
    assert finish_of(read(provider, model)) == ["length"]
    assert finish_of(read(provider, model)) == ["stop"]
    assert expected_text("words-n4-cut=1-fails=1") == "w0 w1 w2 w3"
    assert expected_text("words-n4-cut=1-fails=1", attempt=0) == "w0"


def test_streams_end_in_all_the_ways_that_providers_have(provider: ProviderProcess) -> None:
    assert finish_of(read(provider, "words-finish=content_filter")) == ["content_filter"]
    assert finish_of(read(provider, "words-finish=none")) == []
    assert read(provider, "words-nodone")[-1] != "[DONE]"
    broken = read(provider, "words-n4-bad=2")
    assert text_of(broken) == "w0 w1 w2 w3" and any(isinstance(chunk, str) and "broken" in chunk for chunk in broken)
    failed = read(provider, "words-n4-error=2")
    assert text_of(failed) == "w0 w1" and "error" in failed[-1]


def test_usage_comes_last_and_only_when_asked_for(provider: ProviderProcess) -> None:
    assert not any("usage" in chunk for chunk in read(provider, "words-n3") if isinstance(chunk, dict))
    chunks = read(provider, "words-n3", stream_options={"include_usage": True})
    assert chunks[-2]["choices"] == [] and chunks[-2]["usage"]["completion_tokens"] == 3
    chunks = read(provider, "words-usage=11,22", stream_options={"include_usage": True})
    assert chunks[-2]["usage"] == {"prompt_tokens": 11, "completion_tokens": 22, "total_tokens": 33}


def test_tools_are_asked_for_in_fragments_and_then_answered(provider: ProviderProcess) -> None:
    model = "results-tool=weather:city:Paris,days:2-tool=clock-preamble=0"
    chunks = read(provider, model)
    calls = tool_calls(chunks)
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
        ("weather", {"city": "Paris", "days": 2}),
        ("clock", {}),
    ]
    assert finish_of(chunks) == ["tool_calls"]
    asked = {"role": "assistant", "content": None, "tool_calls": [{"id": call["id"]} for call in calls]}
    results = [{"role": "tool", "tool_call_id": call["id"], "content": call["name"] + " done"} for call in calls]
    question = {"role": "user", "content": QUESTION}
    assert text_of(read(provider, model, messages=[question, asked, *results])) == "weather done\nclock done"
    again = read(provider, model, messages=[question, asked, *results, question])
    assert tool_calls(again), "a new question is a new round"


def test_broken_arguments_are_not_json_and_come_after_the_preamble(provider: ProviderProcess) -> None:
    chunks = read(provider, "words-tool=weather:city:Paris-badargs-preamble=2")
    (call,) = tool_calls(chunks)
    with pytest.raises(ValueError):
        json.loads(call["arguments"])
    assert text_of(chunks) == "w0 w1"


def tool_calls(chunks: list[Any]) -> list[dict[str, str]]:
    calls: list[dict[str, str]] = []
    for choice in choices_of(chunks):
        for part in choice["delta"].get("tool_calls", []):
            if part["index"] == len(calls):
                calls.append({"id": part["id"], "name": part["function"]["name"], "arguments": ""})
            calls[part["index"]]["arguments"] += part["function"]["arguments"]
    return calls


def test_a_posted_script_gives_each_request_its_step(provider: ProviderProcess) -> None:
    weather = {"tools": [{"name": "weather", "arguments": {"city": "Łódź"}, "id": "call_x"}]}
    steps: list[Any] = [
        "503",
        weather,
        {"text": "It is fine – 21°.", "rate": 500},
        {"tokens": ["a", "", "b"], "cut": 2},
    ]
    model = provider.script("a-trip", steps).removeprefix("openai/")
    with opened(provider, model) as response:
        assert response.status_code == 503
    (call,) = tool_calls(read(provider, model))
    assert call["id"] == "call_x" and json.loads(call["arguments"]) == {"city": "Łódź"}
    assert text_of(read(provider, model)) == expected_text(steps[2]) == "It is fine – 21°."
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            read(provider, model)
    assert [request["status"] for request in provider.requests(model)] == [503, 200, 200, 200, 200]


def test_a_posted_script_may_count_by_question(provider: ProviderProcess) -> None:
    model = provider.script("two", [{"text": "one"}, {"text": "two"}], per_question=True).removeprefix("openai/")
    other = [{"role": "user", "content": "another"}]
    said = [
        text_of(read(provider, model)),
        text_of(read(provider, model, messages=other)),
        text_of(read(provider, model)),
    ]
    assert said == ["one", "one", "two"]


def test_answers_need_not_be_streamed(provider: ProviderProcess) -> None:
    with opened(provider, "words-n2-tool=clock", stream=False) as response:
        response.read()
    assert response.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "clock"
    with opened(provider, "words-n2", stream=False) as response:
        response.read()
    assert response.json()["choices"][0]["message"]["content"] == "w0 w1"


def test_requests_are_remembered_without_the_key(provider: ProviderProcess) -> None:
    read(provider, "words-n2", temperature=0.5)
    (request,) = provider.requests("openai/words-n2")
    assert request["body"]["temperature"] == 0.5 and request["question"] == QUESTION
    assert "secret" not in json.dumps(request)


@pytest.mark.parametrize("model", ["", "words-nope", "words-n", "rate=fast", "finish=late", "tool=", "words=3"])
def test_misspelt_scripts_are_refused(model: str) -> None:
    with pytest.raises(ScriptError):
        expected_text(model)


def test_a_wrong_step_is_refused_when_it_is_posted(provider: ProviderProcess) -> None:
    with pytest.raises(Exception, match="422"):
        provider.script("wrong", [{"txet": "?"}])


def test_stopping_cuts_the_streams_and_the_port_can_be_taken_again() -> None:
    with ProviderProcess() as provider:
        with pytest.raises(httpx.TransportError), opened(provider, "words-silence=1") as response:
            stream = events(response)
            next(stream)
            process = provider.process
            provider.stop()
            assert process is not None and process.returncode == 0
            list(stream)
        port = provider.port
        provider.start()
        assert provider.port == port
        assert text_of(read(provider, "words-n1")) == "w0"


def test_it_ends_with_the_process_that_started_it() -> None:
    provider = ProviderProcess().start()
    process = provider.process
    assert process is not None and process.stdin is not None
    process.stdin.close()  # what happens to the pipe when its owner is killed
    assert process.wait(20) == 0
    provider.stop()
