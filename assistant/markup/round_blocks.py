"""The blocks of an answer that was written in rounds: between two of them stand tool calls, so no block reaches across."""

from __future__ import annotations

from collections.abc import Sequence

from .live_blocks import LiveBlocks
from .render import blocks


def blocks_by_round(text: str, ends: Sequence[int]) -> tuple[list[str], list[int]]:
    """The blocks of `text`, each part between two of the places `ends` (in characters) drawn for itself; and how many
    blocks stand before each of those places."""
    if not ends:
        return blocks(text), []
    found: list[str] = []
    counts = []
    start = 0
    for end in ends:
        found += blocks(text[start:end])
        counts.append(len(found))
        start = end
    return found + blocks(text[start:]), counts


class RoundBlocks:
    """As `LiveBlocks`, for a text that grows in rounds, the first of which may have been written before."""

    def __init__(self, text: str = "", ends: Sequence[int] = ()) -> None:
        done = ends[-1] if ends else 0
        self._before, _ = blocks_by_round(text[:done], ends[:-1])
        self._owed = len(self._before)  # blocks from here on were drawn and told to nobody
        self._live = LiveBlocks()
        if text[done:]:
            self._live.append(text[done:])

    def append(self, text: str) -> tuple[int, list[str]]:
        """As `LiveBlocks.append`."""
        start, html = self._live.append(text)
        start += len(self._before)
        if self._owed < start and self._owed < len(self._before):
            start = self._owed
            html = (self._before + self._live.html)[start:]
        self._owed = len(self._before) + len(self._live.html)
        return start, html

    def begin_round_anew(self) -> None:
        """What this round has said is no longer there."""
        self._live = LiveBlocks()
        self._owed = len(self._before)

    def end_round(self) -> None:
        """What is appended from now on begins a block of its own."""
        before = len(self._before)
        start, html = self._live.finish()
        self._owed = before + start if html else before + len(self._live.html)
        self._before += self._live.html
        self._live = LiveBlocks()
