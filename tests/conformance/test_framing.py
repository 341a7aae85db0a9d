"""Framing takes whatever comes, in time that grows with its length and no faster, and holds no more than its limit."""

from __future__ import annotations

import json

import pytest

from assistant.llm import framing
from assistant.llm.framing import DONE, Framing
from assistant.llm.provider_error import ProviderError
from tests.conformance.case import said, sse


def events(*pieces: bytes, charset: str = "utf-8"):
    it = Framing(charset)
    found = [event for piece in pieces for event in it.feed(piece)]
    return [value for _, value in [*found, *it.end()]]


def test_a_long_line_is_put_together_once():
    it = Framing()
    pieces = [b'data: "' + b"x" * 1000, *[bytes([65 + number % 26]) * 1000 for number in range(500)]]
    assert [event for piece in pieces for event in it.feed(piece)] == []
    assert all(held is piece for held, piece in zip(it._rest, pieces, strict=True))  # nothing was copied yet
    assert [value for _, value in it.feed(b'"\n')] == [json.loads(b"".join(pieces)[6:] + b'"')]


@pytest.mark.parametrize(
    "line", [b"data: {", b"a page of words", b"data: {\n", b"a page of words\n", b"data: x\ndata: y\n"]
)
def test_what_has_no_end_is_given_up(monkeypatch, line):
    monkeypatch.setattr(framing, "LONGEST_EVENT_BYTES", 1_000)
    with pytest.raises(ProviderError, match="long"):
        events(*[line] * 2_000)


def test_what_was_an_event_is_not_held():
    it = Framing()
    stream = sse(said("x" * 1_000), done=False, form='data: {\ndata: "a": {}}\n\n')
    assert len([event for _ in range(20) for event in it.feed(stream)]) == 20
    assert it._lines_bytes == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "utf-16-le", "utf-8-sig"])
def test_however_it_is_cut_and_encoded_it_says_the_same(size, end, charset):
    text = 'event: x\ndata: {"a":\ndata: "ü👋"}\n\n: c\ndata: [DONE]\n\n'.replace("\n", end)
    data = text.encode(charset)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert events(*pieces, charset=charset) == [{"a": "ü👋"}, DONE]
