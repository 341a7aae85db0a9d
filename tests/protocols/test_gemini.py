"""The fake of Gemini's API: others understand it, and it refuses what the real one refuses."""

from typing import Any

import pytest

from tests.protocols import ProtocolsProcess
from tests.protocols.asking import TWO_PLACES, WEATHER, events_of, heard, post, with_results
from tests.protocols.gemini import DUMMIES

ASKED = {"role": "user", "parts": [{"text": "Well?"}]}
CALL = {"functionCall": {"name": "weather", "args": {"city": "Paris"}}}
RESULT = {"functionResponse": {"name": "weather", "response": {"content": "sunny"}}}
DECLARED = {"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}
PARIS = "tool=weather:city:Paris"


def ask(
    protocols: ProtocolsProcess, model: str = "words-n3", *contents: Any, stream: bool = False, **body: Any
) -> Any:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    url = f"{protocols.root}/gemini/v1beta/models/{model}:{method}"
    return post(url, {"contents": list(contents) or [ASKED]} | body, {"x-goog-api-key": "AIza"})


def error_of(response: Any) -> str:
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    return error["message"]


def model(*parts: Any) -> Any:
    return {"role": "model", "parts": list(parts)}


def user(*parts: Any) -> Any:
    return {"role": "user", "parts": list(parts)}


def test_litellm_reads_text_thoughts_and_figures(protocols: ProtocolsProcess, loop: Any) -> None:
    answer = loop.run(heard("gemini/words-n4-think=3-usage=100,9-cached=40,0", "Well?"))
    assert (answer.text, answer.reasoning) == ("w0 w1 w2 w3", "r0 r1 r2")
    assert answer.usage["prompt_tokens"] == 100 and answer.usage["completion_tokens"] == 9
    assert answer.usage["completion_tokens_details"]["reasoning_tokens"] == 3
    assert answer.usage["prompt_tokens_details"]["cached_tokens"] == 40
    assert protocols.last()["protocol"] == "gemini" and protocols.problems() == []


@pytest.mark.parametrize("name", ["", "gemini-3-pro-preview~"])
def test_a_round_of_calls_goes_on_with_its_signature(protocols: ProtocolsProcess, loop: Any, name: str) -> None:
    asked_model, asked = f"gemini/{name}results-think=2-{TWO_PLACES}", [{"role": "user", "content": "Well?"}]
    first = loop.run(heard(asked_model, asked, tools=[WEATHER]))
    assert first.calls == [("weather", '{"city": "Paris"}'), ("weather", '{"city": "Oslo"}')]
    second = loop.run(heard(asked_model, with_results(asked, first), tools=[WEATHER]))
    assert second.text == 'sunny in {"city": "Paris"}\nsunny in {"city": "Oslo"}'
    parts = protocols.last()["body"]["contents"][1]["parts"]
    assert ["thoughtSignature" in part for part in parts if "function_call" in part] == [True, False]
    assert protocols.problems() == []


def signed_call(protocols: ProtocolsProcess, asked_model: str) -> Any:
    (part,) = ask(protocols, asked_model).json()["candidates"][0]["content"]["parts"]
    return part


@pytest.mark.parametrize("asked_model", [f"words-{PARIS}-think=1-hidden", f"gemini-3-flash~words-{PARIS}"])
def test_a_signature_that_is_missing_or_changed_is_refused(protocols: ProtocolsProcess, asked_model: str) -> None:
    part = signed_call(protocols, asked_model)

    def again(sent: Any) -> Any:
        return ask(protocols, asked_model, ASKED, model(sent), user(RESULT))

    assert again(part).status_code == 200
    assert "missing a thought_signature in functionCall parts" in error_of(again(CALL))
    assert "`default_api:weather` , position 2" in error_of(again(CALL))
    other = part | {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}
    assert error_of(again(other)) == "Corrupted thought signature."
    assert "Base64 decoding failed" in error_of(again(part | {"thoughtSignature": "a"}))
    assert all(again(CALL | {"thoughtSignature": dummy}).status_code == 200 for dummy in DUMMIES)


def test_only_the_running_turn_needs_its_signatures(protocols: ProtocolsProcess) -> None:
    contents = [ASKED, model(CALL), user(RESULT), model({"text": "Sunny."}), ASKED]
    assert ask(protocols, "gemini-3-pro~words", *contents).status_code == 200
    assert ask(protocols, "gemini-2.5-pro~words", *contents[:3]).status_code == 200
    assert ask(protocols, "gemini-3-pro~words", *contents[:3]).status_code == 400


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ([user()], "contents[0].parts: contents.parts must not be empty"),
        ([user({"text": ""})], "required oneof field 'data' must have one initialized field"),
        ([{"role": "assistant", "parts": [{"text": "?"}]}], "Please use a valid role: user, model."),
        ([ASKED | {"name": "Alice"}], "Unknown name \"name\" at 'contents[0]': Cannot find field."),
        ([user({"text": "?", "foo": 1})], "Unknown name \"foo\" at 'contents[0].parts[0]'"),
        ([ASKED, model({"text": "So"})], "multiturn requests ends with a user role or a function response"),
        ([ASKED, model({"text": "So"}), model(CALL), user(RESULT)], "function call turn comes immediately after"),
        ([ASKED, user(RESULT)], "function response turn comes immediately after a function call turn"),
        ([ASKED, model(CALL), ASKED], "the number of function response parts is equal to"),
        ([ASKED, model(CALL, CALL), user(RESULT)], "the number of function response parts is equal to"),
        ([ASKED, model({"functionCall": {"name": "a b"}}), user(RESULT)], "Invalid function name"),
        (
            [ASKED, model(CALL), user({"functionResponse": {"name": "weather", "response": "sunny"}})],
            "function_response.response' (type.googleapis.com/google.protobuf.Struct)",
        ),
        ([user({"inlineData": {"mimeType": "image/png", "data": "data:image/png;base64,aaaa"}})], "Base64 decoding"),
    ],
)
def test_contents_that_break_a_rule_are_refused(protocols: ProtocolsProcess, contents: list[Any], said: str) -> None:
    assert said in error_of(ask(protocols, "words", *contents))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": []}, 'Unknown name "messages": Cannot find field.'),
        ({"generationConfig": {"max_tokens": 9}}, "Unknown name \"maxTokens\" at 'generation_config'"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}}},
            "only set only one",
        ),
        ({"systemInstruction": {"parts": [{"text": ""}]}}, "system_instruction.parts[0].data: required oneof"),
    ],
)
def test_fields_that_break_a_rule_are_refused(protocols: ProtocolsProcess, body: Any, said: str) -> None:
    assert said in error_of(ask(protocols, "words", **body))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "additionalProperties": False}, 'Unknown name "additionalProperties"'),
        ({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}, "Proto field is not repeating"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, "properties[a].items: missing field."),
        ({"type": "object", "required": ["a"]}, "required[0]: property is not defined"),
        ({"type": "string", "format": "uri"}, "only 'enum' and 'date-time' are supported"),
    ],
)
def test_schemas_of_json_schema_are_refused(protocols: ProtocolsProcess, schema: Any, said: str) -> None:
    tools = [{"function_declarations": [DECLARED | {"parameters": schema}]}]
    assert said in error_of(ask(protocols, "words", tools=tools))
    free = {"name": "weather", "parametersJsonSchema": schema}
    assert ask(protocols, "words", tools=[{"function_declarations": [free]}]).status_code == 200


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "STOP"), ("length", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("recitation", "RECITATION"),
        ("refusal", "PROHIBITED_CONTENT"), ("malformed", "MALFORMED_FUNCTION_CALL"),
    ],
)  # fmt: skip
def test_it_says_why_it_ends(protocols: ProtocolsProcess, word: str, reason: str) -> None:
    *chunks, last = [chunk["candidates"][0] for chunk in events_of(ask(protocols, f"finish={word}", stream=True))]
    assert last["finishReason"] == reason and not any("finishReason" in chunk for chunk in chunks)


