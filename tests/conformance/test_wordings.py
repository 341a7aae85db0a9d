"""What a provider's error means is read from whatever it says: a code, else its words, else HTTP's status.

`wordings.json` has facts from public reports of what servers say (with other numbers and names): who, HTTP's status
(null: in mid stream), the body, what it means; what sounds like a conversation that is too long and is something else;
and how servers say that they don't know a field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.llm import error_body, errors, fields
from assistant.llm.error_body import said_in

DATA = json.loads((Path(__file__).parent / "wordings.json").read_text())
PASSING = ("rate_limited", "provider_error")


def rows(name: str, *fields: str) -> Any:
    found = [tuple(row[field] for field in fields) for row in DATA[name]]
    return pytest.mark.parametrize(fields, found, ids=[str(row.get("who", "")) for row in DATA[name]])


def openai(message: str, code: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code} | more}


@rows("errors", "status", "body", "category")
def test_an_error_means_the_same_in_everybodys_words(status, body, category):
    assert errors.judged(status, said_in(body))[0] == category


def test_there_are_many_wordings():
    told = [row["category"] for row in DATA["errors"]]
    assert told.count("context_overflow") >= 40 and len(told) >= 100


@rows("errors", "status", "body", "category")
def test_only_what_passes_is_asked_again(status, body, category):
    """A request that alone is larger than what a minute allows will be so in a minute, too."""
    passes = category in PASSING and "Request too large" not in str(body)
    assert errors.judged(status, said_in(body))[1] == passes


@rows("no_overflow", "status", "body")
def test_a_request_that_is_wrong_is_not_one_that_is_too_long_and_is_not_sent_again(status, body):
    assert errors.judged(status, said_in(body)) == ("provider_error", False)


# --- fields that a server does not take ---

FIELDS = (
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "temperature",
    "max_tokens", "top_p", "stop", "n",
)  # fmt: skip


@rows("refused_fields", "status", "body", "field")
def test_the_field_that_a_server_refuses_is_named(status, body, field):
    assert fields.unsupported_field(status, body, FIELDS) == field


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, openai("Incorrect API key: stream_options is not supported", "invalid_api_key")),
        (429, openai("stream_options: unknown")),
        (400, openai("'messages' is not supported", param="messages")),  # nothing can be asked without
        (400, openai("Unknown parameter: 'service_tier'.", "unknown_parameter", param="service_tier")),  # not sent
        (400, openai("This model does not support tools. It can not be stopped.")),
        (400, openai("temperature must be between 0 and 1", param="temperature")),  # a person's to mend
        (400, openai("This model's maximum context length is 4096 tokens.", "context_length_exceeded")),
        (500, "internal error"),
    ],
)
def test_an_error_about_something_else_names_no_field(status, body):
    assert fields.unsupported_field(status, body, FIELDS) is None


def test_a_field_that_has_another_name_there_is_sent_by_that_name():
    body = {"model": "m", "max_tokens": 5}
    refusal = openai("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.")
    assert fields.without(body, "max_tokens", refusal) == {"model": "m", "max_completion_tokens": 5}
    assert fields.without(body, "max_tokens", openai("Unknown parameter: 'max_tokens'")) == {"model": "m"}


# --- the forms of errors ---


@pytest.mark.parametrize(
    "body",
    [
        {"error": "the words"}, {"error": {"message": "the words"}}, {"error": {"error": {"message": "the words"}}},
        [{"error": {"message": "the words"}}], {"object": "error", "message": "the words"}, {"detail": "the words"},
        {"detail": [{"msg": "the words", "loc": ["body"]}]}, {"errors": ["the words"]}, {"message": "the words"},
        {"errors": [{"message": "the words"}]}, {"error": {"metadata": {"raw": "the words"}}}, {"error_msg": "the words"},
        {"error": '{"message": "the words"}'}, {"type": "error", "error": {"message": "the words"}},
        {"base_resp": {"status_code": 7, "status_msg": "the words"}}, "the words", {"odd": "the words"},
        "<!doctype html><html><style>p {}</style><p>the&#32;words</p></html>",
    ],
)  # fmt: skip
def test_the_words_of_an_error_are_found_in_each_of_its_forms(body):
    assert "the words" in said_in(body).text


class Watched:
    """A pattern that notes how much text it is given."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self.lengths: list[int] = []

    def sub(self, by: str, text: str) -> str:
        self.lengths.append(len(text))
        return self._pattern.sub(by, text)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        self.lengths.append(len(text))
        return self._pattern.finditer(text)


@pytest.mark.parametrize("page", ["<" * 1_000_000, "<script " * 100_000, "<p>the words" + " </p" * 100_000])
@pytest.mark.parametrize("name", ["_TAG", "_PROGRAM"])
def test_of_a_page_however_long_its_beginning_is_looked_at(monkeypatch, page, name):
    monkeypatch.setattr(error_body, name, watched := Watched(getattr(error_body, name)))
    assert len(said_in({"error": {"message": page}}).text) <= error_body.LONGEST_WORDS
    assert len(watched.lengths) == 1 and watched.lengths[0] <= error_body.LONGEST_PAGE


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            "<p>1 < 2 <b>and</b> so",
            "1 < 2 and so",
        ),  # a tag begins at its own `<`: nothing is looked at again and again
        ("<script>if (a<b) c()</script >one<STYLE>p {}</sTyle><script/>two</script> three", "one three"),
        ("<script>a()</style></script>one<style>p {", "one"),
        ("<p>&#" + "1" * 5_000 + ";", "&#" + "1" * 5_000 + ";"),
    ],
)
def test_of_a_page_its_words_are_told(page, words):
    assert error_body.words_of_page(page) == words


@pytest.mark.parametrize("code", ["\u00b2", "4" * 5_000, 40_000, "\u0664\u0660\u0661"])
def test_a_code_that_only_looks_like_a_number_is_no_status(code):
    assert said_in({"error": {"message": "the words", "code": code}}).status is None
