"""How a model's answer ended, in one vocabulary for whatever providers call it. Pure.

`stop` and `tool_calls`: it is whole. `length`: it came to its output limit; `context_length`: to the end of what the model
can read. `content_filter`: the provider's filter ended it; `refusal`: the model declined. `pause`: the provider wants to be
asked again. `error`: it failed; `other`: it ended, and nobody knows why.

Sources: the API references of OpenAI, Anthropic, Google (FinishReason), Mistral, Cohere, DeepSeek, Ollama, Amazon Bedrock
and TGI.
"""

from __future__ import annotations

STOP, TOOL_CALLS, LENGTH, CONTEXT_LENGTH = "stop", "tool_calls", "length", "context_length"
CONTENT_FILTER, REFUSAL, PAUSE, ERROR, OTHER = "content_filter", "refusal", "pause", "error", "other"

_WORDS: dict[str, tuple[str, ...]] = {
    STOP: ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "eos_found", "complete", "completed", "end", "done",
           "finished", "finish", "success", "normal", "endoftext", "stop_token"),
    TOOL_CALLS: ("tool_calls", "tool_call", "tool_use", "function_call", "function_calls", "tooluse"),
    LENGTH: ("length", "max_tokens", "max_output_tokens", "max_new_tokens", "max_length", "model_length", "token_limit",
             "max_tokens_reached", "limit", "max_completion_tokens"),
    CONTEXT_LENGTH: ("model_context_window_exceeded", "context_length_exceeded", "context_window_exceeded",
                     "context_length"),
    CONTENT_FILTER: ("content_filter", "content_filtered", "safety", "recitation", "blocklist", "prohibited_content",
                     "spii", "language", "image_safety", "image_prohibited_content", "image_recitation", "sensitive",
                     "error_toxic",
                     "guardrail_intervened", "guardrails", "moderation", "blocked", "model_armor"),
    REFUSAL: ("refusal", "refused"),
    PAUSE: ("pause_turn",),
    ERROR: ("error", "abort", "aborted", "network_error", "insufficient_system_resource", "malformed_function_call",
            "unexpected_tool_call", "too_many_tool_calls", "missing_thought_signature", "malformed_response", "cancelled",
            "canceled", "failed", "interrupted", "malformed_model_output", "malformed_tool_use", "load", "unload",
            "overloaded"),
}  # fmt: skip
_BY_WORD = {word: ending for ending, words in _WORDS.items() for word in words}

# Of a word that isn't among them, in this order.
_BY_PART = (
    ("error", ERROR), ("fail", ERROR), ("abort", ERROR), ("exception", ERROR), ("unavailable", ERROR),
    ("context", CONTEXT_LENGTH),
    ("filter", CONTENT_FILTER), ("safety", CONTENT_FILTER), ("moderat", CONTENT_FILTER), ("sensitive", CONTENT_FILTER),
    ("blocked", CONTENT_FILTER), ("refus", REFUSAL), ("length", LENGTH), ("max_", LENGTH), ("limit", LENGTH),
    ("timeout", LENGTH), ("budget", LENGTH),
)  # fmt: skip


def of(said: object) -> str | None:
    """What a provider's word for the end means; None: it said none. A word that nobody knows is `other`."""
    if not isinstance(said, str):
        return None
    word = said.replace("\x00", "").strip().lower().replace("-", "_").replace(" ", "_")
    if not word:
        return None
    if word in ("null", "none", "finish_reason_unspecified", "incomplete"):
        return None if word in ("null", "none") else OTHER
    return _BY_WORD.get(word) or next((ending for part, ending in _BY_PART if part in word), OTHER)
