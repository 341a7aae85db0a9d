"""What a model has thought on the way to an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reasoned:
    """A text beside the answer's, never part of it, that grows by deltas of its own."""

    content: str
    seq: int  # deltas of this attempt that `content` holds
    seconds: float  # each time from the first thought to the last one, or to the first word that follows
