"""What gateways and old servers make of each protocol, beside the fakes that keep to it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from assistant.llm import lane
from assistant.llm.anthropic import MessagesReader
from assistant.llm.calls import MOST_CALLS, Fragments
from assistant.llm.framing import DONE
from assistant.llm.gemini import GeminiReader
from assistant.llm.ollama import OllamaReader
from assistant.llm.openai_chat import ChatReader
from assistant.llm.pieces import Finish, Kept, Reasoning, Text, ToolCall
from assistant.llm.reader import RawUsage
from assistant.llm.responses import ResponsesReader
from tests.conformance.playing import Answer, playing

ANSWERS: dict[Any, list[Any]] = {
    ChatReader: [{"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}],
    MessagesReader: [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes."}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    ],
    GeminiReader: [{"candidates": [{"content": {"parts": [{"text": "Yes."}]}, "finishReason": "STOP"}]}],
    OllamaReader: [{"message": {"content": "Yes."}, "done": True, "done_reason": "stop"}],
    ResponsesReader: [
        {"type": "response.output_text.delta", "delta": "Yes."},
        {"type": "response.completed", "response": {"status": "completed"}},
    ],
}


@pytest.mark.parametrize("reader", ANSWERS)
def test_openais_last_word_ends_an_answer_in_every_protocol(reader):
    made = reader()
    events = [*(("", value) for value in ANSWERS[reader]), ("", DONE), ("", {"error": "after the end"})]
    pieces = [*lane.pieces_of(made, events), *made.end()]
    said = [piece for piece in pieces if not isinstance(piece, RawUsage)]
    assert said == [Text("Yes."), Finish("stop")]


def test_an_answer_that_comes_with_its_end_alone_is_read():
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": "{}"}
    message = {"type": "message", "content": [{"type": "output_text", "text": "Yes."}]}
    response = {"status": "completed", "output": [message, call]}
    reader = ResponsesReader()
    pieces = [*reader.event("", {"type": "response.completed", "response": response}), *reader.end()]
    assert Text("Yes.") in pieces and [piece.name for piece in pieces if isinstance(piece, ToolCall)] == ["weather"]
    assert pieces[-1] == Finish("tool_calls")


def test_thoughts_in_many_fragments_are_put_together_once():
    reader = ChatReader()
    detail = {"type": "reasoning.text", "index": 0}
    chunks = [{"choices": [{"delta": {"reasoning_details": [{**detail, "text": f"{n} "}]}}]} for n in range(50)]
    signed = {"choices": [{"delta": {"reasoning_details": [{**detail, "signature": "s"}]}, "finish_reason": "stop"}]}
    pieces = [piece for chunk in (*chunks, signed) for piece in reader.event("", chunk)] + [*reader.end()]
    whole = "".join(f"{n} " for n in range(50))
    assert "".join(piece.text for piece in pieces if isinstance(piece, Reasoning)) == whole
    (kept,) = (piece for piece in pieces if isinstance(piece, Kept))
    assert kept.fields == {"reasoning_details": [{**detail, "text": whole, "signature": "s"}]}


def test_who_asks_for_tools_without_end_is_not_listened_to():
    fragments = Fragments()
    for number in range(MOST_CALLS + 50):
        fragments.add(number, f"call_{number}", "weather", "{}")
    assert len(fragments.whole()) == MOST_CALLS


def test_a_stray_line_after_geminis_end_harms_nothing(loop: asyncio.Runner):
    (answer,) = ANSWERS[GeminiReader]
    body = b"data: " + orjson.dumps(answer) + b"\n\nOK\n"

    async def scenario() -> list[Any]:
        async with playing() as player:
            player.load(Answer(body))
            request = lane.Request(player.url, {}, {"contents": []}, GeminiReader)
            return [piece async for piece in lane.stream(request, 20.0)]

    assert loop.run(scenario()) == [Text("Yes."), Finish("stop")]
