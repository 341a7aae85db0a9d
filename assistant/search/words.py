"""What a person types -> terms; and where they stand in a text. The same rules for both databases."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

MOST_WORDS = 32
LONGEST_WORD = 100

# Punctuation, symbols and emoji by code points, not by a locale: PostgreSQL splits by the very same class.
SEPARATORS = (
    r"\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7"
    r"\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u3000-\u3004\u3008-\u3020\u3030\ufe00-\ufe0f\uff00-\uff0f"
    r"\U0001f000-\U0001faff"
)
MARKS = r"\u0300-\u036f"  # accents, once they are apart from their letters

_word = re.compile(f"[^{SEPARATORS}]+")
_marks = re.compile(f"[{MARKS}]")
_part = re.compile(r'"([^"]*)"?|[^"]+')


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand side by side. With `is_prefix` the last one may be the beginning of a longer word."""

    words: tuple[str, ...]
    is_prefix: bool = False


def terms_of(query: str) -> list[Term]:
    """The terms that must all be found: each word by itself, "words in quotes" together, the last word as a beginning.

    All else is punctuation. Nothing that anybody types is an error; what has no word in it gives no term.
    """
    terms: list[Term] = []
    for part in _part.finditer(query):
        if part.group(1) is not None:
            terms.append(Term(tuple(split(part.group(1)))))
        else:
            terms += [Term((word,)) for word in split(part.group(0))]
    terms = [term for term in terms if term.words]
    if terms and _word.fullmatch(query[-1:]):
        terms[-1] = Term(terms[-1].words, is_prefix=True)
    return _bounded(terms)


def _bounded(terms: list[Term]) -> list[Term]:
    kept, words = [], 0
    for term in terms:
        words += len(term.words)
        if words > MOST_WORDS:
            break
        kept.append(term)
    return kept


def split(text: str) -> list[str]:
    """The words of a text as they stand there."""
    return [word[:LONGEST_WORD] for word in _word.findall(text) if any(map(str.isalnum, word))]


@functools.lru_cache(maxsize=20_000)
def plain(word: str) -> str:
    """A word without what should make no difference: case, accents, width, ligatures."""
    return _marks.sub("", unicodedata.normalize("NFKD", word)).lower()


def places(text: str, terms: list[Term]) -> Iterator[tuple[int, int]]:
    """Where in `text` single words of the terms stand, as (start, end)."""
    whole = {plain(word) for term in terms for word in term.words}
    begins = tuple(plain(term.words[-1]) for term in terms if term.is_prefix)
    for found in _word.finditer(text):
        word = plain(found.group())
        if word in whole or (begins and word.startswith(begins)):
            yield found.span()


def matches(text: str, terms: list[Term]) -> bool:
    """Whether every term stands in a short text, such as a title."""
    words = [plain(word) for word in split(text)]
    return all(_stands(words, term) for term in terms)


def _stands(words: list[str], term: Term) -> bool:
    wanted = [plain(word) for word in term.words]
    for at in range(len(words) - len(wanted) + 1):
        here = words[at : at + len(wanted)]
        if here == wanted or (term.is_prefix and here[:-1] == wanted[:-1] and here[-1].startswith(wanted[-1])):
            return True
    return False
