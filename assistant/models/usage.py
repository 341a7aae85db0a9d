"""What models have cost: a ledger with one row for each call, which outlives messages, sessions and users; and budgets."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from assistant.delivery import clock
from assistant.models.ids import new_id
from assistant.models.message import Message
from assistant.models.session import ChatSession
from assistant.models.user_id import UserId


class UsageQuerySet(models.QuerySet["UsageRecord"]):
    def of_day(self, user_id: UserId) -> UsageQuerySet:
        """What a user has used today, which is what budgets count."""
        return self.filter(user_id=user_id, day=clock.today())


class UsageRecord(models.Model):
    """One call of a model. Only ever added to."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False, help_text="Made by who made the call.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="usage"
    )
    session = models.ForeignKey(ChatSession, null=True, blank=True, on_delete=models.SET_NULL, related_name="usage")
    message = models.ForeignKey(Message, null=True, blank=True, on_delete=models.SET_NULL, related_name="calls")
    attempt = models.PositiveIntegerField(default=0)
    model = models.CharField(max_length=200)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Of the prompt: read from the provider's cache."
    )
    cache_write_tokens = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Of the prompt: put into its cache."
    )
    reasoning_tokens = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Of what was written: thinking."
    )
    cost = models.DecimalField(
        max_digits=16, decimal_places=8, null=True, blank=True, help_text="US dollars; empty: the price is not known."
    )
    is_estimate = models.BooleanField(
        default=False, help_text="The call was cut off: tokens are counted from the texts, not told by the provider."
    )
    error_code = models.CharField(max_length=40, blank=True, help_text="How it failed; empty: it did not.")
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    total_ms = models.PositiveIntegerField(null=True, blank=True)
    day = models.DateField(default=clock.today)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = UsageQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["user", "day"], name="usage_of_user"),  # budgets, one's own page
            models.Index(fields=["day", "model"], name="usage_by_day"),  # the operators' plots, metrics
        ]

    def __str__(self) -> str:
        return f"{self.model}: {self.prompt_tokens} + {self.completion_tokens} tokens"


class Budget(models.Model):
    """What one user may use in a day, where that differs from ASSISTANT_BUDGET_TOKENS and ASSISTANT_BUDGET_COST."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="budget")
    tokens_per_day = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Empty: ASSISTANT_BUDGET_TOKENS. 0: none at all."
    )
    cost_per_day = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, blank=True,
        help_text="US dollars. Empty: ASSISTANT_BUDGET_COST. 0: nothing at all.",
    )  # fmt: skip
    is_unlimited = models.BooleanField(
        default=False, help_text="No limit, whatever stands above and in the settings."
    )

    def __str__(self) -> str:
        return f"budget of {self.user}"
