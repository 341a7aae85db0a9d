"""Moments -> numbers. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bench.load import Run, Stream

_WORD = re.compile(r"\s*\S+\s*")


@dataclass(slots=True)
class Delays:
    """Seconds, pooled over the streams of all repeats. `added` ones have the provider's own time taken off."""

    posts: list[float] = field(default_factory=list)  # from the question to the response of its POST
    first: list[float] = field(default_factory=list)  # added, from the question to the first token
    tokens: list[float] = field(default_factory=list)  # added, from the provider's sending to the viewer
    provider: list[float] = field(default_factory=list)  # by how much the provider missed its own schedule
    client: list[float] = field(default_factory=list)  # by how much the load client's loop was late


@dataclass(slots=True)
class Letters:
    """What went wrong with tokens. Lost ones are those of answers that ended; an unfinished answer is only late."""

    expected: int = 0
    arrived: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    streams: int = 0
    unfinished: int = 0
    differing: int = 0  # streams whose text, put together, is not the stored one to the letter
    resyncs: int = 0
    closes: int = 0  # sockets that the server closed; the viewer came back


@dataclass(slots=True)
class Figures:
    delays: Delays = field(default_factory=Delays)
    letters: Letters = field(default_factory=Letters)
    frames: int = 0  # in which the tokens came
    client_cpu: float = 0.0
    seconds: float = 0.0

    def add(self, run: Run, records: list[dict[str, Any]], expected: list[str]) -> None:
        """Adds a run. `records` are the provider's, with times; `expected` are the tokens of each answer."""
        last = {record["question"]: record for record in records}  # of several attempts the last one counts
        self.client_cpu += run.cpu_seconds
        self.seconds += run.seconds
        self.delays.client += run.lags
        for stream in run.streams:
            self._count(stream, expected)
            self.frames += len(stream.arrivals)
            if stream.answered_at:
                self.delays.posts.append(stream.answered_at - stream.asked_at)
            if record := last.get(stream.question):
                self._time(stream, record, expected)

    def _time(self, stream: Stream, record: dict[str, Any], expected: list[str]) -> None:
        sent_at: list[float] = record["sent_at"]
        self.delays.provider += [sent - due for sent, due in zip(sent_at, record["due_at"], strict=False)]
        if stream.arrivals and sent_at:
            own = sent_at[0] - record["at"]
            self.delays.first.append(stream.arrivals[0][0] - stream.asked_at - own)
        arrived = arrivals_of_tokens(stream, expected)
        self.delays.tokens += [here - sent for here, sent in zip(arrived, sent_at, strict=False)]

    def _count(self, stream: Stream, expected: list[str]) -> None:
        letters = self.letters
        held = "".join(text for _, text in stream.arrivals)
        lost, doubled, reordered = errors(held, expected)
        letters.expected += len(expected)
        letters.arrived += len(expected) - lost
        letters.lost += lost if stream.final is not None else 0
        letters.doubled += doubled
        letters.reordered += reordered
        letters.streams += 1
        letters.unfinished += stream.status != "success"
        letters.differing += stream.final is not None and held != stream.final
        letters.resyncs += stream.holes
        letters.closes += len(stream.closes)


def arrivals_of_tokens(stream: Stream, expected: list[str]) -> list[float]:
    """When each token's last letter was there. A text that isn't the expected one gives the moments up to there."""
    moments: list[float] = []
    length = position = 0
    for arrived, text in stream.arrivals:
        length += len(text)
        while len(moments) < len(expected) and position + len(expected[len(moments)]) <= length:
            position += len(expected[len(moments)])
            moments.append(arrived)
    return moments


def errors(held: str, expected: list[str]) -> tuple[int, int, int]:
    """How many tokens are lost, doubled, and in the wrong order. The tokens are words, each another one."""
    places = {token.strip(): place for place, token in enumerate(expected)}
    found = [places[word] for word in (match.strip() for match in _WORD.findall(held)) if word in places]
    seen = set(found)
    firsts = list(dict.fromkeys(found))
    reordered = sum(later < earlier for earlier, later in pairwise(firsts))
    return len(expected) - len(seen), len(found) - len(seen), reordered


def percentile(values: Iterable[float], share: float) -> float:
    """The nearest-rank percentile; nan for no values."""
    ordered: Sequence[float] = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
