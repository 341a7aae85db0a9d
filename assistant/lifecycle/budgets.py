"""Budgets: what a user may use in a day, and who has used it up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.utils import timezone

from assistant import conf
from assistant.delivery import clock
from assistant.lifecycle.refusal import Refused
from assistant.models.message import Message
from assistant.models.one import one
from assistant.models.usage import Budget, UsageRecord
from assistant.models.user_id import UserId
from assistant.statements import Select

_CHARGED = Select(Message, lambda p: Message.objects.filter(pk=p("id")).only("charged_to_id"))


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a user may use today and has used. None: no limit."""

    tokens: int | None
    cost: float | None
    used_tokens: int
    used_cost: float

    @property
    def is_spent(self) -> bool:
        return (self.tokens is not None and self.used_tokens >= self.tokens) or (
            self.cost is not None and self.used_cost >= self.cost
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "tokens_per_day": self.tokens,
            "cost_per_day": self.cost,
            "used_tokens": self.used_tokens,
            "used_cost": self.used_cost,
            "is_spent": self.is_spent,
            "seconds_to_reset": seconds_to_midnight(),
        }


def allowance_of(user_id: UserId) -> Allowance:
    tokens, cost = _limits(one(Budget.objects.filter(user_id=user_id)))
    used = UsageRecord.objects.of_day(user_id).aggregate(
        prompt=Sum("prompt_tokens"), completion=Sum("completion_tokens"), cost=Sum("cost")
    )
    return Allowance(tokens, cost, (used["prompt"] or 0) + (used["completion"] or 0), float(used["cost"] or 0))


def _limits(own: Budget | None) -> tuple[int | None, float | None]:
    tokens = conf.settings.budget_tokens or None
    cost = conf.settings.budget_cost or None
    if own is None:
        return tokens, cost
    if own.is_unlimited:
        return None, None
    return (
        tokens if own.tokens_per_day is None else own.tokens_per_day,
        cost if own.cost_per_day is None else float(own.cost_per_day),
    )


_OWN = Select(Budget, lambda p: Budget.objects.filter(user_id=p("user")))


def is_spent(user_id: UserId) -> bool:
    """Whether the user may ask for nothing more today. Without budgets this is one look for a row of theirs."""
    if user_id is None:
        return False
    if _limits(_OWN.one(user=user_id)) == (None, None):
        return False
    return allowance_of(user_id).is_spent


def is_spent_by(message_id: UUID) -> bool:
    """Whether whoever an answer is charged to may ask for nothing more today."""
    message = _CHARGED.one(id=message_id)
    return message is not None and is_spent(message.charged_to_id)


def pays_in_dollars(message_id: UUID) -> bool:
    """Whether whoever an answer is charged to has a budget in dollars, which counts nothing of a model without a price."""
    message = _CHARGED.one(id=message_id)
    if message is None or message.charged_to_id is None:
        return False
    return _limits(_OWN.one(user=message.charged_to_id))[1] is not None


def check_budget(user: Any) -> None:
    """Raises Refused (over_quota, 429) if `user` has used up what they may use today."""
    if is_spent(user.pk):
        wait = seconds_to_midnight()
        raise Refused("over_quota", f"{SPENT} It begins anew in {_spoken(wait)}.", status=429, retry_after=wait)


SPENT = "You have used up your budget for today."


def seconds_to_midnight() -> int:
    """Until the day ends, in the installation's time zone."""
    now = timezone.localtime(clock.now())
    midnight = timezone.make_aware(datetime.combine(now.date() + timedelta(days=1), time.min))
    return max(1, int((midnight - now).total_seconds()))


def _spoken(seconds: int) -> str:
    hours, minutes = divmod(-(-seconds // 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
