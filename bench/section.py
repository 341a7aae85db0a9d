"""A part of docs/performance.md that one command writes, between two markers."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path


def circumstances(seconds: float, load_average: float) -> str:
    """Where and when. `load_average` is that of the minute before it began: the numbers count when it is near 0."""
    now = datetime.now(UTC)
    return (
        f"Measured on {now.day} {now:%B %Y} in {seconds:.0f} s, on {os.cpu_count()} cores that everything shares. "
        f"Load average when it began: {load_average:.1f}. Python {platform.python_version()}."
    )


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def read(document: Path, name: str) -> str:
    """The text between `<!-- NAME:begin -->` and `<!-- NAME:end -->`, which must be there."""
    return _parts(document, name)[1]


def write(document: Path, name: str, text: str) -> None:
    """Puts the text between the markers, which must be there."""
    before, _, after = _parts(document, name)
    document.write_text(f"{before}\n{text.strip()}\n{after}")


def _parts(document: Path, name: str) -> tuple[str, str, str]:
    """What stands before, between and after the markers; these are with what is around."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, found, rest = document.read_text().partition(begin)
    between, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{document} has no {begin} ... {end}.")
    return before + begin, between, end + after
