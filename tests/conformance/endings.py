"""Why a model stopped, in everybody's words."""

from __future__ import annotations

from tests.conformance.case import Case, asked, call, case, delta, ended, said, sse

MEANT = {
    "stop": ("stop", "STOP", "end_turn", "stop_sequence", "eos", "eos_token", "COMPLETE", "completed", "Stop"),
    "tool_calls": ("tool_calls", "tool_use", "function_call"),
    "length": ("length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "token_limit_hit", "timeout"),
    "context_length": ("model_context_window_exceeded",),
    "content_filter": ("content_filter", "SAFETY", "RECITATION", "sensitive", "PROHIBITED_CONTENT", "guardrail_intervened"),
    "refusal": ("refusal",),
    "pause": ("pause_turn",),
    "other": ("something_new", "OTHER", "FINISH_REASON_UNSPECIFIED"),
}  # fmt: skip
FAILED = (
    "upstream_error",
    "engine_failure",
    "error",
    "abort",
    "network_error",
    "insufficient_system_resource",
    "MALFORMED_FUNCTION_CALL",
    "ERROR",
)
WHOLE_CALL = asked(call(0, "c1", "weather", '{"city":"Paris"}'))
PARIS = (("weather", '{"city":"Paris"}'),)

CASES: list[Case] = [
    *(
        case(f"ends with {word}", sse(said("Words."), ended(word)), text="Words.", finish=meaning)
        for meaning, words in MEANT.items()
        for word in words
    ),
    *(
        case(
            f"fails with {word}",
            sse(said("Words."), ended(word)),
            text="Words.",
            error="provider_error",
            words=(word,),
        )
        for word in FAILED
    ),
    case("fails before it has begun", sse(ended("error")), error="provider_error", is_transient=True),
    case(
        "a reason that is a number",
        sse(said("Words."), ended(7)),
        text="Words.",
        finish=None,
        litellm_reads_otherwise="its classes know texts alone",
    ),
    case(
        "a reason that is a list",
        sse(said("Words."), ended(["stop"])),
        text="Words.",
        finish=None,
        litellm_reads_otherwise="its classes know texts alone",
    ),
    case("no reason", sse(said("Words.")), text="Words.", finish=None),
    case("no reason and no [DONE]", sse(said("Words."), done=False), text="Words.", finish=None),
    case("the reason null", sse(said("Words."), ended(None)), text="Words.", finish=None),
    case(
        "the context is full, and nothing was said",
        sse(ended("model_context_window_exceeded")),
        error="context_overflow",
    ),
    # --- calls, whatever the reason says of an end that is in order ---
    *(
        case(f"calls with {word}", sse(WHOLE_CALL, ended(word)), calls=PARIS, finish=meaning)
        for word, meaning in (
            ("stop", "stop"),
            ("tool_use", "tool_calls"),
            ("function_call", "tool_calls"),
            ("end_turn", "stop"),
            ("TOOL_CALLS", "tool_calls"),
        )
    ),
    case("calls and an output limit", sse(WHOLE_CALL, ended("length")), calls=PARIS, finish="length"),
    # --- refusals ---
    case(
        "OpenAI's refusal",
        sse(delta(refusal="I can't "), delta(refusal="do that."), ended()),
        text="I can't do that.",
        finish="refusal",
        litellm_reads_otherwise="its classes leave `refusal` out",
    ),
    case("a refusal that is null", sse(delta(refusal=None, content="Words."), ended()), text="Words.", finish="stop"),
    case(
        "a refusal among parts",
        sse(said([{"type": "refusal", "refusal": "I can't."}]), ended()),
        text="I can't.",
        finish="refusal",
        litellm_reads_otherwise="its classes know texts alone",
    ),
    case("a refusal without a word", sse(ended("refusal")), finish="refusal"),
]