def test_arguments_that_cannot_be_read_are_a_malformed_call(protocols: ProtocolsProcess) -> None:
    (chunk,) = events_of(ask(protocols, f"{PARIS}-badargs", stream=True))
    assert chunk["candidates"][0]["finishReason"] == "MALFORMED_FUNCTION_CALL"


def test_some_say_stop_with_every_piece(protocols: ProtocolsProcess) -> None:
    chunks = events_of(ask(protocols, "words-n3-stops", stream=True))
    assert [chunk["candidates"][0]["finishReason"] for chunk in chunks] == ["STOP"] * 4


@pytest.mark.parametrize(("word", "reason"), [("filter", "SAFETY"), ("policy", "PROHIBITED_CONTENT")])
def test_a_prompt_that_is_blocked_has_no_candidates(protocols: ProtocolsProcess, word: str, reason: str) -> None:
    (chunk,) = events_of(ask(protocols, word, stream=True))
    assert chunk["promptFeedback"] == {"blockReason": reason} and "candidates" not in chunk


def test_sources_and_images_come(protocols: ProtocolsProcess) -> None:
    *_, picture, last = events_of(ask(protocols, "words-n2-cite=2-picture", stream=True))
    assert picture["candidates"][0]["content"]["parts"][0]["inlineData"]["mimeType"] == "image/png"
    chunks = last["candidates"][0]["groundingMetadata"]["groundingChunks"]
    assert chunks[1]["web"] == {"uri": "https://example.org/source/1", "title": "Source 1"}


