"""Kinds of settings: which values are right, how a text of the environment becomes one, and how a document shows one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Never, Self, TypeVar, overload

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")
TOO_MUCH = 1e9  # nobody means a number like this, and some of them overflow a timer


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One setting, on one line of a table: default, sentence, bounds.

    On the table's class it is the setting itself, on its instance the value of now: Django's setting of that name, else
    the default. Nothing is kept, so `override_settings` works.
    """

    default: T | Callable[[], T]
    sentence: str
    shown: str = field(default="", kw_only=True)  # the default in words, where its value says little
    is_given_by_project: bool = field(default=False, kw_only=True)  # worked out from others, not read by this name
    name: str = field(default="", init=False)

    def __set_name__(self, table: type, name: str) -> None:
        object.__setattr__(self, "name", f"{getattr(table, 'PREFIX', '')}{name.upper()}")

    @overload
    def __get__(self, instance: None, table: type) -> Self: ...
    @overload
    def __get__(self, instance: object, table: type) -> T: ...
    def __get__(self, instance: object | None, table: type) -> Self | T:
        if instance is None:
            return self
        try:
            return getattr(django_settings, self.name)
        except AttributeError:
            return self.fallback()

    def __set__(self, instance: object, value: Never) -> Never:
        raise AttributeError(f"{self.name} is set in Django's settings.")

    def fallback(self) -> T:
        """The value where nothing is set."""
        return self.default() if callable(self.default) else self.default

    def read(self, environment: Mapping[str, str] = os.environ) -> T:
        """The environment's value, else the default; an empty variable is none. Raises ImproperlyConfigured."""
        raw = environment.get(self.name, "").strip()
        if not raw:
            return self.fallback()
        try:
            return self.parse(raw)
        except ValueError as error:
            raise ImproperlyConfigured(f"{self.name} {error}; it is {raw!r}.") from None

    # --- what each kind says of itself ---

    @property
    def allowed(self) -> str:
        """What the environment may give, in a few words of Markdown."""
        raise NotImplementedError

    def problem(self, value: object) -> str | None:
        """What a value must be, if this one isn't: the rest of a sentence that begins with the setting's name."""
        raise NotImplementedError

    def parse(self, raw: str) -> T:
        """The value that a variable of the environment means. Raises ValueError with the rest of a sentence."""
        raise NotImplementedError


class Text(Setting[str]):
    @property
    def allowed(self) -> str:
        return "text"

    def problem(self, value: object) -> str | None:
        return None if isinstance(value, str) else "must be a text"

    def parse(self, raw: str) -> str:
        return raw


class Folder(Setting[Path | None]):
    @property
    def allowed(self) -> str:
        return "a folder"

    def problem(self, value: object) -> str | None:
        return None if value is None or isinstance(value, str | Path) else "must be a path"

    def parse(self, raw: str) -> Path:
        return Path(raw)


class Flag(Setting[bool]):
    _WORDS = {"on": True, "off": False, "true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}

    @property
    def allowed(self) -> str:
        return "`on` or `off`"

    def problem(self, value: object) -> str | None:
        return None if isinstance(value, bool) else "must be True or False"

    def parse(self, raw: str) -> bool:
        try:
            return self._WORDS[raw.lower()]
        except KeyError:
            raise ValueError("must be one of on, off, true, false, 1, 0") from None


@dataclass(frozen=True)
class Number(Setting[float]):
    """A number of at least `least`."""

    least: float = field(kw_only=True)

    @property
    def allowed(self) -> str:
        return f"number, {self.least:g} or more"

    def problem(self, value: object) -> str | None:
        if isinstance(value, int | float) and not isinstance(value, bool) and self.least <= value < TOO_MUCH:
            return None
        return f"must be a number of at least {self.least:g}"

    def parse(self, raw: str) -> float:
        return _number(self, raw, float)


@dataclass(frozen=True)
class Whole(Setting[int]):
    """A whole number of at least `least`."""

    least: int = field(kw_only=True)

    @property
    def allowed(self) -> str:
        return f"whole number, {self.least} or more"

    def problem(self, value: object) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool) and self.least <= value < TOO_MUCH:
            return None
        return f"must be a whole number of at least {self.least}"

    def parse(self, raw: str) -> int:
        return _number(self, raw, int)


def _number(setting: Setting[T], raw: str, kind: type[T]) -> T:
    try:
        value: T | None = kind(raw)  # type: ignore[call-arg]
    except ValueError:
        value = None
    if problem := setting.problem(value):
        raise ValueError(problem)
    assert value is not None
    return value


