"""A few words around what was found, as pieces that say whether they are to be marked. Text only, never markup."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assistant.search.words import Term, places

BEFORE, LENGTH = 60, 220

_space = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    mark: bool = False


def snippet(text: str, terms: list[Term]) -> list[Piece]:
    """About `LENGTH` characters of `text` around the first word found, or its beginning."""
    first = next(places(text, terms), (0, 0))[0]
    start = _at_a_word(text, max(0, first - BEFORE)) if first > BEFORE else 0
    end = min(len(text), start + LENGTH)
    window = text[start:end]
    pieces, at = [Piece("…")] if start else [], 0
    for begin, stop in places(window, terms):
        pieces += [Piece(_calm(window[at:begin])), Piece(window[begin:stop], mark=True)]
        at = stop
    pieces.append(Piece(_calm(window[at:]) + ("…" if end < len(text) else "")))
    return [piece for piece in pieces if piece.text]


def _at_a_word(text: str, at: int) -> int:
    """The next beginning of a word, if one is near."""
    space = _space.search(text, at, at + BEFORE // 2)
    return space.end() if space else at


def _calm(text: str) -> str:
    return _space.sub(" ", text)
