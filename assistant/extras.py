"""The wheel's extras: an import that only one of them brings says which, where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtra(ImportError):
    """The message is a sentence for administrators."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around imports that `parley[name]` brings and `parley` alone does not. Raises MissingExtra."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(f"The package {error.name} is missing: pip install 'parley[{name}]'.") from error
