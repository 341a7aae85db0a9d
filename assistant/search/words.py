"""What a person types -> terms; and where they stand in a text. The same rules for both databases."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

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
    """Where in `text` the words of the terms stand, as (start, end): those of a term of several only side by side."""
    wanted = [([plain(word) for word in term.words], term.is_prefix) for term in terms]
    words = (
        (found.span(), plain(found.group())) for found in _word.finditer(text) if any(map(str.isalnum, found.group()))
    )
    here = list(islice(words, max((len(term) for term, _ in wanted), default=0)))
    left = 0  # so many words from here on are part of what was found
    while here:
        following = [word for _, word in here]
        left = max([left, *(len(term) for term, is_prefix in wanted if _begins(following, term, is_prefix))])
        if left:
            yield here[0][0]
            left -= 1
        here = here[1:] + list(islice(words, 1))


def matches(text: str, terms: list[Term]) -> bool:
    """Whether every term stands in a short text, such as a title."""
    if text.isascii():  # then it is quickly said of most that they don't have it
        lower = text.lower()
        if any(plain(word) not in lower for term in terms for word in term.words):
            return False
    words = [plain(word) for word in split(text)]
    return all(_stands(words, term) for term in terms)


def _stands(words: list[str], term: Term) -> bool:
    wanted = [plain(word) for word in term.words]
    return any(_begins(words[at : at + len(wanted)], wanted, term.is_prefix) for at in range(len(words)))


def _begins(words: list[str], wanted: list[str], is_prefix: bool) -> bool:
    here, last = words[: len(wanted)], wanted[-1]
    return here == wanted or (
        is_prefix and len(here) == len(wanted) and here[:-1] == wanted[:-1] and here[-1].startswith(last)
    )
