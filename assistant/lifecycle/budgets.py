"""Budgets: what a user may use in a day, and who has used it up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Count, Sum
from django.utils import timezone

from assistant import conf
from assistant.delivery import clock
from assistant.lifecycle.refusal import Refused
from assistant.models.message import Message
from assistant.models.one import one
from assistant.models.session import ChatSession
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

    def less(self, estimate: Estimate) -> Allowance:
        """As it would be with that used, too."""
        used = self.used_tokens + round(estimate.tokens)
        return replace(self, used_tokens=used, used_cost=self.used_cost + estimate.cost)

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


def check_budget(user: Any, session: ChatSession) -> None:
    """Raises Refused (over_quota, 429) if `user` has used up what they may use today, or their answers that are being
    written may use it up.

    In the transaction that asks, which holds its session's lock: until it ends no other of theirs looks. Else thirty at
    once would each find the last tokens unused. What runs in `session` itself is waited for, and looked at then. Who has
    no budget pays one look for a row of theirs.
    """
    if _limits(_OWN.one(user=user.pk)) == (None, None):
        return
    get_user_model()._default_manager.select_for_update(no_key=True).filter(pk=user.pk).first()
    allowance = allowance_of(user.pk)
    if allowance.is_spent:
        wait = seconds_to_midnight()
        raise Refused("over_quota", f"{SPENT} It begins anew in {_spoken(wait)}.", status=429, retry_after=wait)
    running = Message.objects.running().filter(charged_to=user.pk).exclude(session=session).count()
    if running and allowance.less(running * _of_an_answer(user.pk)).is_spent:
        raise Refused("over_quota", RESERVED, status=429, retry_after=RETRY_AFTER_SECONDS)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is set aside for answers whose figures are not there yet."""

    tokens: float
    cost: float

    def __rmul__(self, count: int) -> Estimate:
        return Estimate(count * self.tokens, count * self.cost)


def _of_an_answer(user_id: UserId) -> Estimate:
    """As much as one of theirs has taken on average today, but no less than a short answer."""
    found = UsageRecord.objects.of_day(user_id).aggregate(
        tokens=Sum("prompt_tokens") + Sum("completion_tokens"),
        cost=Sum("cost"),
        answers=Count("message", distinct=True),
    )
    answers = found["answers"] or 1
    return Estimate(
        max(LEAST_TOKENS, (found["tokens"] or 0) / answers), max(LEAST_COST, float(found["cost"] or 0) / answers)
    )


LEAST_TOKENS = 500
LEAST_COST = 0.005  # US dollars
RETRY_AFTER_SECONDS = 10
SPENT = "You have used up your budget for today."
RESERVED = (
    "Your answers that are being written may use up what is left of your budget for today. Ask when they have ended."
)


def seconds_to_midnight() -> int:
    """Until the day ends, in the installation's time zone."""
    now = timezone.localtime(clock.now())
    midnight = timezone.make_aware(datetime.combine(now.date() + timedelta(days=1), time.min))
    return max(1, int((midnight - now).total_seconds()))


def _spoken(seconds: int) -> str:
    hours, minutes = divmod(-(-seconds // 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
