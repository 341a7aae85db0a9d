"""The plots of what models cost and how they did: for a user's own page, and for operators."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from assistant.delivery import clock
from assistant.models.usage import UsageRecord
from assistant.pages.plots import Plot, Series, lines, stacked

# Seconds between which latencies are counted: percentiles are read off these, for no database-independent query has them.
EDGES_SECONDS = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)


def last_days(count: int) -> list[date]:
    today = clock.today()
    return [today - timedelta(days=ago) for ago in reversed(range(count))]


def used(records: QuerySet[UsageRecord], days: list[date]) -> list[Plot]:
    """Tokens and cost by day and model."""
    tokens: dict[str, dict[date, float]] = {}
    cost: dict[str, dict[date, float]] = {}
    rows = records.filter(day__gte=days[0]).order_by().values("day", "model")
    for row in rows.annotate(asked=Sum("prompt_tokens"), said=Sum("completion_tokens"), known=Sum("cost")):
        tokens.setdefault(row["model"], {})[row["day"]] = row["asked"] + row["said"]
        if row["known"]:
            cost.setdefault(row["model"], {})[row["day"]] = float(row["known"])
    return [
        stacked("Tokens by day and model", _labels(days), _series(tokens, days), say_count),
        stacked("Cost by day and model, in US dollars", _labels(days), _series(cost, days), say_dollars),
    ]


def latencies(records: QuerySet[UsageRecord], days: list[date]) -> list[Plot]:
    """How long calls took until the first token, and as a whole: median and 95th percentile by day."""
    well = records.filter(day__gte=days[0], error_code="")
    return [
        _latency("Seconds to the first token, by day", well, "first_token_ms", days),
        _latency("Seconds for a whole call, by day", well, "total_ms", days),
    ]


def errors(records: QuerySet[UsageRecord], days: list[date]) -> list[Plot]:
    """Calls that failed by day: by category, and by model."""
    failed = records.filter(day__gte=days[0]).exclude(error_code__in=("", "stopped")).order_by()
    found = []
    for field, title in (
        ("error_code", "Failed calls by day and category"),
        ("model", "Failed calls by day and model"),
    ):
        counts: dict[str, dict[date, float]] = {}
        for row in failed.values("day", field).annotate(count=Count("id")):
            counts.setdefault(row[field], {})[row["day"]] = row["count"]
        found.append(stacked(title, _labels(days), _series(counts, days), say_count))
    return found


def _latency(title: str, records: QuerySet[UsageRecord], field: str, days: list[date]) -> Plot:
    below: dict[str, Any] = {
        f"below_{number}": Count("id", filter=Q(**{f"{field}__lt": edge * 1000}))
        for number, edge in enumerate(EDGES_SECONDS)
    }
    rows: Any = records.exclude(**{field: None}).order_by().values("day").annotate(all=Count("id"), **below)
    found = {row["day"]: [row[name] for name in below] + [row["all"]] for row in rows}
    series = [
        Series(name, [percentile(found[day], share) if day in found else None for day in days])
        for name, share in (("median", 0.5), ("95th percentile", 0.95))
    ]
    return lines(title, _labels(days), series, say_seconds)


def percentile(counts: list[int], share: float) -> float:
    """Seconds below which `share` of the calls stayed. `counts`: how many below each edge, then how many in all.

    Read off between two edges as if the calls were spread evenly there.
    """
    wanted = share * counts[-1]
    low, before = 0.0, 0
    for edge, count in zip(EDGES_SECONDS, counts, strict=False):
        if count >= wanted:
            return low + (edge - low) * ((wanted - before) / (count - before) if count > before else 1.0)
        low, before = edge, count
    return float(EDGES_SECONDS[-1])


def _series(values: dict[str, dict[date, float]], days: list[date]) -> list[Series]:
    return [Series(name, [by_day.get(day) for day in days]) for name, by_day in values.items()]


def _labels(days: Iterable[date]) -> list[str]:
    return [f"{day:%b} {day.day}" for day in days]


def say_count(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{value:,.0f}"


def say_dollars(value: float) -> str:
    return f"${value:,.2f}" if value >= 0.1 or not value else f"${value:.2g}"


def say_seconds(value: float) -> str:
    return f"{value:.3g} s"
