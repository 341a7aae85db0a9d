"""The pages of what models have cost: a user's own, and the operators' in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from assistant.lifecycle import budgets, ledger
from assistant.models import UsageRecord
from assistant.models.participant import display_name
from assistant.pages import usage_plots
from assistant.pages.usage_plots import say_count, say_dollars

OWN_DAYS = 30
CHOICES = (7, 30, 90)
MOST_ROWS = 50


@require_GET
@login_required(login_url="assistant:login")
@never_cache
def own(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    days = usage_plots.last_days(OWN_DAYS)
    records = UsageRecord.objects.filter(user_id=user.pk, day__gte=days[0])
    context = {
        "days": OWN_DAYS,
        "zone": timezone.get_current_timezone_name(),
        "total": _spoken(ledger.summed(records)),
        "budget": _left(budgets.allowance_of(user.pk)),
        "plots": usage_plots.used(records, days),
        "models": [_spoken(row) | {"model": row["model"]} for row in ledger.by_model(records)],
    }
    return render(request, "assistant/usage.html", context)


def _spoken(total: dict[str, Any]) -> dict[str, Any]:
    cost = total["cost"]
    return {
        "prompt": say_count(total["prompt_tokens"]),
        "completion": say_count(total["completion_tokens"]),
        "cached": total["cached_tokens"] and say_count(total["cached_tokens"]),
        "thinking": total["reasoning_tokens"] and say_count(total["reasoning_tokens"]),
        "tokens": say_count(total["total_tokens"]),
        "cost": "not known" if cost is None else say_dollars(cost),
        "calls": f"{total['calls']:,}",
        "has_unknown_cost": total["has_unknown_cost"],
        "is_estimate": total["is_estimate"],
    }


def _left(allowance: budgets.Allowance) -> list[dict[str, Any]]:
    found = []
    if allowance.tokens is not None:
        text = f"{allowance.used_tokens:,} of {allowance.tokens:,} tokens used today"
        found.append({"text": text, "used": str(allowance.used_tokens), "limit": str(allowance.tokens)})
    if allowance.cost is not None:
        text = f"{say_dollars(allowance.used_cost)} of {say_dollars(allowance.cost)} used today"
        found.append({"text": text, "used": str(allowance.used_cost), "limit": str(allowance.cost)})
    return found


def of_everyone(request: HttpRequest) -> HttpResponse:
    """For operators, as a page of the admin: whoever may view usage records."""
    if not request.user.has_perm("assistant.view_usagerecord"):
        raise PermissionDenied
    wanted = request.GET.get("days", "")
    count = int(wanted) if wanted in map(str, CHOICES) else CHOICES[1]
    days = usage_plots.last_days(count)
    records = UsageRecord.objects.filter(day__gte=days[0])
    plots = [
        *usage_plots.used(records, days),
        *usage_plots.latencies(records, days),
        *usage_plots.errors(records, days),
    ]
    context = admin.site.each_context(request) | {
        "title": "Usage",
        "days": count,
        "choices": CHOICES,
        "total": _spoken(ledger.summed(records)),
        "plots": plots,
        "tables": [
            {"title": "By model", "what": "Model", "rows": _rows(records, "model")},
            {"title": "By user", "what": "User", "rows": _rows(records, "user")},
        ],
    }
    return TemplateResponse(request, "admin/assistant/usagerecord/plots.html", context)


def _rows(records: QuerySet[UsageRecord], field: str) -> list[dict[str, Any]]:
    """The `MOST_ROWS` with the most tokens."""
    found = list(
        records.order_by().values(field).annotate(
            calls=Count("id"), failed=Count("id", filter=~Q(error_code__in=("", "stopped"))),
            tokens=Sum("prompt_tokens") + Sum("completion_tokens"), known=Sum("cost"),
        ).order_by("-tokens")[:MOST_ROWS]
    )  # fmt: skip
    names: dict[Any, str] = {None: "(deleted)"}
    if field == "user":
        users = get_user_model()._default_manager.in_bulk([row["user"] for row in found if row["user"] is not None])
        names |= {pk: display_name(user) for pk, user in users.items()}
    return [
        {
            "name": names.get(row[field], row[field]),
            "calls": f"{row['calls']:,}",
            "failed": f"{row['failed']:,}",
            "tokens": say_count(row["tokens"]),
            "cost": "not known" if row["known"] is None else say_dollars(float(row["known"])),
        }
        for row in found
    ]
