"""Calls of tools in all shapes: exactly those that were meant."""

from __future__ import annotations

from tests.conformance.case import Case, as_json, asked, call, case, completion, delta, ended, said, sse

PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'
W, T = ("weather", PARIS), ("time", "{}")
ONE = {"calls": (W,), "finish": "tool_calls"}
TWO = {"calls": (W, ("weather", ROME)), "finish": "tool_calls"}
END = ended("tool_calls")
TYPED = "its classes have one type for this field"

CASES: list[Case] = [
    case(
        "a call in fragments",
        sse(
            asked(call(0, "c1", "weather", "")),
            asked(call(0, arguments='{"ci')),
            asked(call(0, arguments='ty":"Paris"}')),
            END,
        ),
        **ONE,
    ),
    case("a call at once", sse(asked(call(0, "c1", "weather", PARIS)), END), **ONE),
    case("two calls", sse(asked(call(0, "c1", "weather", PARIS)), asked(call(1, "c2", "weather", ROME)), END), **TWO),
    case(
        "two calls in one chunk",
        sse(asked(call(0, "c1", "weather", PARIS), call(1, "c2", "weather", ROME)), END),
        **TWO,
    ),
    case(
        "two calls, their fragments mixed",
        sse(
            asked(call(0, "c1", "weather", '{"city":')),
            asked(call(1, "c2", "weather", '{"city":')),
            asked(call(0, arguments='"Paris"}'), call(1, arguments='"Rome"}')),
            END,
        ),
        **TWO,
    ),
    # --- indexes ---
    case(
        "one index for all",
        sse(asked(call(0, "c1", "weather", PARIS)), asked(call(0, "c2", "weather", ROME)), END),
        **TWO,
    ),
    case(
        "one index for all, in one chunk",
        sse(asked(call(0, "c1", "weather", PARIS), call(0, "c2", "weather", ROME)), END),
        **TWO,
    ),
    case(
        "one index for all, in fragments",
        sse(
            *[
                asked(one)
                for one in (
                    call(0, "c1", "weather", ""),
                    call(0, arguments='{"city":"Pa'),
                    call(0, arguments='ris"}'),
                    call(0, "c2", "weather", ""),
                    call(0, arguments=ROME),
                )
            ],
            END,
        ),
        **TWO,
    ),
    case(
        "one index for all, without arguments",
        sse(asked(call(0, "c1", "time", "")), asked(call(0, "c2", "weather", PARIS)), END),
        calls=(("time", ""), W),
        finish="tool_calls",
    ),
    case(
        "one index for all, no ids",
        sse(asked(call(0, None, "weather", PARIS)), asked(call(0, None, "weather", ROME)), END),
        **TWO,
    ),
    case("no index", sse(asked(call(None, "c1", "weather", PARIS)), END), **ONE, litellm_reads_otherwise=TYPED),
    case(
        "no index, two calls",
        sse(asked(call(None, "c1", "weather", PARIS), call(None, "c2", "weather", ROME)), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "no index, in fragments",
        sse(
            asked(call(None, "c1", "weather", "")),
            asked(call(None, arguments='{"city":')),
            asked(call(None, arguments='"Paris"}')),
            END,
        ),
        **ONE,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "no index, two calls in fragments",
        sse(
            *[
                asked(one)
                for one in (
                    call(None, "c1", "weather", '{"city":'),
                    call(None, arguments='"Paris"}'),
                    call(None, "c2", "weather", '{"city":'),
                    call(None, arguments='"Rome"}'),
                )
            ],
            END,
        ),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "an index as a text",
        sse(asked(call("0", "c1", "weather", '{"city":')), asked(call("0", arguments='"Paris"}')), END),
        **ONE,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "an index as a text and as a number",
        sse(asked(call("0", "c1", "weather", '{"city":')), asked(call(0, arguments='"Paris"}')), END),
        **ONE,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "an index as a fraction",
        sse(asked(call(0.0, "c1", "weather", '{"city":')), asked(call(0, arguments='"Paris"}')), END),
        **ONE,
    ),
    case(
        "indexes from 1",
        sse(asked(call(1, "c1", "weather", PARIS)), asked(call(2, "c2", "weather", ROME)), END),
        **TWO,
    ),
    case(
        "indexes with holes, backwards",
        sse(asked(call(7, "c1", "weather", PARIS)), asked(call(3, "c2", "weather", ROME)), END),
        **TWO,
    ),
    case(
        "an index that grows with each fragment",
        sse(
            asked(call(0, "c1", "weather", "")),
            asked(call(1, arguments='{"city":')),
            asked(call(2, arguments='"Paris"}')),
            END,
        ),
        **ONE,
    ),
    case(
        "index: null",
        sse(
            asked(call(0, "c1", "weather", "") | {"index": None}),
            asked(call(0, arguments=PARIS) | {"index": None}),
            END,
        ),
        **ONE,
        litellm_reads_otherwise=TYPED,
    ),
    # --- ids ---
    case("no ids", sse(asked(call(0, None, "weather", PARIS)), asked(call(1, None, "weather", ROME)), END), **TWO),
    case("empty ids", sse(asked(call(0, "", "weather", PARIS)), asked(call(1, "", "weather", ROME)), END), **TWO),
    case(
        "one id for all", sse(asked(call(0, "c", "weather", PARIS)), asked(call(1, "c", "weather", ROME)), END), **TWO
    ),
    case(
        "one id and one index for all",
        sse(asked(call(0, "c", "weather", PARIS)), asked(call(0, "c", "weather", ROME)), END),
        **TWO,
    ),
    case(
        "one id for all and no index",
        sse(asked(call(None, "c", "weather", PARIS)), asked(call(None, "c", "weather", ROME)), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "neither ids nor indexes",
        sse(asked(call(None, None, "weather", PARIS), call(None, None, "weather", ROME)), END),
        **TWO,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "the id in each fragment",
        sse(asked(call(0, "c1", "weather", '{"city":')), asked(call(0, "c1", arguments='"Paris"}')), END),
        **ONE,
    ),
    case(
        "an id that changes with each fragment",
        sse(
            asked(call(0, "a", "weather", '{"ci')),
            asked(call(0, "b", arguments='ty":')),
            asked(call(0, "c", arguments='"Paris"}')),
            asked(call(0, "d", arguments="")),
            END,
        ),
        **ONE,
    ),
    case(
        "an id that changes, and the name in each fragment",
        sse(
            asked(call(0, "a", "weather", "")),
            asked(call(0, "b", "weather", '{"city":')),
            asked(call(0, "c", "weather", '"Paris"}')),
            END,
        ),
        **ONE,
    ),
    case(
        "an id that changes and no index",
        sse(asked(call(None, "a", "weather", '{"city":')), asked(call(None, "b", arguments='"Paris"}')), END),
        **ONE,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "an id that changes, two calls",
        sse(
            *[
                asked(one)
                for one in (
                    call(0, "a", "weather", '{"city":'),
                    call(0, "b", arguments='"Paris"}'),
                    call(1, "c", "weather", '{"city":'),
                    call(1, "d", arguments='"Rome"}'),
                )
            ],
            END,
        ),
        **TWO,
    ),
    case(
        "the id after the name",
        sse(asked(call(0, None, "weather", "")), asked(call(0, "c1", arguments=PARIS)), END),
        **ONE,
    ),
    case(
        "an id that is a number", sse(asked(call(0, 17, "weather", PARIS)), END), **ONE, litellm_reads_otherwise=TYPED
    ),
    # --- names ---
    case(
        "the name in each fragment",
        sse(
            asked(call(0, "c1", "weather", '{"city":')),
            asked(call(0, "c1", "weather", '"Paris"}')),
            asked(call(0, "c1", "weather", "")),
            END,
        ),
        **ONE,
    ),
    case(
        "the name in fragments",
        sse(asked(call(0, "c1", "wea", "")), asked(call(0, "c1", "ther", "")), asked(call(0, arguments=PARIS)), END),
        **ONE,
    ),
    case(
        "the name grows",
        sse(
            asked(call(0, "c1", "wea", "")), asked(call(0, "c1", "weather", "")), asked(call(0, arguments=PARIS)), END
        ),
        **ONE,
    ),
    case(
        "the name empty in later fragments",
        sse(asked(call(0, "c1", "weather", '{"city":')), asked(call(0, "", "", '"Paris"}')), END),
        **ONE,
    ),
    case(
        "the name null in later fragments",
        sse(
            asked(call(0, "c1", "weather", '{"city":')),
            delta(
                tool_calls=[
                    {"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": '"Paris"}'}}
                ]
            ),
            END,
        ),
        **ONE,
    ),
    # --- arguments ---
    case(
        "arguments as an object",
        sse(asked(call(0, "c1", "weather", {"city": "Paris"})), END),
        calls=(("weather", '{"city": "Paris"}'),),
        finish="tool_calls",
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "arguments as an object, twice",
        sse(asked(call(0, "c1", "weather", {"city": "Paris"})), asked(call(0, "c2", "time", {})), END),
        calls=(("weather", '{"city": "Paris"}'), ("time", "{}")),
        finish="tool_calls",
        litellm_reads_otherwise=TYPED,
    ),
    case("no arguments", sse(asked(call(0, "c1", "time")), END), calls=(("time", ""),), finish="tool_calls"),
    case("empty arguments", sse(asked(call(0, "c1", "time", "")), END), calls=(("time", ""),), finish="tool_calls"),
    case(
        "arguments null",
        sse(
            delta(
                tool_calls=[
                    {"index": 0, "id": "c1", "type": "function", "function": {"name": "time", "arguments": None}}
                ]
            ),
            END,
        ),
        calls=(("time", ""),),
        finish="tool_calls",
    ),
    case(
        'arguments "null"', sse(asked(call(0, "c1", "time", "null")), END), calls=(("time", ""),), finish="tool_calls"
    ),
    case(
        "arguments in a text that holds an empty one",
        sse(asked(call(0, "c1", "time", '""')), END),
        calls=(("time", ""),),
        finish="tool_calls",
    ),
    case("arguments encoded twice", sse(asked(call(0, "c1", "weather", '"{\\"city\\":\\"Paris\\"}"')), END), **ONE),
    case(
        "arguments encoded twice, in fragments",
        sse(asked(call(0, "c1", "weather", '"{\\"city')), asked(call(0, arguments='\\":\\"Paris\\"}"')), END),
        **ONE,
    ),
    case(
        "arguments encoded three times",
        sse(asked(call(0, "c1", "weather", '"\\"{\\\\\\"city\\\\\\":\\\\\\"Paris\\\\\\"}\\""')), END),
        **ONE,
    ),
    case(
        "an empty object before the arguments",
        sse(asked(call(0, "c1", "weather", "{}")), asked(call(0, arguments=PARIS)), END),
        **ONE,
    ),
    case("several objects in one call", sse(asked(call(0, "c1", "weather", PARIS + ROME)), END), **TWO),
    case(
        "several objects in the fragments of one call",
        sse(asked(call(0, "c1", "weather", PARIS)), asked(call(0, arguments=ROME)), END),
        **TWO,
    ),
    case(
        "arguments that are no JSON",
        sse(asked(call(0, "c1", "weather", '{"city": Paris')), END),
        calls=(("weather", '{"city": Paris'),),
        finish="tool_calls",
    ),
    case(
        "blanks and line ends",
        sse(asked(call(0, "c1", "weather", "\n ")), asked(call(0, arguments=PARIS + "\n")), END),
        calls=(("weather", "\n " + PARIS + "\n"),),
        finish="tool_calls",
    ),
    # --- more than was needed ---
    case(
        "the whole call again at the end",
        sse(
            asked(call(0, "c1", "weather", '{"city":')),
            asked(call(0, arguments='"Paris"}')),
            asked(call(0, "c1", "weather", PARIS)),
            END,
        ),
        **ONE,
    ),
    case(
        "the whole message beside the last delta",
        sse(
            asked(call(0, "c1", "weather", PARIS)),
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {},
                        "message": {
                            "role": "assistant",
                            "content": None,
                            "tool_calls": [call(0, "c1", "weather", PARIS)],
                        },
                        "finish_reason": "tool_calls",
                    }
                ]
            },
        ),
        **ONE,
    ),
    case(
        "the whole message alone",
        sse(
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {},
                        "message": {"role": "assistant", "tool_calls": [call(0, "c1", "weather", PARIS)]},
                        "finish_reason": "tool_calls",
                    }
                ]
            }
        ),
        **ONE,
        litellm_reads_otherwise="it reads `delta` alone",
    ),
    case(
        "tool_calls: null and []",
        sse(delta(tool_calls=None), delta(tool_calls=[]), said("Words."), ended()),
        text="Words.",
        finish="stop",
    ),
    case(
        "tool_calls: [null]",
        sse(delta(tool_calls=[None]), said("Words."), ended()),
        text="Words.",
        finish="stop",
        litellm_reads_otherwise=TYPED,
    ),
    case("a call of nothing", sse(asked(call(0, "", "", "")), said("Words."), ended()), text="Words.", finish="stop"),
    case(
        "words before the call",
        sse(said("I look."), asked(call(0, "c1", "weather", PARIS)), END),
        text="I look.",
        **ONE,
    ),
    case(
        "words and a call in one chunk",
        sse(delta(content="I look.", tool_calls=[call(0, "c1", "weather", PARIS)]), END),
        text="I look.",
        **ONE,
    ),
    case(
        "the call in the chunk of the reason",
        sse(ended("tool_calls", tool_calls=[call(0, "c1", "weather", PARIS)])),
        **ONE,
    ),
    # --- older forms ---
    case(
        "function_call",
        sse(
            delta(function_call={"name": "weather", "arguments": ""}),
            delta(function_call={"arguments": '{"city":'}),
            delta(function_call={"arguments": '"Paris"}'}),
            ended("function_call"),
        ),
        **ONE,
    ),
    case(
        "name and arguments without `function`",
        sse(delta(tool_calls=[{"index": 0, "id": "c1", "name": "weather", "arguments": PARIS}]), END),
        **ONE,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "calls in a whole completion",
        as_json(
            completion(
                "tool_calls",
                content=None,
                tool_calls=[call(None, "c1", "weather", PARIS), call(None, "c2", "weather", ROME)],
            )
        ),
        **TWO,
        litellm_reads_otherwise="it reads an event stream whatever the answer is",
    ),
    case(
        "content of blanks beside a call",
        sse(delta(content="\n"), asked(call(0, "c1", "weather", PARIS)), END),
        text="\n",
        **ONE,
    ),
    case(
        "parameters in the arguments' place",
        sse(
            delta(
                tool_calls=[
                    {
                        "index": 0,
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "weather", "parameters": {"city": "Paris"}},
                    }
                ]
            ),
            END,
        ),
        calls=(("weather", '{"city": "Paris"}'),),
        finish="tool_calls",
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "one call without its list",
        sse(delta(tool_calls=call(0, "c1", "weather", PARIS)), END),
        **ONE,
        litellm_reads_otherwise=TYPED,
    ),
    case(
        "the calls in the message alone, beside a delta of nothing",
        sse(
            said("I look."),
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": ""},
                        "message": {"content": "I look.", "tool_calls": [call(0, "c1", "weather", PARIS)]},
                        "finish_reason": "tool_calls",
                    }
                ]
            },
        ),
        text="I look.",
        **ONE,
        litellm_reads_otherwise="it reads `delta` alone",
    ),
    case("blanks around a name", sse(asked(call(0, "c1", " weather\n", PARIS)), END), **ONE),
]
