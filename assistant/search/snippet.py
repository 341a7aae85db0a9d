"""A few words around what was found, as pieces that say whether they are to be marked. Text only, never markup."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assistant import markup
from assistant.search.words import Term, places

BEFORE, LENGTH = 60, 220
NEAR = 2_000  # of a long text only so much around is read

_space = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    mark: bool = False


def snippet(text: str, terms: list[Term], *, is_markdown: bool = False) -> list[Piece]:
    """About `LENGTH` characters of `text`, without its Markdown, around the first place found, or its beginning."""
    words, is_cut = _words(text, _first(text, terms) or 0) if is_markdown else (text, False)
    if _first(words, terms) is None:  # what was found stands in an address
        words, is_cut = text, False
    first = _first(words, terms) or 0
    start = _at_a_word(words, max(0, first - BEFORE)) if first > BEFORE else 0
    end = min(len(words), start + LENGTH)
    window = words[start:end]
    pieces, at = [Piece("…")] if start or is_cut else [], 0
    for begin, stop in places(window, terms):
        pieces += [Piece(_calm(window[at:begin])), Piece(window[begin:stop], mark=True)]
        at = stop
    pieces.append(Piece(_calm(window[at:]) + ("…" if end < len(words) else "")))
    return [piece for piece in pieces if piece.text]


def _first(text: str, terms: list[Term]) -> int | None:
    return next((start for start, _ in places(text, terms)), None)


def _words(text: str, first: int) -> tuple[str, bool]:
    """What the Markdown says from the paragraph on in which `first` stands, and whether something is before it."""
    begin = max(0, text.rfind("\n\n", 0, max(0, first - BEFORE)), first - NEAR)
    words = markup.prose(text[begin : first + NEAR], with_code=True)
    return words.replace("\N{OBJECT REPLACEMENT CHARACTER}", " ").strip(), begin > 0


def _at_a_word(text: str, at: int) -> int:
    """The next beginning of a word, if one is near."""
    space = _space.search(text, at, at + BEFORE // 2)
    return space.end() if space else at


def _calm(text: str) -> str:
    return _space.sub(" ", text)
