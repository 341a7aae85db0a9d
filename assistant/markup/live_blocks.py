"""The blocks of an answer while it is being written."""

from __future__ import annotations

import re

from . import code
from .parse import Block, Continuation, Definitions, normal, parse
from .render import Rendered, clean, render

EAGER_CHARACTERS = 8_000
"""An open tail up to this long is drawn at every piece."""

SHARE = 32
"""Of what is beyond that, the tail must have grown by the 32nd part before it is drawn again."""


class LiveBlocks:
    """HTML blocks of a text that arrives in pieces.

    A viewer that replaces its blocks from `from_index` on by the returned ones, call for call, holds exactly
    `blocks(text so far)`, except after a call that put its drawing off (it returned no change): a later one
    makes up for it, `finish()` at the latest.

    Only the open tail is read again: what stands before the last block that starts after a blank line is
    settled, because in CommonMark a closed block is never opened again; so are the parts of a long list, table or code
    block before its last one. Link reference definitions are the
    exception: they reach back, so a text that has some is read as a whole each time,
    put off as any long tail is.
    """

    def __init__(self) -> None:
        self.html: list[str] = []  # what a viewer holds
        self._settled: list[str] = []  # source before the tail
        self._settled_count = 0  # blocks of html that come from it
        self._tail = ""
        self._continuation: Continuation | None = None  # what the tail goes on with
        self._drawn: list[tuple[bytes, Rendered]] = []  # the tail's blocks, as last drawn
        self._definitions: Definitions = {}
        self._grown = 0  # characters not drawn yet
        self._after_return = False
        self._fence: _OpenFence | None = None

    def append(self, text: str) -> tuple[int, list[str]]:
        """Add the next piece; return `from_index` and the blocks from there on. No change is `(number of blocks, [])`."""
        if self._after_return and text:
            text = text.removeprefix("\n")  # the second half of a CRLF that was cut in two
            self._after_return = False
        self._after_return = self._after_return or text.endswith("\r")
        text = normal(text)
        if not text:
            return len(self.html), []
        self._tail += text
        self._grown += len(text)
        if self._fence and not self._fence.append(text):
            self._fence = None
        size = len(self._fence.code if self._fence else self._tail)
        if self._grown * SHARE < size - EAGER_CHARACTERS:
            return len(self.html), []
        return self._draw()

    def finish(self) -> tuple[int, list[str]]:
        """Draw what was put off."""
        return self._draw() if self._grown else (len(self.html), [])

    def _draw(self) -> tuple[int, list[str]]:
        self._grown = 0
        if self._fence:
            start = len(self.html) - 1
            return self._replace(self._fence.draw(), start)
        found, definitions = parse(self._tail, self._continuation)
        if definitions and self._settled:
            self._tail = "".join(self._settled) + self._tail
            self._continuation = None
            self._settled, self._settled_count, self._drawn = [], 0, []
            found, definitions = parse(self._tail)
        if definitions != self._definitions:
            self._definitions, self._drawn = definitions, []
        drawn = self._render(found)
        change = self._replace([html for _, rendered in drawn for html in rendered.html], self._settled_count)
        self._drawn = drawn
        last = drawn[-1][1] if drawn else None
        self._fence = None
        if last and last.open_language is not None:
            self._fence = _OpenFence(self._tail.encode()[found[-1].start :].decode(), last.open_language)
        if not definitions:
            self._settle(found)
        return change

    def _render(self, found: list[Block]) -> list[tuple[bytes, Rendered]]:
        """Render blocks, but for those at the start that are as they were."""
        drawn: list[tuple[bytes, Rendered]] = []
        same = True
        for index, block in enumerate(found):
            if same and index < len(self._drawn):
                source, old = self._drawn[index]
                same = source == block.source and not old.at_end
                if same:
                    drawn.append((source, old))
                    continue
            same = False
            drawn.append((block.source, render(block)))
        return drawn

    def _replace(self, new: list[str], base: int) -> tuple[int, list[str]]:
        """Put the blocks from base on in the place of those held; return what changed."""
        start, end = base, min(len(self.html), base + len(new))
        while start < end and self.html[start] == new[start - base]:
            start += 1
        changed = new[start - base :]
        self.html[start:] = changed
        return start, changed

    def _settle(self, found: list[Block]) -> None:
        data = self._tail.encode()
        for index in range(len(found) - 1, 0, -1):
            start = found[index].start
            if found[index].continuation is None and not _is_boundary(data, start):
                continue
            self._settled.append(data[:start].decode())
            self._settled_count += sum(len(rendered.html) for _, rendered in self._drawn[:index])
            self._drawn = self._drawn[index:]
            self._tail = data[start:].decode()
            self._continuation = found[index].continuation
            return


def _is_boundary(data: bytes, start: int) -> bool:
    """Tell whether the block whose first line starts here will start here whatever follows.

    A blank line must stand before it, so that no paragraph reaches into it, and its first line must be whole:
    "1" is a paragraph now and may become "1. an item" of the list before it. A line that starts with a letter
    has no such future.
    """
    before = data[data.rfind(b"\n", 0, start - 1) + 1 : start]
    return not before.strip(b" \t\n") and (data.find(b"\n", start) >= 0 or data[start : start + 1].isalpha())


class _OpenFence:
    """The last part of an open top-level code block: grows without reading the Markdown again."""

    def __init__(self, source: str, language: str) -> None:
        head, _, text = source.partition("\n")
        fence = head[: len(head) - len(head.lstrip(head[0]))]
        self.code = text
        self._language = language
        self._continued = False
        self._drop_final_parts()
        self._closing = re.compile(rf" {{0,3}}{fence}{fence[0]}*[ \t\v\f]*$", re.MULTILINE)

    def append(self, text: str) -> bool:
        """Add code; return False when a line now looks like the end of the block."""
        start, old = self.code.rfind("\n") + 1, len(self.code)
        self.code += text
        while not self._closing.match(self.code, start):
            start = self.code.find("\n", max(start, old)) + 1
            if not start:
                return True
        return False

    def draw(self) -> list[str]:
        """Return the figures that take the place of the last one."""
        shown = code.without_blank_tail(self.code)
        figures = code.figures(shown, self._language, complete=False, continued=self._continued)
        self._drop_final_parts()
        return [clean(figure) for figure in figures]

    def _drop_final_parts(self) -> None:
        final = code.parts(code.without_blank_tail(self.code))[:-1]
        if final:
            self.code, self._continued = self.code[sum(map(len, final)) :], True
