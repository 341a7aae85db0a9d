"""What our readers make of each protocol is what litellm makes of it, piece by piece; where litellm loses something, it is
named here with what it loses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from assistant import llm
from assistant.llm.pieces import Finish, Kept, ModelError, Picture, Reasoning, Source, Text, ToolCall
from tests.protocols import ProtocolsProcess
from tests.test_every_model import PROTOCOLS

# litellm trips over its own libraries' warnings, which are errors in these tests.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

QUESTION = [{"role": "user", "content": "Grüße 👋🏽?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCRIPTS = [
    "words-n5", "words-n5-think=3", "words-n5-inline-think=3", "unicode", "markdown", "empty", "big=64K",
    "think=2-tool=weather:city:Paris-tool=weather:city:Oslo", "tool=weather:city:Paris-preamble=2-fragment=1",
    "words-n5-cut=3", "words-n5-error=3", "words-n5-finish=length", "words-n5-finish=refusal", "words-n5-finish=window",
    "words-n5-finish=none-nodone", "words-n5-finish=sequence", "words-n5-finish=malformed", "words-n5-stops-cut=3",
    "words-n3-cite=2", "words-n3-picture", "words-filter", "words-context=1", "words-429", "words-401", "words-503",
    "words-quota",
]  # fmt: skip
# (protocol, script): what litellm loses or says otherwise.
KNOWN: dict[tuple[str, str], set[str]] = {
    ("openai", "words-n5-finish=refusal"): {"text", "finish"},  # it drops `refusal`
    ("anthropic", "words-n5-finish=refusal"): {"finish"},  # content_filter is its word for it
    ("anthropic", "words-n5-finish=window"): {"finish"},  # and stop for this
    ("anthropic", "unicode"): {"text", "finish"},  # it takes U+2028 for the end of a line
    ("gemini", "unicode"): {"text"},
    ("gemini", "words-n3-cite=2"): {"sources"},  # the first alone
    ("ollama", "unicode"): {"text"},
    ("ollama", "words-n5-inline-think=3"): {"text", "thoughts"},  # it looks for tags in each piece alone
    ("ollama", "words-n5-error=3"): {"failure"},  # it takes an error of Ollama's own for one of the request
    ("ollama", "think=2-tool=weather:city:Paris-tool=weather:city:Oslo"): {
        "finish"
    },  # Ollama says stop after calls too
    ("ollama", "tool=weather:city:Paris-preamble=2-fragment=1"): {"finish"},
    ("responses", "words-n5-think=3"): {"thoughts"},  # it asks for no summary of them
    ("responses", "think=2-tool=weather:city:Paris-tool=weather:city:Oslo"): {"thoughts", "signed"},
    ("responses", "tool=weather:city:Paris-preamble=2-fragment=1"): {"signed"},  # the id of the call's item
    ("responses", "words-n5-finish=refusal"): {"text", "finish"},
    ("responses", "words-n5-finish=none-nodone"): {"failure"},  # an error of its own
    ("responses", "words-n3-cite=2"): {"sources"},
    ("responses", "words-n3-picture"): {"pictures"},
    ("mistral", "unicode"): {"text"},
    ("mistral", "words-n5-think=3"): {"blocks"},  # it makes Anthropic's blocks of Mistral's thoughts
    ("mistral", "think=2-tool=weather:city:Paris-tool=weather:city:Oslo"): {"blocks"},
    ("mistral", "words-n5-error=3"): {"failure"},
    ("mistral", "words-n5-finish=window"): {"finish"},
    ("deepseek", "unicode"): {"text"},
    ("openrouter", "unicode"): {"text"},
}


@pytest.fixture
def heard(loop: asyncio.Runner, protocols: ProtocolsProcess, settings: Any) -> Callable[..., dict[str, Any]]:
    settings.ASSISTANT_TIMEOUT = 20

    async def ask(model: str, **more: Any) -> dict[str, Any]:
        pieces: list[Any] = []
        failure = None
        try:
            async with aclosing(llm.stream(model, QUESTION, **more)) as stream:
                async for piece in stream:
                    pieces.append(piece)
        except ModelError as error:
            failure = (error.code, error.is_transient)

        def text(kind: Any) -> str:
            return "".join(piece.text for piece in pieces if isinstance(piece, kind))

        return {
            "text": text(Text),
            "thoughts": text(Reasoning),
            "calls": [(piece.name, piece.arguments) for piece in pieces if isinstance(piece, ToolCall)],
            "signed": [piece.extra for piece in pieces if isinstance(piece, ToolCall)],
            "blocks": [piece.fields.get("thinking_blocks", []) for piece in pieces if isinstance(piece, Kept)]
            or [[]],
            "sources": [piece.url for piece in pieces if isinstance(piece, Source)],
            "pictures": [piece.data for piece in pieces if isinstance(piece, Picture)],
            "finish": [piece.reason for piece in pieces if isinstance(piece, Finish)],
            "failure": failure,
        }

    def heard(model: str, *, by_lane: bool, **more: Any) -> dict[str, Any]:
        settings.ASSISTANT_FAST_LANE = by_lane
        return loop.run(ask(model, **more))

    return heard


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_both_lanes_hear_the_same(heard, protocol, script):
    more: dict[str, Any] = {"parameters": {"reasoning_effort": "low"}} if "think" in script else {}
    more |= {"tools": [WEATHER]} if "tool=" in script else {}
    fast = heard(PROTOCOLS[protocol] + script, by_lane=True, **more)
    slow = heard(PROTOCOLS[protocol] + script, by_lane=False, **more)
    differing = {name for name in fast if fast[name] != slow[name]}
    assert differing == KNOWN.get((protocol, script), set()), (fast, slow)
