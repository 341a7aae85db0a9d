"""What is used of litellm beyond its documented functions, in one place: an upgrade that moves it fails here, and loudly.

tests/test_litellm_internals.py holds each of them to what it is used for. Each function imports what it needs of it itself:
litellm is loaded on first use (`library`), and a provider's code when somebody asks that provider.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.llm.credentials import check_redirect
from assistant.llm.library import library
from assistant.llm.tokens import Tokens

OLLAMA = frozenset({"ollama", "ollama_chat"})
SIGNING_IN = frozenset({"github_copilot", "chatgpt"})
# Of these litellm asks somebody whenever it is asked about a model, and waits for the answer.
ASKING = OLLAMA | SIGNING_IN | {"lemonade", "huggingface"}

_registering = threading.Lock()


@dataclass(frozen=True, slots=True)
class Target:
    """Whom litellm would ask for a model."""

    provider: str  # by litellm's name
    name: str  # the model's, as the provider knows it
    key: str | None
    base: str | None  # the address, where it says one


def signs_in(model: str) -> bool:
    """Whether litellm signs in somewhere, and waits for that, as soon as it is asked whose `model` is."""
    return model.partition("/")[0] in SIGNING_IN


def target_of(model: str) -> Target:
    """Raises litellm's BadRequestError for an id that it does not know."""
    name, provider, key, base = library().get_llm_provider(model)
    return Target(provider, name, key, base)


def config_of(target: Target) -> Any:
    """litellm's description of a provider's chat protocol, or None."""
    from litellm.types.utils import LlmProviders
    from litellm.utils import ProviderConfigManager

    try:
        provider = LlmProviders(target.provider)
    except ValueError:
        return None
    return ProviderConfigManager.get_provider_chat_config(model=target.name, provider=provider)


# By OpenAI's protocol at one address with one key, beside those that litellm lists as such ...
_MORE = {"openai", "openrouter", "mistral", "minimax", "vllm", "xiaomi_mimo", "scaleway", "ovhcloud"}
# ... and without those of its list that sign in by ways of their own, or answer in a form of their own.
_OTHERS = {"github_copilot", "chatgpt", "ragflow", "clarifai"}


def speaks_openai(target: Target, config: Any) -> bool:
    """Whether a provider is asked and answers by OpenAI's chat protocol, at one address with one key."""
    from litellm.llms.openai.chat.gpt_transformation import OpenAIGPTConfig
    from litellm.llms.openai_like.json_loader import JSONProviderRegistry

    provider = target.provider
    listed = provider in library().openai_compatible_providers or JSONProviderRegistry.exists(provider)
    is_known = (listed or provider in _MORE) and provider not in _OTHERS
    return is_known and (isinstance(config, OpenAIGPTConfig) or provider == "azure_ai")


def is_customised() -> bool:
    """Whether somebody has told litellm how to send what it sends: then it sends it."""
    litellm = library()
    return litellm.ssl_verify is not True or bool(litellm.headers or litellm.callbacks)


def speaks_responses(target: Target, tools: Sequence[Any], effort: Any) -> str | None:
    """The name of a model that is asked by OpenAI's Responses protocol; None: it is not."""
    from litellm.main import responses_api_bridge_check

    served_by, name = responses_api_bridge_check(
        model=target.name,
        custom_llm_provider=target.provider,
        tools=list(tools) or None,
        reasoning_effort=effort,
        api_base=target.base,
    )
    return name if served_by.get("mode") == "responses" else None


def thinks(target: Target) -> bool:
    """Whether litellm lists the model as one that thinks before it answers. Of Ollama's it would ask Ollama."""
    try:
        return bool(library().supports_reasoning(model=target.name, custom_llm_provider=target.provider))
    except Exception:
        return False


def is_chat(target: Target) -> bool:
    """Whether litellm knows no other mode (embedding, image generation, the older completions) of the model."""
    if target.provider in ASKING:
        return True
    try:
        mode = library().get_model_info(target.name, custom_llm_provider=target.provider).get("mode")
    except Exception:
        return True
    return mode in (None, "chat")


def options_of(
    target: Target, tools: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], *, has_usage: bool = True
) -> dict[str, Any]:
    """The parameters of a streamed request by the provider's names; what it doesn't know of them is left out."""
    more: dict[str, Any] = {"tools": [dict(tool) for tool in tools]} if tools else {}
    if has_usage:
        more["stream_options"] = {"include_usage": True}
    found: dict[str, Any] = library().get_optional_params(
        model=target.name,
        custom_llm_provider=target.provider,
        drop_params=True,
        stream=True,
        **more,
        **parameters,
    )
    return found


def body_of(
    config: Any,
    target: Target,
    messages: Sequence[Mapping[str, Any]],
    options: dict[str, Any],
    headers: dict[str, str],
) -> dict[str, Any]:
    """The request's body by the provider's protocol."""
    body: dict[str, Any] = config.transform_request(
        model=target.name, messages=[dict(one) for one in messages], optional_params=options, litellm_params={},
        headers=headers,
    )  # fmt: skip
    return body.pop("extra_body", None) or {} | body


def headers_of(config: Any, target: Target, options: dict[str, Any]) -> dict[str, str]:
    """Raises litellm's AuthenticationError where the key is missing."""
    found: dict[str, str] = config.validate_environment(
        headers={},
        model=target.name,
        messages=[],
        optional_params=options,
        litellm_params={},
        api_key=target.key,
        api_base=target.base,
    )
    return found


def url_of(config: Any, target: Target, options: dict[str, Any]) -> str:
    found: str = config.get_complete_url(
        api_base=target.base,
        api_key=target.key,
        model=target.name,
        optional_params=options,
        litellm_params={},
        stream=True,
    )
    return found


