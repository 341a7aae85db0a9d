"""Chunks in odd forms, and what no database stores."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import Case, asked, call, case, delta, ended, said, sse, used
from tests.conformance.playing import Answer

TWO = {"text": "One two", "finish": "stop"}
STRICT = "it reads JSON by the letter"
TYPED = "its classes have one type for this field"


def chunk(**fields: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"} | fields


def also(first: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return first | fields


END = ended()
PIXEL = "data:image/png;base64,iVBORw0KGgo="

CASES: list[Case] = [
    case("choices: [null]", sse(chunk(choices=[None]), said("One two"), END), **TWO, litellm_reads_otherwise=TYPED),
    case("choices: null", sse(chunk(choices=None), said("One two"), END), **TWO, litellm_reads_otherwise=TYPED),
    case(
        "no choices, but figures",
        sse(said("One two"), END, {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}),
        **TWO,
        usage=(5, 2),
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "choices: []",
        sse(chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}]), said("One two"), END),
        **TWO,
    ),
    case("delta: null", sse(chunk(choices=[{"index": 0, "delta": None}]), said("One two"), END), **TWO),
    case(
        "delta: null with the reason",
        sse(said("One two"), chunk(choices=[{"index": 0, "delta": None, "finish_reason": "stop"}])),
        **TWO,
    ),
    case("no delta", sse(said("One two"), chunk(choices=[{"index": 0, "finish_reason": "stop"}])), **TWO),
    case(
        "the role alone",
        sse(delta(role="assistant"), delta(role="assistant", content=None), said("One two"), END),
        **TWO,
    ),
    case("content: null and empty", sse(said(None), said(""), said("One two"), said(None), END), **TWO),
    case("the reason with the last words", sse(said("One"), ended("stop", content=" two")), **TWO),
    case(
        "words after the reason",
        sse(said("One"), END, said(" two")),
        **TWO,
        litellm_reads_otherwise="it ends at the reason",
    ),
    case("the reason twice", sse(said("One two"), END, END), **TWO),
    case("the reason empty until it comes", sse(ended("", content="One"), ended("", content=" two"), END), **TWO),
    case(
        "two choices",
        sse(
            chunk(choices=[{"index": 0, "delta": {"content": "One two"}}, {"index": 1, "delta": {"content": "Uno"}}]),
            END,
        ),
        **TWO,
        litellm_reads_otherwise="it takes the last one",
    ),
    case(
        "the second choice in a chunk of its own",
        sse(said("One"), delta(1, content="Uno"), said(" two"), END),
        **TWO,
        litellm_reads_otherwise="it puts them together",
    ),
    case(
        "an index other than 0",
        sse(delta(3, content="One two"), also(END, choices=[{"index": 3, "delta": {}, "finish_reason": "stop"}])),
        **TWO,
    ),
    case(
        "a choice whose index is a text",
        sse(delta("0", content="One two"), also(END, choices=[{"index": "0", "delta": {}, "finish_reason": "stop"}])),
        **TWO,
    ),
    case("a choice without an index", sse(delta(None, content="One two"), END), **TWO),
    case("an index that comes and goes", sse(said("One"), delta(None, content=" two"), END), **TWO),
    case("nothing but the choices", sse(*[{"choices": one["choices"]} for one in (said("One two"), END)]), **TWO),
    case(
        "ids and times of odd types",
        sse(also(said("One two"), id=7, created="now", model=None, object=None), END),
        **TWO,
    ),
    case(
        "service_tier, logprobs and more",
        sse(also(said("One two"), service_tier="default", system_fingerprint=None, x={"y": [1]}), END),
        **TWO,
    ),
    case(
        "one choice without its list",
        sse(chunk(choices={"index": 0, "delta": {"content": "One two"}}), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "choices by number",
        sse(chunk(choices={"0": {"delta": {"content": "One two"}}}), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "delta as a text",
        sse(chunk(choices=[{"index": 0, "delta": "One two"}]), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "an index as a text and as a number, of a choice",
        sse(delta("0", content="One"), said(" two"), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "the reason on each chunk",
        sse(ended("stop", content="One"), ended("stop", content=" two")),
        **TWO,
        litellm_reads_otherwise="it ends at the reason",
    ),
    case(
        "the reason on each chunk, and cut",
        Answer(sse(ended("stop", content="One"), ended("stop", content=" two"), done=False), end="short"),
        text="One two",
        error="provider_error",
        litellm_reads_otherwise="it ends at the reason",
    ),
    # --- figures ---
    case(
        "usage in each chunk",
        sse(
            *[
                also(said(text), usage={"prompt_tokens": 5, "completion_tokens": n, "total_tokens": 5 + n})
                for n, text in ((1, "One"), (2, " two"))
            ],
            END,
        ),
        **TWO,
        usage=(5, 2),
        litellm_reads_otherwise="it counts by itself",
    ),
    case(
        "usage: null", sse(also(said("One two"), usage=None), also(END, usage=None), used(5, 2)), **TWO, usage=(5, 2)
    ),
    case("usage as a text", sse(also(said("One two"), usage="none"), END), **TWO, litellm_reads_otherwise=TYPED),
    case("usage as a list", sse(also(said("One two"), usage=[1, 2]), END), **TWO, litellm_reads_otherwise=TYPED),
    case("usage: {}", sse(said("One two"), also(END, usage={})), **TWO),
    case("numbers as texts", sse(said("One two"), END, used("5", "2")), **TWO, litellm_reads_otherwise=TYPED),
    case(
        "figures in a choice",
        sse(
            said("One two"),
            chunk(
                choices=[
                    {
                        "index": 0,
                        "delta": {},
                        "finish_reason": "stop",
                        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
                    }
                ]
            ),
        ),
        **TWO,
        usage=(5, 2),
        litellm_reads_otherwise="it counts by itself",
    ),
    case(
        "figures where Groq has them",
        sse(said("One two"), also(END, x_groq={"usage": {"prompt_tokens": 5, "completion_tokens": 2}})),
        **TWO,
        usage=(5, 2),
        litellm_reads_otherwise="it counts by itself",
    ),
    # --- content that is no text ---
    case(
        "content as parts",
        sse(said([{"type": "text", "text": "One"}, {"type": "text", "text": " two"}]), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case("content as texts", sse(said(["One", " two"]), END), **TWO, litellm_reads_otherwise=TYPED),
    case(
        "thoughts among the parts",
        sse(
            said(
                [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": "One two"},
                ]
            ),
            END,
        ),
        **TWO,
        reasoning="Hm.",
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "thoughts that no tag opens", sse(said("Hm.\n</th"), said("ink>\n\nOne two"), END), **TWO, reasoning="Hm.\n"
    ),
    case("thoughts that are none", sse(said("</think>"), said("\n\nOne two"), END), **TWO),
    case(
        "a closing tag where thoughts have a field of their own",
        sse(delta(reasoning_content="Hm."), said("One </think> two"), END),
        text="One </think> two",
        finish="stop",
        reasoning="Hm.",
    ),
    case(
        "an image among the parts",
        sse(said([{"type": "text", "text": "One two"}, {"type": "image_url", "image_url": {"url": PIXEL}}]), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "parts that are none",
        sse(said([None, 7, {"type": "odd"}, {"type": "text", "text": "One two"}]), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case("one part", sse(said({"type": "text", "text": "One two"}), END), **TWO, litellm_reads_otherwise=TYPED),
    case("a number", sse(said(7), END), text="7", finish="stop", litellm_reads_otherwise=TYPED),
    case(
        "text of the older protocol",
        sse(chunk(choices=[{"index": 0, "text": "One two"}]), END),
        **TWO,
        litellm_reads_otherwise="it reads `delta` alone",
    ),
    case(
        "message beside delta",
        sse(
            *[
                chunk(
                    choices=[
                        {"index": 0, "delta": {"content": text}, "message": {"role": "assistant", "content": so_far}}
                    ]
                )
                for text, so_far in (("One", "One"), (" two", "One two"))
            ],
            chunk(
                choices=[
                    {"index": 0, "delta": {"content": ""}, "message": {"content": "One two"}, "finish_reason": "stop"}
                ]
            ),
        ),
        **TWO,
    ),
    # --- thoughts ---
    case(
        "reasoning_content",
        sse(delta(reasoning_content="Hm."), delta(reasoning_content=None, content="One two"), END),
        **TWO,
        reasoning="Hm.",
    ),
    case("reasoning", sse(delta(reasoning="Hm."), said("One two"), END), **TWO, reasoning="Hm."),
    case(
        "reasoning in two fields",
        sse(
            delta(
                reasoning="Hm.",
                reasoning_content="Hm.",
                reasoning_details=[{"type": "reasoning.text", "text": "Hm."}],
            ),
            said("One two"),
            END,
        ),
        **TWO,
        reasoning="Hm.",
    ),
    case(
        "between tags",
        sse(said("<thi"), said("nk>Hm"), said(".</th"), said("ink>\n\nOne two"), END),
        **TWO,
        reasoning="Hm.",
    ),
    case("thoughts alone", sse(delta(reasoning_content="Hm."), END), reasoning="Hm.", finish="stop"),
    # --- what no database stores ---
    case("NUL in the text", sse(said("One\x00 two"), END), **TWO),
    case(
        "NUL in the thoughts", sse(delta(reasoning_content="H\x00m."), said("One two"), END), **TWO, reasoning="Hm."
    ),
    case("half a pair in the text", sse(said("One \ud83d"), said("two"), END), text="One \ufffdtwo", finish="stop"),
    case("half a pair at the end", sse(said("One \ud83d"), END), text="One \ufffd", finish="stop"),
    case("the second half alone", sse(said("\udc4bOne"), END), text="\ufffdOne", finish="stop"),
    case(
        "half a pair in the thoughts",
        sse(delta(reasoning_content="\ud83d"), said("One two"), END),
        **TWO,
        reasoning="\ufffd",
    ),
    case("a pair cut in two", sse(said("One \ud83d"), said("\ude00"), END), text="One 😀", finish="stop"),
    case(
        "half a pair, not escaped",
        Answer(b'data: {"choices":[{"index":0,"delta":{"content":"One \xed\xa0\xbdtwo"}}]}\n\n' + sse(END)),
        text="One \ufffd\ufffd\ufffdtwo",
        finish="stop",
        litellm_reads_otherwise="it replaces in its own way",
    ),
    case(
        "bytes that are no UTF-8",
        Answer(b'data: {"choices":[{"index":0,"delta":{"content":"One \xff\xfetwo"}}]}\n\n' + sse(END)),
        text="One \ufffd\ufffdtwo",
        finish="stop",
        litellm_reads_otherwise=STRICT,
    ),
    case(
        "NUL in a call",
        sse(asked(call(0, "c\x001", "wea\x00ther", '{"a":"\\u0000"}')), ended("tool_calls")),
        calls=(("weather", '{"a":"\\u0000"}'),),
        finish="tool_calls",
    ),
    case(
        "half a pair in a call",
        sse(asked(call(0, "c\ud83d", "weather\ud83d", '{"a":"\ud83d"}')), ended("tool_calls")),
        calls=(("weather\ufffd", '{"a":"\ufffd"}'),),
        finish="tool_calls",
    ),
    case("NUL in the reason", sse(said("One two"), ended("st\x00op")), text="One two", finish="stop"),
    case("half a pair in the reason", sse(said("One two"), ended("\ud83d")), text="One two", finish="other"),
    case("NUL in ids and the model", sse(also(said("One two"), id="\x00", model="m\x00\ud83d"), END), **TWO),
    case(
        "control characters, not escaped",
        Answer(b'data: {"choices":[{"index":0,"delta":{"content":"One\ttwo\x01"}}]}\n\n' + sse(END)),
        text="One\ttwo\x01",
        finish="stop",
        litellm_reads_otherwise=STRICT,
    ),
]
