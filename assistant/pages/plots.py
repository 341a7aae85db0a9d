"""Plots as shapes: bars and lines of days, for templates that draw them as SVG. Pure; knows no colours and no markup.

A plot is 640 by 220 units. Everything that is drawn is told in words too: each shape has a title, and a table stands
beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 10, 24
MOST_SERIES = 6  # as many as there are colours; the rest are drawn as one
MOST_LABELS = 8
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    values: Sequence[float | None]  # one for each label; None: nothing is known


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    number: int  # of its series, which chooses its colour
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    points: str
    dots: list[tuple[float, float, str]]
    number: int


@dataclass(slots=True)
class Plot:
    title: str
    names: list[str]
    rows: list[tuple[str, list[str]]]  # the table: a label, and the values in words
    ticks: list[tuple[float, str]] = field(default_factory=list)
    labels: list[tuple[float, str]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM

    @property
    def is_empty(self) -> bool:
        return not self.bars and not self.lines

    @property
    def legend(self) -> list[tuple[int, str]]:
        return list(enumerate(self.names))


def stacked(title: str, labels: Sequence[str], series: Sequence[Series], say: Callable[[float], str]) -> Plot:
    """A bar for each label, made of a piece for each series. `say` puts a value into words."""
    kept = fewer(series)
    plot = _plot(title, labels, kept, say)
    totals = [sum(each.values[index] or 0 for each in kept) for index in range(len(labels))]
    scale = _scale(plot, max(totals, default=0), say)
    step = (WIDTH - RIGHT - LEFT) / max(1, len(labels))
    for index, label in enumerate(labels):
        top = float(plot.bottom)
        for number, each in enumerate(kept):
            value = each.values[index] or 0
            if value <= 0:
                continue
            height = value * scale
            top -= height
            title_ = f"{label}, {each.name}: {say(value)}"
            plot.bars.append(
                Bar(round(LEFT + index * step + step * 0.12, 1), round(top, 1), round(step * 0.76, 1),
                    round(max(height, 0.5), 1), number, title_)
            )  # fmt: skip
    return plot


def lines(title: str, labels: Sequence[str], series: Sequence[Series], say: Callable[[float], str]) -> Plot:
    """A line for each series; where nothing is known it goes on at the next known value."""
    plot = _plot(title, labels, list(series), say)
    known = [value for each in series for value in each.values if value is not None]
    scale = _scale(plot, max(known, default=0), say)
    step = (WIDTH - RIGHT - LEFT) / max(1, len(labels))
    for number, each in enumerate(series):
        dots = [
            (round(LEFT + (index + 0.5) * step, 1), round(plot.bottom - value * scale, 1),
             f"{labels[index]}, {each.name}: {say(value)}")
            for index, value in enumerate(each.values)
            if value is not None
        ]  # fmt: skip
        if dots:
            plot.lines.append(Line(" ".join(f"{x},{y}" for x, y, _ in dots), dots, number))
    return plot


def fewer(series: Sequence[Series]) -> list[Series]:
    """The series with the most in them, and the rest as one."""
    ordered = sorted(series, key=lambda each: -sum(value or 0 for value in each.values))
    if len(ordered) <= MOST_SERIES:
        return ordered
    rest = ordered[MOST_SERIES - 1 :]
    together = [sum(each.values[index] or 0 for each in rest) for index in range(len(rest[0].values))]
    return [*ordered[: MOST_SERIES - 1], Series(OTHERS, together)]


def _plot(title: str, labels: Sequence[str], series: Sequence[Series], say: Callable[[float], str]) -> Plot:
    rows = [
        (label, ["" if (value := each.values[index]) is None else say(value) for each in series])
        for index, label in enumerate(labels)
        if any(each.values[index] for each in series)
    ]
    plot = Plot(title, [each.name for each in series], rows)
    step = (WIDTH - RIGHT - LEFT) / max(1, len(labels))
    every = math.ceil(len(labels) / MOST_LABELS) or 1
    plot.labels = [
        (round(LEFT + (index + 0.5) * step, 1), label)
        for index, label in enumerate(labels)
        if (len(labels) - 1 - index) % every == 0
    ]
    return plot


def _scale(plot: Plot, highest: float, say: Callable[[float], str]) -> float:
    """Units of height for one of value; sets the ticks at round numbers."""
    room = plot.bottom - TOP
    if highest <= 0:
        plot.ticks = [(plot.bottom, say(0))]
        return 0.0
    step = _round_step(highest / 4)
    top = math.ceil(highest / step - 1e-9) * step
    count = round(top / step)
    plot.ticks = [(round(plot.bottom - room * number / count, 1), say(number * step)) for number in range(count + 1)]
    return room / top


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, ..."""
    power: float = 10 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
