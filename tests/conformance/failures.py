"""Errors, wherever they stand and whatever form they have: their category, their words, and whether to ask again."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.case import Case, as_json, case, delta, ended, said, sse
from tests.conformance.playing import Answer

WORDS = ("the provider's words",)
SAID = "the provider's words"
STREAM = "it reads an event stream whatever the answer is"
ITS_OWN = "it reads errors in OpenAI's form alone"
FORMS: dict[str, Any] = {
    "error as a text": {"error": SAID},
    "error as an object": {"error": {"message": SAID}},
    "error with a code that is a status": {"error": {"message": SAID, "code": 500}},
    "error with a status that is a text": {"error": {"message": SAID, "code": "500", "status": "INTERNAL"}},
    "error within an error": {"error": {"error": {"message": SAID}}},
    "object: error": {"object": "error", "message": SAID, "type": "InternalServerError", "code": 500},
    "type: error": {"type": "error", "error": {"type": "api_error", "message": SAID}},
    "detail as a text": {"detail": SAID},
    "detail as a list": {"detail": [{"loc": ["body"], "msg": SAID, "type": "x"}]},
    "message alone": {"message": SAID},
    "errors as a list": {"errors": [{"code": 7, "message": SAID}], "success": False},
    "errors as texts": {"errors": [SAID]},
    "base_resp": {"base_resp": {"status_code": 1024, "status_msg": SAID}, "choices": None},
    "error_msg": {"error_code": 336000, "error_msg": SAID},
    "success: false": {"success": False, "info": {"message": SAID}},
    "Message": {"Message": SAID},
    "status: error": {"status": "error", "msg": SAID},
    "error beside choices": {"error": {"message": SAID}} | ended("error", content=""),
}  # fmt: skip


def failed(name: str, *bodies: bytes | Answer, error: str = "provider_error", **more: Any) -> Case:
    return case(name, *bodies, error=error, words=more.pop("words", WORDS), **more)


def openai(message: str, code: Any = None, type_: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


CASES: list[Case] = [
    # --- in the stream ---
    *(
        failed(
            f"in the stream: {form}",
            sse(said("One"), body),
            text="One",
            is_transient=True,
            litellm_reads_otherwise=ITS_OWN,
        )
        for form, body in FORMS.items()
    ),
    *(
        failed(f"with status 200, as JSON: {form}", as_json(body), is_transient=True, litellm_reads_otherwise=STREAM)
        for form, body in FORMS.items()
    ),
    *(
        failed(f"with status 500: {form}", as_json(body, status=500), is_transient=True)
        for form, body in FORMS.items()
    ),
    failed("event: error with JSON", b"event: error\n" + sse({"message": SAID}), litellm_reads_otherwise=ITS_OWN),
    failed(
        "event: error with words",
        sse(said("One"), done=False) + b"event: error\ndata: the provider's words\n\n",
        text="One",
        litellm_reads_otherwise=ITS_OWN,
    ),
    failed("event: error with an error", b"event: error\n" + sse(openai(SAID))),
    failed(
        "error: as a field of the stream",
        sse(said("One"), done=False) + b'error: {"code": 500, "message": "the provider\'s words"}\n\n',
        text="One",
        litellm_reads_otherwise=ITS_OWN,
    ),
    failed(
        "a list of one error",
        as_json([{"error": {"code": 503, "message": SAID, "status": "UNAVAILABLE"}}], status=503),
        is_transient=True,
    ),
    failed(
        "a list of one error with status 200",
        as_json([{"error": {"code": 503, "message": SAID}}]),
        is_transient=True,
        litellm_reads_otherwise=STREAM,
    ),
    failed(
        "an error after the reason",
        sse(said("One"), ended(), {"error": {"message": SAID}}),
        text="One",
        litellm_reads_otherwise="it ends at the reason",
    ),
    failed(
        "upstream's words in an error",
        sse(
            {
                "error": {
                    "message": "Provider returned error",
                    "code": 502,
                    "metadata": {"raw": json.dumps({"error": {"message": SAID}})},
                }
            }
        ),
        is_transient=True,
    ),
    case("error: null", sse(said("One") | {"error": None}, ended() | {"error": ""}), text="One", finish="stop"),
    # --- no JSON ---
    failed(
        "a page with status 200",
        Answer(
            b"<!doctype html><html><head><title>x</title></head><body>the provider's words</body></html>",
            kind="text/html",
        ),
        litellm_reads_otherwise=STREAM,
    ),
    failed(
        "a page with status 200 that calls itself a stream",
        Answer(b"<html>\n<body>\n<p>the provider's words</p>\n</body>\n</html>\n"),
        litellm_reads_otherwise=STREAM,
    ),
    failed(
        "a page with status 502",
        Answer(b"<html><body>the provider's words</body></html>", 502, "text/html"),
        is_transient=True,
    ),
    failed(
        "a sentence with status 200",
        Answer(b"the provider's words", kind="text/plain"),
        litellm_reads_otherwise=STREAM,
    ),
    failed("a sentence with status 503", Answer(b"the provider's words", 503, "text/plain"), is_transient=True),
    failed("a sentence as an event", b"data: the provider's words\n\n", litellm_reads_otherwise=ITS_OWN),
    case("nothing with status 500", Answer(b"", 500, ""), error="provider_error", is_transient=True),
    case("nothing with status 404", Answer(b"", 404, ""), error="invalid_model", is_transient=False),
    case(
        "nothing with status 204",
        Answer(b"", 204, "", end="length"),
        error="provider_error",
        litellm_reads_otherwise=STREAM,
    ),
    failed("a text in JSON", as_json(SAID), litellm_reads_otherwise=STREAM),
    failed("a text in JSON with status 400", as_json(SAID, status=400), is_transient=False),
    failed(
        "broken JSON",
        b'data: {"choices": [{"delta": {"content": "One}}]\n\n',
        words=("broken",),
        litellm_reads_otherwise="it leaves out what it can't read, or says so in other words",
    ),
    failed(
        "JSON as deep as a mine",
        b"data: " + b"[" * 100_000 + b"\n\n",
        words=(),
        litellm_reads_otherwise="it says so in other words",
    ),
    failed("a number alone", sse(7, done=False), words=("7",), litellm_reads_otherwise="it takes an attribute of it"),
    # --- categories ---
    case(
        "credit used up",
        as_json(
            openai(
                "You exceeded your current quota, please check your plan and billing details.",
                "insufficient_quota",
                "insufficient_quota",
            ),
            status=429,
        ),
        error="out_of_credit",
        is_transient=False,
    ),
    case(
        "credit used up, 402",
        as_json(openai("Insufficient Balance", "invalid_request_error", "unknown_error"), status=402),
        error="out_of_credit",
        is_transient=False,
    ),
    case(
        "credit used up, in the stream",
        sse({"error": {"message": "Insufficient credits. Add more", "code": 402}}),
        error="out_of_credit",
        is_transient=False,
    ),
    case(
        "too many requests",
        as_json(openai("Rate limit reached", "rate_limit_exceeded", "requests"), status=429),
        error="rate_limited",
        is_transient=True,
    ),
    case(
        "too many requests, in the stream",
        sse({"error": {"message": "Rate limit exceeded", "code": 429}}),
        error="rate_limited",
        is_transient=True,
    ),
    case(
        "too many requests, with status 200",
        as_json({"error": {"message": "Too many requests", "code": "1302"}}),
        error="rate_limited",
        is_transient=True,
        litellm_reads_otherwise=STREAM,
    ),
    case(
        "overloaded, in the stream",
        sse(said("One"), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        text="One",
        error="provider_error",
        is_transient=True,
        litellm_reads_otherwise=ITS_OWN,
    ),
    case(
        "overflow in the stream",
        sse({"error": {"message": "tokens to keep from the initial prompt is greater than the context length"}}),
        error="context_overflow",
        is_transient=False,
    ),
    case(
        "overflow with status 200",
        as_json(
            {
                "object": "error",
                "message": "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
                "code": 400,
            }
        ),
        error="context_overflow",
        litellm_reads_otherwise=STREAM,
    ),
    case(
        "overflow, 500", as_json({"error": "Context size has been exceeded."}, status=500), error="context_overflow"
    ),
    case(
        "a refused key",
        as_json(openai("Incorrect API key provided", "invalid_api_key"), status=401),
        error="auth",
        is_transient=False,
    ),
    case(
        "a refused key, with status 200",
        as_json({"error": {"message": "Invalid API key", "type": "authentication_error"}}),
        error="auth",
        litellm_reads_otherwise=STREAM,
    ),
    case(
        "an unknown model, 400",
        as_json(openai("Model Not Exist"), status=400),
        error="invalid_model",
        is_transient=False,
    ),
    case(
        "a filter", as_json(openai("Content Exists Risk"), status=400), error="content_filtered", is_transient=False
    ),
    case(
        "a filter, in the stream",
        sse(
            said("One"),
            {
                "error": {
                    "code": "data_inspection_failed",
                    "message": "Output data may contain inappropriate content.",
                }
            },
        ),
        text="One",
        error="content_filtered",
    ),
    # --- what no database stores ---
    failed(
        "NUL in an error",
        as_json(openai("the provider's\x00 words\ud83d", "x\x00\ud83d"), status=500),
        is_transient=True,
    ),
    failed("NUL in an error of the stream", sse(said("One"), openai("the provider's\x00 words\ud83d")), text="One"),
    failed(
        "NUL in a page",
        Answer(b"<html>\x00the provider's words\xed\xa0\xbd</html>", 502, "text/html"),
        is_transient=True,
    ),
    failed(
        "NUL in an error with status 200",
        as_json({"error": "the provider's\x00 words\udc4b"}),
        litellm_reads_otherwise=STREAM,
    ),
    # --- fields that a server does not take ---
    case(
        "no stream_options",
        as_json(openai("Unrecognized request argument supplied: stream_options"), status=400),
        Answer(sse(said("One two"), ended())),
        text="One two",
        finish="stop",
        requests=2,
    ),
    case(
        "no stream_options, by 422",
        as_json(
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "stream_options"],
                        "msg": "Extra inputs are not permitted",
                    }
                ]
            },
            status=422,
        ),
        Answer(sse(said("One two"), ended())),
        text="One two",
        finish="stop",
        requests=2,
    ),
    case(
        "no stream_options, said with status 200",
        as_json(openai("Unknown parameter: 'stream_options'")),
        Answer(sse(said("One two"), ended())),
        text="One two",
        finish="stop",
        requests=2,
        litellm_reads_otherwise=STREAM,
    ),
    case(
        "max_completion_tokens in its place",
        as_json(
            openai(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            ),
            status=400,
        ),
        Answer(sse(said("One two"), ended())),
        text="One two",
        finish="stop",
        requests=2,
        parameters={"max_tokens": 5},
    ),
    case(
        "a fixed temperature, and no stream_options",
        as_json(
            openai("Unsupported value: 'temperature' does not support 0.2. Only the default (1) is."),
            status=400,
        ),
        as_json(openai('unknown field "stream_options"'), status=400),
        Answer(sse(said("One two"), ended())),
        text="One two",
        finish="stop",
        requests=3,
        parameters={"temperature": 0.2},
    ),
    failed(
        "a field that nobody can do without",
        as_json(openai("the provider's words: 'messages' is not supported"), status=400),
        is_transient=False,
        requests=1,
    ),
    case(
        "a field that is refused again and again",
        as_json(openai("Unrecognized request argument supplied: stream_options"), status=400),
        error="provider_error",
        is_transient=False,
        requests=2,
    ),
    case(
        "a delta without a word, then an error",
        sse(delta(role="assistant"), openai("Rate limit exceeded", 429)),
        error="rate_limited",
        is_transient=True,
    ),
]
