"""Who is mentioned in a text.

A mention is `@` and a name: `@assistant` or the label of the model that answers (`@Claude Sonnet`), a person's name or
user name. Upper and lower case are the same, and so are a space, a hyphen, an underscore or nothing between a name's words
(`@claude-sonnet`). Before the `@` stands no letter, digit or other part of an address (`post@assistant` is none), after
the name no letter or digit, nor a dot or hyphen with one (`@assistant.example` is none). Where several names fit, the
longest counts. Nothing in code, in a formula or in an e-mail address is a mention.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import TypeVar

from assistant import markup

ASSISTANT = "assistant"

Id = TypeVar("Id", bound=Hashable)

_BETWEEN = re.compile(r"[\s_-]+")


def is_addressed(text: str, model_label: str) -> bool:
    """Whether the text mentions the assistant, by that name or by its model's label."""
    return "@" in text and bool(_mentioned(text, [ASSISTANT, model_label]))


def people_in(text: str, names: Iterable[tuple[Id, Iterable[str]]]) -> list[Id]:
    """The ids of the people mentioned, in the order in which `names` (id, what they are called) has them."""
    if "@" not in text:
        return []
    called = {user: {_key(name) for name in theirs} for user, theirs in names}
    found = _mentioned(text, [name for _, theirs in names for name in theirs])
    return [user for user, keys in called.items() if keys & found]


def _mentioned(text: str, names: Iterable[str]) -> set[str]:
    """The keys of those names that the text mentions."""
    patterns = {_key(name): _pattern(name) for name in names if _key(name)}
    longest_first = sorted(patterns, key=len, reverse=True)
    anyone = re.compile(
        rf"(?<![\w@.+/-])@({'|'.join(patterns[key] for key in longest_first)})(?!\w|[.@-]\w)", re.IGNORECASE
    )
    return {_key(found) for found in anyone.findall(markup.prose(text))}


def _pattern(name: str) -> str:
    return r"(?:\s+|[_-])?".join(re.escape(word) for word in _BETWEEN.split(name) if word)


def _key(name: str) -> str:
    return _BETWEEN.sub("", name).casefold()
