"""What a provider, a model or a tool said, as every database stores it: without NUL and without halves of characters.

PostgreSQL refuses NUL in a text; no database takes half of a surrogate pair, which JSON can carry as an escape.
"""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> tuple[str, str]:
    """`text` without NUL, its surrogate pairs joined and lone ones replaced by U+FFFD; and a trailing first half.

    JSON may carry a character beyond U+FFFF as two escapes, and a provider may cut between them: who reads a text in
    pieces puts the half before the next one.
    """
    if _UNSTORABLE.search(text) is None:
        return text, ""
    half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    whole = (text.removesuffix(half) if half else text).replace("\x00", "")
    if not whole.isascii():
        whole = whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole, half


def clean(text: str) -> str:
    """The same of a text that is whole: a trailing half is replaced too."""
    whole, half = storable(text)
    return whole + "\ufffd" if half else whole