@pytest.mark.parametrize(
    ("asked_model", "status", "word", "said"),
    [
        ("429-retryafter=7", 429, "RESOURCE_EXHAUSTED", "exceeded your current quota"),
        ("503", 503, "UNAVAILABLE", "overloaded"),
        ("401", 400, "INVALID_ARGUMENT", "API key not valid"),
        ("404", 404, "NOT_FOUND", "models/404 is not found"),
        ("context=4", 400, "INVALID_ARGUMENT", "The input token count (2) exceeds the maximum"),
    ],
)
def test_errors_come_in_its_words(
    protocols: ProtocolsProcess, asked_model: str, status: int, word: str, said: str
) -> None:
    answer = ask(protocols, asked_model)
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (status, word) and said in error["message"]
    assert "retry-after" not in answer.headers
    if status == 429:
        assert error["details"][0]["retryDelay"] == "7s"


def test_an_error_in_mid_stream_is_an_event(protocols: ProtocolsProcess) -> None:
    assert events_of(ask(protocols, "words-error=2", stream=True))[-1]["error"]["status"] == "UNAVAILABLE"


def test_litellm_asks_vertex_with_a_service_account(
    protocols: ProtocolsProcess, loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in protocols.vertex_environment().items():
        monkeypatch.setenv(name, value)
    answer = loop.run(heard("vertex_ai/gemini-2.5-pro~words-n2-think=1", "Well?"))
    assert (answer.text, answer.reasoning) == ("w0 w1", "r0")
    assert "/projects/project/locations/us-central1/publishers/google/" in protocols.last()["path"]


def test_vertex_has_other_paths_and_other_words(protocols: ProtocolsProcess) -> None:
    address = f"{protocols.root}/v1/projects/p/locations/l/publishers/google/models"
    body = {"contents": [ASKED, model(CALL), user(RESULT)]}
    answer = post(f"{address}/gemini-3-pro~words:generateContent", body, {"Authorization": "Bearer ya29"})
    assert "function call `weather` in the 2. content block is missing a `thought_signature`" in error_of(answer)


def test_an_image_is_seen(protocols: ProtocolsProcess, loop: Any) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = loop.run(heard("gemini/images", [{"role": "user", "content": content}]))
    assert answer.text == "image/png, 8 bytes"
