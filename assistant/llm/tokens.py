"""What one call of a model used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tokens:
    """The last four are parts of the first two."""

    read: int
    written: int
    cached: int = 0
    cache_write: int = 0
    cache_write_hour: int = 0
    thought: int = 0
