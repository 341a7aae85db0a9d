"""Whether a setting names something of ours, under whichever of its dotted paths."""

from collections.abc import Iterable
from typing import Any

from django.utils.module_loading import import_string


def names(paths: Iterable[Any], wanted: type) -> bool:
    """Whether one of `paths` is a dotted path of `wanted`, or of a class that is made of it."""
    return any(_is(path, wanted) for path in paths)


def _is(path: Any, wanted: type) -> bool:
    try:
        found = import_string(path)
    except (ImportError, TypeError, AttributeError):
        return False
    return isinstance(found, type) and issubclass(found, wanted)
