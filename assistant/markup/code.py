"""Code blocks: the figure around them, their highlighting, and its limits."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygments.lexer import Lexer

PART_CHARACTERS = 2_000
"""A longer top-level code block becomes several figures, so that each frame of a live answer stays small."""

HIGHLIGHT_CHARACTERS = 20_000
"""Longer code stays plain: highlighting runs on the event loop that carries other turns, and takes
some 2 us a character."""

HIGHLIGHT_LINE_CHARACTERS = 1_000
"""Code with a longer line stays plain, too: what a machine has written, or what is made to keep a lexer busy."""

HIGHLIGHT_SECONDS = 0.2
"""Of processor time, after which code stays plain. Many lexers need time with the square of the length of some texts:
that of C takes 12 s for 20,000 line ends. No single token of those in _KNOWN takes long."""

UNKNOWN_CHARACTERS = 4_000
"""As HIGHLIGHT_CHARACTERS, for lexers of which nobody knows whether a single token may take long."""

# A short list, with pygments' usual class names: makes small HTML, short CSS and a closed allowlist.
_CLASSES = {
    "Comment": "c",
    "Comment.Preproc": "cp",
    "Keyword": "k",
    "Keyword.Type": "kt",
    "Keyword.Constant": "kc",
    "Literal.String": "s",
    "Literal.String.Escape": "se",
    "Literal.String.Interpol": "si",
    "Literal.String.Regex": "sr",
    "Literal.Number": "m",
    "Name.Attribute": "na",
    "Name.Builtin": "nb",
    "Name.Class": "nc",
    "Name.Constant": "no",
    "Name.Decorator": "nd",
    "Name.Exception": "ne",
    "Name.Function": "nf",
    "Name.Tag": "nt",
    "Name.Variable": "nv",
    "Operator.Word": "ow",
    "Generic.Deleted": "gd",
    "Generic.Inserted": "gi",
    "Generic.Heading": "gh",
    "Generic.Subheading": "gu",
    "Generic.Prompt": "gp",
}
CLASSES = frozenset(_CLASSES.values())

_WARM = "python javascript typescript bash json html css sql yaml go rust java c cpp diff toml console"
_ALSO_KNOWN = "py js jsx ts tsx sh shell yml rs c++ csharp cs kotlin swift php ruby rb perl lua scala docker"
_KNOWN = frozenset(f"{_WARM} {_ALSO_KNOWN}".split())
_LANGUAGE = re.compile(r"[\w+#.-]{1,32}", re.ASCII)


def language_of(info: str) -> str:
    """Return the lower-case language a fence's info string names, or "" when it names none."""
    match = _LANGUAGE.match(info.strip().lstrip("{."))
    return match.group().lower() if match else ""


def parts(code: str) -> list[str]:
    """Cut code after the first line end at or past each PART_CHARACTERS.

    All parts but the last are final: more code at the end never moves an earlier cut."""
    found, start = [], 0
    while (end := code.find("\n", start + PART_CHARACTERS - 1) + 1) and end < len(code):
        found.append(code[start:end])
        start = end
    return [*found, code[start:]]


def without_blank_tail(code: str) -> str:
    """Return code without an unfinished last line of white space.

    In an open fence the parser keeps some of those and drops others, and the block may end there."""
    lines, end, last = code.rpartition("\n")
    return code if last.strip(" \t\v\f") else lines + end


def figures(code: str, language: str, *, complete: bool, divided: bool = True, continued: bool = False) -> list[str]:
    """Return one figure per part (one in all unless `divided`); code that is complete is highlighted.

    The second and later figures of a code block have the class `continued`; the first too, if `continued`."""
    pieces = parts(code) if divided else [code]
    marked = highlight(code, language) if complete and language else None
    if marked is None:
        bodies = [escape(piece, quote=False) for piece in pieces]
    else:
        lines, bodies, start = marked.split("\n"), [], 0
        for piece in pieces[:-1]:
            end = start + piece.count("\n")
            bodies.append("\n".join(lines[start:end]) + "\n")
            start = end
        bodies.append("\n".join(lines[start:]))
    return [_figure(body, language, continued or index > 0) for index, body in enumerate(bodies)]


def _figure(body: str, language: str, continued: bool) -> str:
    name = "code continued" if continued else "code"
    label = f' data-language="{escape(language)}"' if language else ""
    return f'<figure class="{name}"{label}><pre><code>{body}</code></pre></figure>'


@lru_cache(maxsize=64)
def highlight(code: str, language: str) -> str | None:
    """Return code as HTML with as many lines as before and no span across a line end; None leaves it plain.

    Remembered, because a live answer draws its last blocks many times."""
    if len(code) > (HIGHLIGHT_CHARACTERS if language in _KNOWN else UNKNOWN_CHARACTERS):
        return None
    if max(map(len, code.split("\n"))) > HIGHLIGHT_LINE_CHARACTERS:
        return None
    try:
        lexer = _lexer(language)
        if lexer is None:
            return None
        tokens = _in_time(lexer.get_tokens(code))
    except Exception:  # a lexer's bug costs the colours, never the answer
        return None
    if tokens is None or "".join(text for _, text in tokens) != code:
        return None
    return "".join(_spans(tokens))


def _in_time(tokens: Iterable[tuple[object, str]]) -> list[tuple[object, str]] | None:
    """All of them, or None if they take longer than they may."""
    until = time.thread_time() + HIGHLIGHT_SECONDS
    found = []
    for token in tokens:
        found.append(token)
        if time.thread_time() > until:
            return None
    return found


def _spans(tokens: Iterable[tuple[object, str]]) -> Iterator[str]:
    for kind, text in tokens:
        name = _class_of(kind)
        text = escape(text, quote=False)
        if not name or text.isspace():
            yield text
        elif "\n" not in text:
            yield f'<span class="{name}">{text}</span>'
        else:
            yield "\n".join(f'<span class="{name}">{line}</span>' if line else "" for line in text.split("\n"))


@lru_cache(maxsize=512)
def _class_of(kind: object) -> str:
    path = str(kind).removeprefix("Token.")
    while path:
        if name := _CLASSES.get(path):
            return name
        path = path.rpartition(".")[0]
    return ""


@lru_cache(maxsize=1)
def _aliases() -> dict[str, str]:
    from pygments.lexers import get_all_lexers  # heavy: a process without code to show never loads it; see `warm`

    # Without plugins: looking for those reads every installed package's metadata, on each unknown language.
    return {alias.lower(): alias for _, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases}


@lru_cache(maxsize=128)
def _lexer(language: str) -> Lexer | None:
    from pygments.lexers import get_lexer_by_name  # as above

    alias = _aliases().get(language)
    return get_lexer_by_name(alias, stripnl=False, ensurenl=False) if alias else None


def warm() -> None:
    """Import pygments and compile the common lexers (some 200 ms), so that no running turn pays for it."""
    for language in _WARM.split():
        highlight("x = 1\n", language)
