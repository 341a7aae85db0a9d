"""What is used of litellm beyond its documentation, each held to what it is used for: an upgrade that moves it fails."""

import dataclasses

import pytest

from assistant.llm import litellm_internals
from assistant.llm.library import library

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

QUESTION = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells.", "parameters": {"type": "object", "properties": {}}},
}
CLAUDE = litellm_internals.Target("anthropic", "claude-sonnet-4-5", "sk", None)
GEMINI = litellm_internals.Target("gemini", "gemini-2.5-flash", "sk", None)


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    for company in ("ANTHROPIC", "GEMINI", "OPENAI", "MISTRAL"):
        monkeypatch.setenv(f"{company}_API_KEY", "sk-of-a-test")
        monkeypatch.delenv(f"{company}_API_BASE", raising=False)


@pytest.mark.parametrize(
    ("model", "provider", "name", "base"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o", None),
        ("gpt-4o", "openai", "gpt-4o", None),
        ("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5", None),
        ("mistral/mistral-large-latest", "mistral", "mistral-large-latest", "https://api.mistral.ai/v1"),
        ("openrouter/qwen/qwen3", "openrouter", "qwen/qwen3", None),
    ],
)
def test_litellm_says_whom_to_ask(model, provider, name, base):
    target = litellm_internals.target_of(model)
    assert (target.provider, target.name, target.base) == (provider, name, base)


def test_nobody_has_changed_how_litellm_sends(monkeypatch):
    assert not litellm_internals.is_customised()
    monkeypatch.setattr(library(), "headers", {"X-Team": "7"})
    assert litellm_internals.is_customised()


@pytest.mark.parametrize(
    ("model", "speaks"),
    [("openai/x", True), ("groq/x", True), ("openrouter/x", True), ("hosted_vllm/x", True), ("azure/x", False),
     ("anthropic/x", False), ("bedrock/x", False), ("cohere/x", False), ("github_copilot/x", False)],
)  # fmt: skip
def test_who_speaks_openais_protocol_is_known(model, speaks):
    target = (
        litellm_internals.target_of(model)
        if not model.startswith("github")
        else litellm_internals.Target("github_copilot", "x", "", "")
    )
    assert litellm_internals.speaks_openai(target, litellm_internals.config_of(target)) is speaks


def test_models_of_the_responses_protocol_are_known():
    def name_of(model, tools=(), effort=None):
        return litellm_internals.speaks_responses(litellm_internals.target_of(model), tools, effort)

    assert name_of("openai/o3-pro") == "o3-pro"
    assert name_of("openai/responses/gpt-5") == "gpt-5"
    assert name_of("openai/gpt-4o") is None and name_of("openai/unlisted") is None


def test_the_older_completions_are_no_chat():
    assert litellm_internals.is_chat(litellm_internals.target_of("openai/gpt-4o")) and litellm_internals.is_chat(
        litellm_internals.target_of("openai/unlisted")
    )
    assert not litellm_internals.is_chat(litellm_internals.Target("openai", "text-embedding-3-small", "", None))


def test_options_have_the_providers_names():
    asked = {"temperature": 0.5, "max_tokens": 9}
    assert litellm_internals.options_of(litellm_internals.target_of("openai/gpt-4o"), [WEATHER], asked) == {
        "temperature": 0.5, "max_tokens": 9, "stream": True, "stream_options": {"include_usage": True},
        "tools": [WEATHER], "extra_body": {},
    }  # fmt: skip
    options = litellm_internals.options_of(CLAUDE, [WEATHER], asked, has_usage=False)
    assert options["max_tokens"] == 9 and options["tools"][0]["name"] == "weather" and options["stream"] is True


def test_claude_is_asked_in_its_own_form():
    config = litellm_internals.config_of(CLAUDE)
    options = litellm_internals.options_of(CLAUDE, [], {}, has_usage=False)
    headers = litellm_internals.headers_of(config, CLAUDE, options)
    assert headers["x-api-key"] == "sk" and headers["anthropic-version"]
    prompt = [{"role": "system", "content": "Be kind."}, *QUESTION]
    body = litellm_internals.body_of(config, CLAUDE, prompt, options, headers)
    assert body["system"][0]["text"] == "Be kind." and body["messages"][0]["content"][0]["text"] == "Hello"
    assert body["stream"] is True and body["max_tokens"] > 0


def test_claudes_thoughts_go_back_before_their_calls():
    config = litellm_internals.config_of(CLAUDE)
    blocks = [
        {"type": "thinking", "thinking": "Rain?", "signature": "s1g"},
        {"type": "redacted_thinking", "data": "x"},
    ]
    call = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call], "thinking_blocks": blocks}
    told = {"role": "tool", "tool_call_id": "toolu_1", "content": "Sun."}
    options = litellm_internals.options_of(CLAUDE, [WEATHER], {}, has_usage=False)
    body = litellm_internals.body_of(config, CLAUDE, [*QUESTION, asked, told], options, {})
    content = body["messages"][1]["content"]
    assert content[:2] == blocks and content[2]["type"] == "tool_use"


def test_gemini_is_asked_in_its_own_form_with_its_signatures():
    signed = {"provider_specific_fields": {"thought_signature": "c2lnbmVk"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}} | signed
    told = {"role": "tool", "tool_call_id": "call_1", "content": "Sun."}
    options = litellm_internals.options_of(GEMINI, [WEATHER], {}, has_usage=False)
    body = litellm_internals.gemini_body(
        GEMINI, [*QUESTION, {"role": "assistant", "content": None, "tool_calls": [call]}, told], options
    )
    parts = body["contents"][1]["parts"]
    assert parts[0]["function_call"]["name"] == "weather" and parts[0]["thoughtSignature"] == "c2lnbmVk"
    headers, url = litellm_internals.gemini_address(GEMINI)
    assert headers == {"x-goog-api-key": "sk"}
    assert url.endswith("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
    _, elsewhere = litellm_internals.gemini_address(dataclasses.replace(GEMINI, base="http://127.0.0.1:1"))
    assert elsewhere.startswith("http://127.0.0.1:1/") and "alt=sse" in elsewhere
