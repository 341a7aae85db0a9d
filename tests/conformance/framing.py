"""Event streams as they may be written, and what stands in their place."""

from __future__ import annotations

import json

from tests.conformance.case import Case, as_json, case, completion, ended, said, sse, used
from tests.conformance.playing import Answer

WHOLE = (said("One"), said(" two"), ended())
TWO = {"text": "One two", "finish": "stop"}
# What litellm's reader of event streams does otherwise than the standard says.
NO_LINES = "the reader that litellm uses splits lines and fields in ways of its own"
SILENT = "litellm makes an answer of nothing"
NOT_A_STREAM = "litellm reads an event stream whatever the answer is"
_PRETTY = json.dumps(said("One two"), indent=1).replace("\n", "\ndata: ")
_LINES = "\n".join(json.dumps(one) for one in WHOLE).encode()

CASES: list[Case] = [
    case("plain", sse(*WHOLE), **TWO),
    case("no [DONE]", sse(*WHOLE, done=False), **TWO),
    case("[DONE] twice", sse(*WHOLE) + b"data: [DONE]\n\n", **TWO),
    case("nothing after [DONE] counts", sse(*WHOLE) + sse(said(" three"), ended("length")), **TWO),
    case("only [DONE], before the words", b"data: [DONE]\n\n" + sse(*WHOLE), finish=None),
    case("CRLF", sse(*WHOLE, form="data: {}\r\n\r\n"), **TWO),
    case("CR", sse(*WHOLE, form="data: {}\r\r"), **TWO),
    case(
        "all line ends mixed",
        sse(*WHOLE[:1], done=False, form="data: {}\r\n\r") + sse(*WHOLE[1:], form="data: {}\n\r\n"),
        **TWO,
    ),
    case("CRLF cut between its halves", Answer(sse(*WHOLE, form="data: {}\r\n\r\n"), cut=1), **TWO),
    case("CR a byte at a time", Answer(sse(*WHOLE, form="data: {}\r\r"), cut=1), **TWO),
    case("a byte at a time", Answer(sse(said("Grüße 👋🏽"), ended()), cut=1), text="Grüße 👋🏽", finish="stop"),
    case(
        "unescaped letters, three bytes at a time",
        Answer(
            json.dumps({"choices": [{"index": 0, "delta": {"content": "日本語👩‍👩‍👧"}}]}, ensure_ascii=False)
            .join(("data: ", "\n\n"))
            .encode()
            + sse(ended()),
            cut=3,
        ),
        text="日本語👩‍👩‍👧",
        finish="stop",
    ),
    case("no blank after the colon", sse(*WHOLE, form="data:{}\n\n"), **TWO),
    case("more blanks than one", sse(*WHOLE, form="data:   {}  \n\n"), **TWO, litellm_reads_otherwise=NO_LINES),
    case("no blank line between events", sse(*WHOLE, form="data: {}\n"), **TWO, litellm_reads_otherwise=NO_LINES),
    case("no end of the last line", sse(*WHOLE, done=False).rstrip(b"\n"), **TWO, litellm_reads_otherwise=NO_LINES),
    case("blank lines in plenty", sse(*WHOLE, form="\n\n\ndata: {}\n\n\n\n"), **TWO),
    case("comments", b": OPENROUTER PROCESSING\n\n" * 3 + sse(*WHOLE, form=": x\ndata: {}\n:\n\n"), **TWO),
    case("event, id and retry", sse(*WHOLE, form="event: message\nid: 7\nretry: 3000\ndata: {}\n\n"), **TWO),
    case("the name of the event after its data", sse(*WHOLE, form="data: {}\nevent: completion.chunk\n\n"), **TWO),
    case("a byte order mark", b"\xef\xbb\xbf" + sse(*WHOLE), **TWO, litellm_reads_otherwise=NO_LINES),
    case(
        "several data lines of one event",
        f"data: {_PRETTY}\n\n".encode() + sse(ended()),
        text="One two",
        finish="stop",
    ),
    case(
        "several data lines, CRLF, two bytes at a time",
        Answer(f"data: {_PRETTY}\n\n".replace("\n", "\r\n").encode() + sse(ended()), cut=2),
        text="One two",
        finish="stop",
    ),
    case("pings", sse(*WHOLE, form='event: ping\ndata: {"type": "ping"}\n\ndata: {}\n\n'), **TWO),
    case(
        "keep-alive in words",
        b"event: keepalive\ndata: still here\n\n" + sse(*WHOLE),
        **TWO,
        litellm_reads_otherwise=NO_LINES,
    ),
    case("empty data", sse(*WHOLE, form="data:\n\ndata: {}\n\n"), **TWO, litellm_reads_otherwise=NO_LINES),
    case("data: null", sse("null", *WHOLE), **TWO, litellm_reads_otherwise="litellm takes an attribute of it"),
    case("an unknown field", sse(*WHOLE, form="x-trace: 7\ndata: {}\n\n"), **TWO),
    case(
        "a line of 15 MB",
        Answer(sse(said("x" * 15_000_000), ended()), cut=200_000),
        text="x" * 15_000_000,
        finish="stop",
    ),
    case(
        "[done]",
        sse(*WHOLE, done=False) + b"data: [done]\n\n" + sse(said(" three")),
        **TWO,
        litellm_reads_otherwise=NO_LINES,
    ),
    case("[DONE] as JSON", sse(*WHOLE, done=False) + b'data: "[DONE]"\n\n', **TWO, litellm_reads_otherwise=NO_LINES),
    case("data: twice", sse(*WHOLE, form="data: data: {}\n\n"), **TWO, litellm_reads_otherwise=NO_LINES),
    case(
        "a ping in words",
        b"data: ping\n\ndata: [heartbeat]\n\n" + sse(*WHOLE),
        **TWO,
        litellm_reads_otherwise=NO_LINES,
    ),
    # --- no event stream ---
    case(
        "a whole completion, as JSON",
        as_json(completion(content="One two")),
        **TWO,
        usage=(2, 1),
        litellm_reads_otherwise=NOT_A_STREAM,
    ),
    case(
        "a whole completion that calls itself a stream",
        as_json(completion(content="One two"), kind="text/event-stream"),
        **TWO,
        litellm_reads_otherwise=NOT_A_STREAM,
    ),
    case(
        "a whole completion as text/plain",
        as_json(completion(content="One two"), kind="text/plain; charset=utf-8"),
        **TWO,
        litellm_reads_otherwise=NOT_A_STREAM,
    ),
    case(
        "a whole completion without a type",
        as_json(completion(content="One two"), kind=""),
        **TWO,
        litellm_reads_otherwise=NOT_A_STREAM,
    ),
    case(
        "a whole completion, indented",
        Answer(json.dumps(completion(content="One two"), indent=2).encode(), kind="application/json", cut=7),
        **TWO,
        litellm_reads_otherwise=NOT_A_STREAM,
    ),
    case(
        "a whole completion as one event",
        sse(completion(content="One two")),
        **TWO,
        litellm_reads_otherwise="litellm reads `delta` alone",
    ),
    case("JSON lines", Answer(_LINES, kind="application/x-ndjson"), **TWO, litellm_reads_otherwise=NOT_A_STREAM),
    case(
        "JSON lines without a type, five bytes at a time",
        Answer(_LINES + b"\n", kind="", cut=5),
        **TWO,
        litellm_reads_otherwise=NOT_A_STREAM,
    ),
    case("a list of chunks", as_json(list(WHOLE)), **TWO, litellm_reads_otherwise=NOT_A_STREAM),
    case("the stream as application/json", Answer(sse(*WHOLE), kind="application/json"), **TWO),
    case("the stream as text/plain", Answer(sse(*WHOLE), kind="text/plain"), **TWO),
    case("the stream without a type", Answer(sse(*WHOLE), kind=""), **TWO),
    case("UTF-8 in upper case and quotes", Answer(sse(*WHOLE), kind='text/event-stream; charset="UTF-8"'), **TWO),
    case(
        "a charset that nobody knows",
        Answer(sse(said("Grüße"), ended()), kind="text/event-stream; charset=x-unknown"),
        text="Grüße",
        finish="stop",
    ),
    case(
        "said to be latin-1, and is UTF-8",
        Answer(
            'data: {"choices":[{"index":0,"delta":{"content":"Grüße"}}]}\n\n'.encode() + sse(ended()),
            kind="text/event-stream; charset=iso-8859-1",
        ),
        text="Grüße",
        finish="stop",
    ),
    case(
        "said to be latin-1, and is",
        Answer(
            'data: {"choices":[{"index":0,"delta":{"content":"Grüße"}}]}\n\n'.encode("latin-1") + sse(ended()),
            kind="text/event-stream; charset=iso-8859-1",
        ),
        text="Grüße",
        finish="stop",
        litellm_reads_otherwise="event streams are UTF-8, says the standard",
    ),
    case(
        "UTF-16",
        Answer(sse(said("Grüße"), ended()).decode().encode("utf-16"), kind="text/event-stream; charset=utf-16"),
        text="Grüße",
        finish="stop",
        litellm_reads_otherwise="event streams are UTF-8, says the standard",
    ),
    case(
        "an empty answer",
        b"",
        error="provider_error",
        is_transient=True,
        words=("empty",),
        litellm_reads_otherwise=SILENT,
    ),
    case(
        "comments alone", b": x\n\n: y\n\n", error="provider_error", is_transient=True, litellm_reads_otherwise=SILENT
    ),
    case("figures alone", sse(used(5, 0)), finish=None, usage=(5, 0)),
    case(
        "JSON that is no answer",
        as_json({"hello": "world"}),
        error="provider_error",
        is_transient=True,
        words=("world",),
        litellm_reads_otherwise=NOT_A_STREAM,
    ),
    case(
        "events that are no answer",
        sse({"hello": "world"}),
        error="provider_error",
        words=("world",),
        litellm_reads_otherwise=SILENT,
    ),
]