def gemini_body(target: Target, messages: Sequence[Mapping[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    from litellm.llms.vertex_ai.gemini.transformation import transform_request_body

    body: dict[str, Any] = transform_request_body(
        messages=[dict(one) for one in messages],
        model=target.name,
        custom_llm_provider=target.provider,
        litellm_params={},
        cached_content=None,
        optional_params=options,
    )
    return body


def gemini_address(target: Target) -> tuple[dict[str, str], str]:
    """Headers and address, at Google AI Studio or at Vertex AI, where it may sign in over the network: not on a loop.

    Raises what google.auth raises, and ValueError where a key or a project is missing.
    """
    is_vertex = target.provider != "gemini"
    token, project = _vertex().ensure_access_token(
        os.environ.get("VERTEXAI_CREDENTIALS"), os.environ.get("VERTEXAI_PROJECT"), target.provider
    )
    key, url = _vertex().get_token_and_url(
        model=target.name,
        auth_header=token,
        gemini_api_key=target.key,
        vertex_project=project if is_vertex else None,
        vertex_location=os.environ.get("VERTEXAI_LOCATION") or os.environ.get("VERTEX_LOCATION"),
        vertex_credentials=None,
        stream=True,
        custom_llm_provider=target.provider,
        api_base=target.base,
    )
    return (key, url) if isinstance(key, dict) else ({"Authorization": f"Bearer {key}"}, url)


def is_gemini_of_vertex(target: Target) -> bool:
    """Whether a model of Vertex AI is one of Google's own, and no partner's with a protocol of its own."""
    from litellm.llms.vertex_ai.common_utils import VertexAIModelRoute, get_vertex_ai_model_route

    return get_vertex_ai_model_route(target.name) == VertexAIModelRoute.GEMINI


@functools.cache
def _vertex() -> Any:
    """It keeps the tokens that it was given."""
    from litellm.llms.vertex_ai.vertex_llm_base import VertexBase

    return VertexBase()


def spare(model: str) -> None:
    """Keeps litellm from asking Ollama about `model`, whom it asks about whatever it does not list."""
    if model.partition("/")[0] in OLLAMA:
        register(model, {})


def register(model: str, entry: Mapping[str, Any]) -> None:
    """Puts a model that runs on Ollama into litellm's list, by both its names. What is listed litellm asks nobody about.

    The list is replaced, not changed: other threads may be going through it.
    """
    litellm = library()
    name = model.partition("/")[2]
    said = {field: value for field, value in entry.items() if value is not None}
    with _registering:
        listed = litellm.model_cost
        entries = {
            f"{provider}/{name}": {"litellm_provider": provider, "mode": "chat"}
            | listed.get(f"{provider}/{name}", {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0})
            | said
            for provider in ("ollama", "ollama_chat")
        }
        litellm.model_cost = {**listed, **entries}
        litellm.utils._invalidate_model_cost_lowercase_map()


def cost_of(model: str, tokens: Tokens) -> float:
    """US dollars by litellm's list, with its tiers, caches and hours. Raises whatever litellm raises."""
    from litellm.types.utils import (
        CacheCreationTokenDetails,
        CompletionTokensDetailsWrapper,
        PromptTokensDetailsWrapper,
        Usage,
    )

    writes = CacheCreationTokenDetails(
        ephemeral_5m_input_tokens=tokens.cache_write - tokens.cache_write_hour,
        ephemeral_1h_input_tokens=tokens.cache_write_hour,
    )
    usage = Usage(
        prompt_tokens=tokens.read,
        completion_tokens=tokens.written,
        total_tokens=tokens.read + tokens.written,
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=tokens.cached,
            cache_creation_tokens=tokens.cache_write,
            cache_creation_token_details=writes if tokens.cache_write else None,
        ),
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=tokens.thought),
    )
    return float(sum(library().cost_per_token(model=model, usage_object=usage)))


@functools.cache
def look_at_redirects() -> None:
    """Each client that litellm makes from now on refuses what `check_redirect` refuses; by itself it follows anybody.

    An event hook is called before httpx follows. litellm makes its clients in two places, and one at its import.
    """
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
    from litellm.llms.openai.common_utils import BaseOpenAILLM

    async def look(response: Any) -> None:
        if response.has_redirect_location:
            check_redirect(str(response.url), str(response.url.join(response.headers["location"])))

    def looking(make: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(make)
        def made(*args: Any, **kwargs: Any) -> Any:
            client = make(*args, **kwargs)
            if client is not None:
                client.event_hooks["response"].append(look)
            return client

        return made

    library().module_level_aclient.client.event_hooks["response"].append(look)

    AsyncHTTPHandler.create_client = looking(AsyncHTTPHandler.create_client)
    BaseOpenAILLM._get_async_http_client = staticmethod(looking(BaseOpenAILLM._get_async_http_client))


def watch_chunks(response: Any, note: Callable[[Any], None]) -> None:
    """Tells `note` each chunk of a response of `acompletion`, as its provider sent it, before litellm reads it.

    Only where litellm opens the stream with the first chunk and parses it chunk by chunk, as it does with Gemini's.
    """
    make_call = getattr(response, "make_call", None)
    if make_call is None:
        return

    async def opened(*args: Any, **kwargs: Any) -> Any:
        stream = await make_call(*args, **kwargs)
        if parse := getattr(stream, "chunk_parser", None):

            def parsed(chunk: Any) -> Any:
                note(chunk)
                return parse(chunk)

            stream.chunk_parser = parsed
        return stream

    response.make_call = opened
