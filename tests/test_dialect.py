"""Whatever a session's history, no provider refuses it; and a session goes on when its model changes in the middle."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.llm.dialect import GO_ON, READ, adapted, may_think, without_thinking
from tests import strict
from tests.provider.valid import check_request

Line = dict[str, Any]

CLAUDE = "anthropic/claude-sonnet-4-5"
DEEPSEEK = "deepseek/deepseek-v4-pro"
KIMI = "moonshot/kimi-k2.5"
MISTRAL = "mistral/mistral-large-latest"
GEMINI = "openai/gemini-3-pro-preview"
RESPONSES = "openai/gpt-5.2-pro"
LOCAL = "openai/qwen3-on-llama.cpp"
MODELS = [CLAUDE, DEEPSEEK, KIMI, MISTRAL, GEMINI, RESPONSES, LOCAL]

TEXTS = st.sampled_from(["What now?", "", " \n", "\u200b", "a\n\nb", "Ünïcödé 👩\u200d👧", "x" * 50])
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def call(id_: str, name: str = "look") -> Line:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": '{"at": 1}'}}


def result(id_: str, content: str = "seen") -> Line:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def said(role: str, content: Any) -> Line:
    return {"role": role, "content": content}


class Session:
    """A session as it is stored, and the providers that answer in it, each of which remembers what it has issued."""

    def __init__(self) -> None:
        self.lines: list[Line] = [said("system", "Be kind.")]
        self.issued: dict[str, list[Line]] = defaultdict(list)
        self._count = 0

    def ask(self, model: str) -> bool:
        """One request to `model`, refused as its provider refuses; whether it was asked to think."""
        asked = adapted(model, self.lines, sees=True)
        thinks = may_think(model, self.lines)
        own = self.issued[model]
        checks: dict[str, Callable[[], None]] = {
            CLAUDE: lambda: strict.anthropic(asked, thinks=thinks, issued=own),
            DEEPSEEK: lambda: strict.deepseek(asked, issued=own),
            KIMI: lambda: strict.kimi(asked, issued=own),
            MISTRAL: lambda: strict.mistral(asked),
            GEMINI: lambda: strict.gemini(asked, issued=own),
            RESPONSES: lambda: strict.responses(asked, issued=own),
            LOCAL: lambda: strict.strict_template(asked),
        }
        checks[model]()
        for_anybody = [plain(line) for line in asked]
        strict.strict_template(for_anybody)
        assert adapted(LOCAL, for_anybody, sees=True) == for_anybody, "what a model takes comes out as it is"
        return thinks

    def round(self, model: str, text: str, results: list[str]) -> None:
        """`model` calls a tool for each of the results."""
        thinks = self.ask(model)
        kept, extra = thoughts(model, self._next(), thinks=thinks)
        calls = [call(self._id(model)) for _ in results]
        state = {"model": model, "message": kept, "calls": {calls[0]["id"]: extra} if extra else {}}
        self.issued[model].append({**kept, "tool_calls": [calls[0] | extra, *calls[1:]]})
        self.lines.append({"role": "assistant", "content": text, "tool_calls": calls, "provider_state": state})
        self.lines += [result(call["id"], content) for call, content in zip(calls, results, strict=True)]

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _id(self, model: str) -> str:
        number = self._next()
        shapes = {
            CLAUDE: f"toolu_{number:022}",
            KIMI: f"functions.look:{number}",
            MISTRAL: f"{number:09}",
            GEMINI: f"call_{number:030}__thought__a+b/c==",
            LOCAL: f"chatcmpl-tool-{number:032}",
        }
        return shapes.get(model, f"call_{number:024}")


def plain(line: Line) -> Line:
    """Without what only its own provider knows, and under an id that anybody takes."""
    kept = {name: value for name, value in line.items() if name in strict.LINE_FIELDS}
    if calls := line.get("tool_calls"):
        kept["tool_calls"] = [call(usual(one["id"])) for one in calls]
    if "tool_call_id" in line:
        kept["tool_call_id"] = usual(line["tool_call_id"])
    return kept


def usual(id_: str) -> str:
    return re.sub(r"\W", "_", id_[:40])


def thoughts(model: str, number: int, *, thinks: bool) -> tuple[Line, Line]:
    """What the provider wants back with a round: fields of the message, and of its first call."""
    if model == CLAUDE and thinks:
        return {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": f"sig{number}"}]}, {}
    if model in (DEEPSEEK, KIMI):
        return {"reasoning_content": f"Hm, {number}."}, {}
    if model == RESPONSES:
        return {"reasoning_items": [{"id": f"rs_{number}", "encrypted_content": "xyz"}]}, {}
    if model == GEMINI:
        return {}, {"extra_content": {"google": {"thought_signature": f"sig{number}"}}}
    return {}, {}


@st.composite
def sessions(draw: Any) -> list[Any]:
    """What happens, in order: a question, a round of tools by a model, an answer or none."""
    turns = []
    for _ in range(draw(st.integers(1, 6))):
        turn: list[Any] = [("question", draw(TEXTS)) for _ in range(draw(st.integers(1, 3)))]
        model = draw(st.sampled_from(MODELS))
        for _ in range(draw(st.integers(0, 3))):
            turn.append(("round", model, draw(TEXTS), draw(st.lists(TEXTS, min_size=1, max_size=3))))
            if draw(st.booleans()):
                model = draw(st.sampled_from(MODELS))  # it failed, and another took over
            if not draw(st.integers(0, 3)):
                turn.append(("question", draw(TEXTS)))  # it joined in
        turn.append(("answer", model, draw(TEXTS)) if draw(st.booleans()) else ("failure", model))
        turns += turn
    return turns


@settings(deadline=None, max_examples=300)  # the machine may be busy
@given(sessions())
def test_no_provider_refuses_a_session_whose_model_changes(happened: list[Any]) -> None:
    session = Session()
    for what, *details in happened:
        match what, details:
            case "question", [text]:
                session.lines.append(said("user", text))
            case "round", [model, text, results]:
                session.round(model, text, results)
            case "answer", [model, text]:
                session.ask(model)
                session.lines.append(said("assistant", text))
            case "failure", [model]:
                session.ask(model)
    session.lines.append(said("user", "And now?"))
    for model in MODELS:
        session.ask(model)


ANY_LINE = st.one_of(
    st.builds(said, st.sampled_from(["user", "assistant", "system"]), TEXTS),
    st.builds(lambda text: said("user", [{"type": "text", "text": text}, IMAGE]), TEXTS),
    st.builds(result, st.sampled_from(["a", "b", "", "x" * 64]), TEXTS),
    st.builds(
        lambda text, ids: {"role": "assistant", "content": text or None, "tool_calls": [call(id_) for id_ in ids]},
        TEXTS,
        st.lists(st.sampled_from(["a", "b", "", "x" * 64]), max_size=3),
    ),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(ANY_LINE, max_size=12), st.sampled_from([MISTRAL, LOCAL]))
def test_even_lines_in_no_order_at_all_make_a_prompt(lines: list[Line], model: str) -> None:
    asked = adapted(model, lines, sees=True)
    (strict.mistral if model == MISTRAL else strict.strict_template)(asked)
    check_request({"messages": asked, "tools": ["any"]})
    assert adapted(model, asked, sees=True) == asked


# --- the rules, one by one ---


def test_a_usual_prompt_comes_out_as_it_is() -> None:
    lines = [
        said("system", "Be kind."), said("user", "1"), said("assistant", "one"), said("user", "2"),
        {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]}, result("a"), result("b"),
        said("assistant", "two"), said("user", "3"),
    ]  # fmt: skip
    assert adapted(LOCAL, lines, sees=False) == lines


def test_questions_in_a_row_are_one_and_keep_their_authors() -> None:
    lines = [said("user", "alice: 1"), said("user", "bob: 2"), said("user", [{"type": "text", "text": "3"}, IMAGE])]
    assert adapted(LOCAL, lines[:2], sees=True) == [said("user", "alice: 1\n\nbob: 2")]
    (one,) = adapted(LOCAL, lines, sees=True)
    assert one["content"] == [
        {"type": "text", "text": "alice: 1\n\nbob: 2"}, {"type": "text", "text": "3"}, IMAGE,
    ]  # fmt: skip


def test_an_empty_answer_and_an_empty_question_are_not_told() -> None:
    lines = [said("user", "1"), said("assistant", " \u200b"), said("user", ""), said("user", "2")]
    assert adapted(LOCAL, lines, sees=False) == [said("user", "1\n\n2")]


def test_there_is_one_system_and_it_comes_first() -> None:
    lines = [said("system", "Be kind."), said("user", "1"), said("system", "Be brief.")]
    assert adapted(LOCAL, lines, sees=False) == [said("system", "Be kind.\n\nBe brief."), said("user", "1")]


@pytest.mark.parametrize(
    ("model", "is_told"),
    [("ollama/gemma2:9b", False), ("gemini/gemma-3-27b-it", False), ("openai/medgemma-4b-it", False),
     ("openai/gemma-4-31b-it", True), ("ollama/gemma4:31b", True), ("openai/llama", True)],
)  # fmt: skip
def test_a_model_without_a_system_is_told_it_with_the_first_question(model: str, is_told: bool) -> None:
    lines = [said("system", "Be kind."), said("user", "1")]
    assert adapted(model, lines, sees=False) == (lines if is_told else [said("user", "Be kind.\n\n1")])


def test_a_question_behind_a_result_waits_for_the_assistant() -> None:
    round_ = [said("user", "1"), {"role": "assistant", "content": None, "tool_calls": [call("a")]}, result("a")]
    asked = adapted(LOCAL, [*round_, said("user", "Look left")], sees=False)
    assert asked == [*round_, said("assistant", READ), said("user", "Look left")]


def test_what_begins_or_ends_with_an_answer_gets_a_question() -> None:
    lines = [said("assistant", "one"), said("user", "2"), said("assistant", "two")]
    assert adapted(LOCAL, lines, sees=False) == [said("user", GO_ON), *lines, said("user", GO_ON)]
    prefix = [said("user", "1"), said("assistant", "The ans") | {"prefix": True}]
    assert adapted(LOCAL, prefix, sees=False) == prefix, "where it is to be gone on with it stays the last"


def test_half_pairs_reach_nobody() -> None:
    asked = {"role": "assistant", "content": "Let me see.", "tool_calls": [call("a"), call("b")]}
    lines = [said("user", "1"), asked, result("b"), result("c"), said("user", "2"), result("a"), said("user", "3")]
    assert adapted(LOCAL, lines, sees=False) == [
        said("user", "1"), asked | {"tool_calls": [call("b")]}, result("b"), said("assistant", READ),
        said("user", "2\n\n3"),
    ]  # fmt: skip
    alone = [said("user", "1"), asked, said("user", "2")]
    assert adapted(LOCAL, alone, sees=False) == [
        said("user", "1"),
        said("assistant", "Let me see."),
        said("user", "2"),
    ]


@pytest.mark.parametrize(
    "model",
    ["mistral/any", "codestral/any", "openai/mistralai/Devstral-Small-2", "openrouter/mistralai/ministral-8b"],
)  # fmt: skip
def test_mistral_is_given_ids_of_nine_letters_always_the_same(model: str) -> None:
    calls = [call("toolu_01A"), call("Abc123xyZ")]
    lines = [said("user", "1"), {"role": "assistant", "content": None, "tool_calls": calls},
             result("toolu_01A"), result("Abc123xyZ")]  # fmt: skip
    _, asked, first, second = adapted(model, lines, sees=False)
    ids = [one["id"] for one in asked["tool_calls"]]
    assert len(ids[0]) == 9 and ids[0].isalnum() and ids[1] == "Abc123xyZ"
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    more = adapted(model, [*lines, said("assistant", "So."), said("user", "2")], sees=False)
    assert more[1] == asked, "a longer prompt begins as the shorter one, or nothing of it is cached"


def test_an_id_that_is_too_long_is_mended_for_others_and_stays_with_its_own() -> None:
    id_ = "call_1__thought__" + "A/+=" * 20
    state = {"model": "gemini/gemini-3-pro", "message": {}, "calls": {id_: {"extra": 1}}}
    lines = [said("user", "1"), {"role": "assistant", "content": None, "tool_calls": [call(id_)], "provider_state": state},
             result(id_)]  # fmt: skip
    asked = adapted("gemini/gemini-3-pro", lines, sees=False)
    assert asked[1]["tool_calls"] == [call(id_) | {"extra": 1}] and asked[2]["tool_call_id"] == id_
    strict.openai(adapted(LOCAL, lines, sees=False))


def test_what_a_provider_wants_back_goes_to_its_model_alone_and_replaces_nothing() -> None:
    blocks = [{"type": "thinking", "thinking": "Hm", "signature": "s"}]
    message = {"thinking_blocks": blocks, "content": "no", "role": "no"}
    function = {"name": "no", "provider_specific_fields": {"y": 2}}
    extra = {"provider_specific_fields": {"x": 1}, "id": "no", "function": function}
    state = {"model": CLAUDE, "message": message, "calls": {"a": extra}}
    asked = {"role": "assistant", "content": "Let me see.", "tool_calls": [call("a")]}
    lines = [said("user", "1"), asked | {"provider_state": state}, result("a")]
    told = adapted(CLAUDE, lines, sees=False)[1]
    assert told["content"] == "Let me see." and told["role"] == "assistant"
    assert told["thinking_blocks"] == blocks
    (one,) = told["tool_calls"]
    assert one["id"] == "a" and one["provider_specific_fields"] == {"x": 1}
    assert one["function"] == call("a")["function"] | {"provider_specific_fields": {"y": 2}}
    for other in ("anthropic/claude-sonnet-4-6", LOCAL, MISTRAL, "anthropic/claude-sonnet-4-5-20250929"):
        assert set(adapted(other, lines, sees=False)[1]) == {"role", "content", "tool_calls"}


def test_thinking_is_off_where_another_model_has_begun_the_turn() -> None:
    def round_(model: str, id_: str) -> list[Line]:
        message = {"thinking_blocks": [{"signature": id_}]} if model == CLAUDE else {}
        state = {"model": model, "message": message, "calls": {}}
        asked = {"role": "assistant", "content": None, "tool_calls": [call(id_)], "provider_state": state}
        return [asked, result(id_)]

    question = [said("user", "1")]
    assert may_think(CLAUDE, question + round_(CLAUDE, "a") + round_(CLAUDE, "b"))
    assert not may_think(CLAUDE, question + round_(LOCAL, "a"))
    mixed = question + round_(CLAUDE, "a") + round_(LOCAL, "b")
    assert not may_think(CLAUDE, mixed)
    assert "thinking_blocks" not in adapted(CLAUDE, mixed, sees=False)[1], (
        "what thinks has blocks, what doesn't has none"
    )
    later = [*mixed, said("assistant", "one"), said("user", "2")]
    assert may_think(CLAUDE, later) and "thinking_blocks" in adapted(CLAUDE, later, sees=False)[1]
    assert may_think(LOCAL, question + round_(CLAUDE, "a")), "only Anthropic's refuses it"
    wanted = {"thinking": {"type": "enabled"}, "reasoning_effort": "high", "temperature": 1}
    assert without_thinking(wanted) == {"temperature": 1}


def test_openrouter_is_told_which_calls_gemini_has_not_signed() -> None:
    lines = [said("user", "1"), {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]},
             result("a"), result("b")]  # fmt: skip
    (detail,) = adapted("openrouter/google/gemini-3-pro", lines, sees=False)[1]["reasoning_details"]
    assert detail["data"] == "skip_thought_signature_validator" and detail["id"] == "a"
    assert "reasoning_details" not in adapted("openrouter/google/gemini-2.5-pro", lines, sees=False)[1]


def test_a_server_that_has_sent_reasoning_by_openai_s_protocol_is_given_some_with_each_call() -> None:
    """A DeepSeek behind an address of one's own: those that never sent any may refuse the field."""
    state = {"model": "openai/deepseek-v4", "message": {"reasoning_content": "Hm"}, "calls": {}}
    foreign = {"role": "assistant", "content": None, "tool_calls": [call("a")]}
    own = {"role": "assistant", "content": None, "tool_calls": [call("b")], "provider_state": state}
    lines = [said("user", "1"), foreign, result("a"), said("assistant", "one"), said("user", "2"), own, result("b")]
    asked = adapted("openai/deepseek-v4", lines, sees=False)
    assert [line.get("reasoning_content") for line in asked if line["role"] == "assistant"] == [" ", " ", "Hm"]
    asked = adapted("openai/deepseek-v4", lines[:5], sees=False)
    assert not [line for line in asked if "reasoning_content" in line]
