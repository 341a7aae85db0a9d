"""Whether there is anything to see in a text. Pure."""

from __future__ import annotations

import re

# White space, controls, and what Unicode has by default ignored or drawn as nothing (Default_Ignorable_Code_Point of
# DerivedCoreProperties.txt; the marks around annotations; the Braille pattern without a dot): zero-width blanks, joiners,
# soft hyphens, marks of direction, variation selectors, tags.
_VISIBLE = re.compile(
    "[^"
    r"\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
    "]"
)


def is_blank(text: str) -> bool:
    """True for a text of which nobody sees a letter: it is empty, or of white space and invisible characters only."""
    return _VISIBLE.search(text) is None
