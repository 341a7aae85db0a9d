"""The ledger of what models cost: written at the end of each call, read for answers, sessions, users and budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Length

from assistant.delivery import clock
from assistant.lifecycle import budgets
from assistant.models.ids import new_id
from assistant.models.message import UNFINISHED, Message, next_version
from assistant.models.session import ChatSession
from assistant.models.tool_call import ToolCall
from assistant.models.usage import UsageRecord
from assistant.models.user_id import UserId
from assistant.presentation import events
from assistant.statements import Select, Values, insert

USUAL_DAYS = 7
LETTERS_PER_TOKEN = 4  # what English has on average: for calls whose figures never came


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model that has ended, well or not."""

    message_id: UUID
    attempt: int
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None  # US dollars; None: not known
    cached_tokens: int = 0  # of the prompt
    cache_write_tokens: int = 0  # of the prompt
    reasoning_tokens: int = 0  # of what was written
    is_estimate: bool = False
    error_code: str = ""  # a category of `assistant.failures`, or "stopped"
    first_token_ms: int | None = None
    total_ms: int | None = None
    user_id: UserId = None  # who is charged if the message is gone
    id: UUID = field(default_factory=new_id)


_CHARGED = Select(Message, lambda p: Message.objects.filter(pk=p("id")).only("session_id", "charged_to_id", "status"))


def record(call: Call) -> None:
    """Adds a call to the ledger. The same call again adds nothing; a message that is gone is charged all the same.

    Where the answer has ended already (it was stopped), its total is brought up to date and told.
    """
    with transaction.atomic():
        message = _CHARGED.one(id=call.message_id)
        insert(_row(call, message), is_lenient=True)
        if message is not None and message.status not in UNFINISHED:
            changed = Message.objects.filter(pk=message.pk).exclude(status__in=UNFINISHED)
            if changed.update(version=next_version(), **columns(total_of(call.message_id))):
                events.message_changed(message)


def _row(call: Call, message: Message | None) -> UsageRecord:
    return UsageRecord(
        id=call.id,
        user_id=message.charged_to_id if message else call.user_id,
        session_id=message.session_id if message else None,
        message=message,
        attempt=call.attempt,
        model=call.model,
        prompt_tokens=call.prompt_tokens,
        completion_tokens=call.completion_tokens,
        cached_tokens=call.cached_tokens,
        cache_write_tokens=call.cache_write_tokens,
        reasoning_tokens=call.reasoning_tokens,
        cost=None if call.cost is None else Decimal(str(round(call.cost, 8))),
        is_estimate=call.is_estimate,
        error_code=call.error_code,
        first_token_ms=call.first_token_ms,
        total_ms=call.total_ms,
    )


def record_lost(message: Message) -> None:
    """Charges the call that a worker was making when it died, in the transaction that recovers its answer.

    Nobody was told its figures; the provider bills them all the same. So they are estimated from the texts: what stood
    before the answer, and what was written of it beyond the calls that were recorded. While tools run no model is called.
    """
    if message.rounds and ToolCall.objects.open().filter(message=message).exists():
        return
    before = message.session.messages.filter(position__lt=message.position)
    read = before.aggregate(letters=Sum(Length("content")))["letters"] or 0
    recorded = UsageRecord.objects.filter(message=message, attempt=message.attempt)
    told = recorded.aggregate(tokens=Sum("completion_tokens"))["tokens"] or 0
    written = max(0, (len(message.content) + len(message.reasoning)) // LETTERS_PER_TOKEN - told)
    call = Call(
        message.pk,
        message.attempt,
        message.model,
        read // LETTERS_PER_TOKEN,
        written,
        _usual_cost(message.model, read // LETTERS_PER_TOKEN + written),
        is_estimate=True,
        error_code="interrupted",
    )
    _row(call, message).save(force_insert=True)


def _usual_cost(model: str, tokens: int) -> float | None:
    """What so many tokens of `model` have cost lately: whoever recovers an answer may know no prices."""
    since = clock.today() - timedelta(days=USUAL_DAYS)
    lately = UsageRecord.objects.filter(day__gte=since, model=model, cost__isnull=False)
    sums = lately.aggregate(cost=Sum("cost"), tokens=Sum("prompt_tokens") + Sum("completion_tokens"))
    return float(sums["cost"]) / sums["tokens"] * tokens if sums["tokens"] else None


# --- totals ---


def summed(records: QuerySet[UsageRecord]) -> dict[str, Any]:
    """{"prompt_tokens", "completion_tokens", "total_tokens", "cost", "calls", "is_estimate", ...} of all of `records`.

    `cached_tokens` and `cache_write_tokens` are parts of the prompt's, `reasoning_tokens` of the completion's. `cost` is
    what is known of it (null: nothing is); `has_unknown_cost` says whether calls without a price are among them.
    """
    return _totals(records.aggregate(**_SUMS))


PARTS = ("cached_tokens", "cache_write_tokens", "reasoning_tokens")
_SUMS: dict[str, Any] = {
    "prompt": Sum("prompt_tokens"),
    "completion": Sum("completion_tokens"),
    **{name: Sum(name) for name in PARTS},
    "known": Sum("cost"),
    "count": Count("id"),
    "estimates": Count("id", filter=Q(is_estimate=True)),
    "unknown": Count("id", filter=Q(cost=None)),
}


_OF_MESSAGE = Values(
    UsageRecord,
    lambda p: UsageRecord.objects.filter(message_id=p("message")).order_by().values("message_id").annotate(**_SUMS),
)


def _totals(found: dict[str, Any]) -> dict[str, Any]:
    prompt, completion = found["prompt"] or 0, found["completion"] or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        **{name: found[name] or 0 for name in PARTS},
        "cost": None if found["known"] is None else float(found["known"]),
        "has_unknown_cost": bool(found["unknown"]),
        "calls": found["count"],
        "is_estimate": bool(found["estimates"]),
    }


def total_of(message_id: UUID) -> dict[str, Any] | None:
    """The usage of one answer, over all its attempts and rounds, or None if it has made no call."""
    found = _OF_MESSAGE.one(message=message_id)
    return _totals(found) if found else None


def columns(total: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of the row of an answer that has used that."""
    return {"usage": total, "reasoning_tokens": (total or {}).get("reasoning_tokens") or None}


def by_model(records: QuerySet[UsageRecord]) -> list[dict[str, Any]]:
    """The same for each model, the one with the most tokens first."""
    found: Any = records.order_by("model").values("model").annotate(**_SUMS)
    return sorted(({"model": row["model"]} | _totals(row) for row in found), key=lambda row: -row["total_tokens"])


def by_day(records: QuerySet[UsageRecord]) -> list[dict[str, Any]]:
    """The same for each day that has any, the newest first; {"day": "2026-11-24", ...}."""
    found: Any = records.order_by("-day").values("day").annotate(**_SUMS)
    return [{"day": row["day"].isoformat()} | _totals(row) for row in found]


def of_user(user_id: UserId, days: int) -> dict[str, Any]:
    """What a user has used in the last `days` days, today among them, and what is left for today."""
    since = clock.today() - timedelta(days=days - 1)
    records = UsageRecord.objects.filter(user_id=user_id, day__gte=since)
    return summed(records) | {
        "budget": budgets.allowance_of(user_id).as_json(),
        "days": by_day(records),
        "models": by_model(records),
    }


def of_session(session: ChatSession) -> dict[str, Any]:
    records = UsageRecord.objects.filter(session=session)
    return summed(records) | {"models": by_model(records)}