@dataclass(frozen=True)
class Choice(Setting[str]):
    choices: tuple[str, ...] = field(kw_only=True)

    @property
    def allowed(self) -> str:
        return " or ".join(f"`{choice}`" for choice in self.choices)

    def problem(self, value: object) -> str | None:
        return None if value in self.choices else f"must be one of {', '.join(self.choices)}"

    def parse(self, raw: str) -> str:
        word = raw.lower()
        if problem := self.problem(word):
            raise ValueError(problem)
        return word


@dataclass(frozen=True)
class Words(Setting[Sequence[str]]):
    """A list of texts, with commas between them in the environment; out of `choices`, where there are any."""

    choices: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def allowed(self) -> str:
        return "words" if not self.choices else "words out of " + ", ".join(f"`{choice}`" for choice in self.choices)

    def problem(self, value: object) -> str | None:
        if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
            return "must be a list of texts"
        if self.choices and (wrong := [word for word in value if word not in self.choices]):
            return f"may name {', '.join(self.choices)}, and {wrong[0]!r} is none of them"
        return None

    def parse(self, raw: str) -> list[str]:
        words = split(raw)
        if problem := self.problem(words):
            raise ValueError(problem)
        return words


@dataclass(frozen=True)
class Hosts(Words):
    """Names of hosts, as browsers say them: no addresses, and no ports."""

    def problem(self, value: object) -> str | None:
        wrong = super().problem(value)
        if wrong is None and isinstance(value, list | tuple):
            address = next((name for name in value if "/" in name or name.count(":") == 1), None)
            wrong = address and f"names hosts, as chat.example.org is one; {address!r} is an address"
        return wrong


class Models(Setting[Sequence[tuple[str, str]]]):
    """Pairs of a label and a litellm id; the first is the default. In the environment `Label=id`, or the id alone."""

    @property
    def allowed(self) -> str:
        return "words: `id` or `Label=id`"

    def problem(self, value: object) -> str | None:
        if not isinstance(value, list | tuple) or not all(_is_pair(entry) for entry in value):
            return "must be a list of (label, litellm id)"
        if value and value[0][1].endswith("*"):
            return "must begin with a model, which is the default; a pattern can't be it"
        if wrong := next((model for _, model in value if "*" in model[:-1]), None):
            return f"may have `*` only at the end of an id, as in openai/*, and not as {wrong!r} has it"
        for names in zip(*value, strict=True):
            if twice := next((name for name in names if names.count(name) > 1), None):
                return f"names {twice!r} twice"
        return None

    def parse(self, raw: str) -> list[tuple[str, str]]:
        """An id may itself contain "=", so only a word without "/" before it is a label."""
        pairs = []
        for entry in split(raw):
            label, equals, model = entry.partition("=")
            if not equals or "/" in label:
                label, model = entry.removesuffix("*").rstrip("/").rpartition("/")[2] or entry, entry
            if not model.strip() or not label.strip():
                raise ValueError(f"must name models by id or Label=id, and {entry!r} is neither")
            pairs.append((label.strip(), model.strip()))
        if problem := self.problem(pairs):
            raise ValueError(problem)
        return pairs


class Prices(Setting[Mapping[str, tuple[float, float, float]]]):
    """US dollars for a million tokens by litellm id: read, written, read from a cache.

    In the environment `id=read/written` or `id=read/written/cached`; an id that ends in `*` stands for all that begin so.
    """

    @property
    def allowed(self) -> str:
        return "words: `id=read/written` or `id=read/written/cached`"

    def problem(self, value: object) -> str | None:
        if isinstance(value, Mapping) and all(isinstance(id_, str) and _are_prices(value[id_]) for id_ in value):
            return None
        return "must be a dict of litellm ids and their (read, written, cached), in US dollars for a million tokens"

    def parse(self, raw: str) -> dict[str, tuple[float, float, float]]:
        found = {}
        for entry in split(raw):
            model, _, told = entry.rpartition("=")
            try:
                read, written, *cached = (float(price) for price in told.split("/"))
            except ValueError:
                read, written, cached = -1, -1, []
            prices = (read, written, *(cached or [read]))
            if not model.strip() or not _are_prices(prices):
                raise ValueError(
                    "must be id=read/written or id=read/written/cached, in US dollars for a million tokens, and "
                    f"{entry!r} isn't"
                )
            found[model.strip()] = (prices[0], prices[1], prices[2])
        return found


def split(raw: str) -> list[str]:
    return [word.strip() for word in raw.split(",") if word.strip()]


def _is_pair(entry: Any) -> bool:
    return (
        isinstance(entry, list | tuple) and len(entry) == 2 and all(isinstance(part, str) and part for part in entry)
    )


def _are_prices(prices: Any) -> bool:
    return (
        isinstance(prices, list | tuple)
        and len(prices) == 3
        and all(isinstance(price, int | float) and 0 <= price < 1e6 for price in prices)
    )
