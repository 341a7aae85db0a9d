"""For load balancers and operators: is the process up, can it work, what is it doing."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from assistant.delivery import valkey
from assistant.models import Message, UsageRecord, WorkerProcess
from assistant.models.message import MessageRole, Status


def healthz(request: HttpRequest) -> HttpResponse:
    """200 as soon as the process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 if database, Redis and at least one worker are usable, else 503; says which is not."""
    checks = {"database": "ok", "redis": "ok", "workers": "ok"}
    try:
        if not WorkerProcess.objects.alive().exists():
            checks["workers"] = "no worker process is alive"
            _check_writing()
    except (DatabaseError, InterfaceError):
        checks["database"], checks["workers"] = "not reachable", "unknown"
    except _NotWritable:
        # Workers can't say that they live.
        checks["database"], checks["workers"] = "not writable", "unknown"
    try:
        valkey.ping()
    except valkey.Unavailable:
        checks["redis"] = "not reachable"
    is_ready = set(checks.values()) == {"ok"}
    response = JsonResponse({"status": "ok" if is_ready else "not ready", **checks}, status=200 if is_ready else 503)
    response._has_been_logged = True  # type: ignore[attr-defined]  # asked every second; a 503 is an answer, no error
    return response


class _NotWritable(Exception):
    pass


def _check_writing() -> None:
    """Raises _NotWritable where a row can't be stored: a full disk, a file of somebody else, a standby."""
    try:
        with transaction.atomic():
            WorkerProcess(host="nobody", pid=0, boot_id="", concurrency=0).save(force_insert=True)
            transaction.set_rollback(True)
    except DatabaseError as error:
        raise _NotWritable from error


def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text, computed from the database: every web process gives the same numbers."""
    registry = CollectorRegistry()
    messages = Gauge("parley_messages", "Messages by role and status.", ["role", "status"], registry=registry)
    for role in MessageRole:
        for status in Status:
            messages.labels(role, status).set(0)
    for row in Message.objects.values("role", "status").annotate(count=Count("id")):
        messages.labels(row["role"], row["status"]).set(row["count"])
    failures = Gauge("parley_failures", "Failed answers by category.", ["code"], registry=registry)
    failed = Message.objects.filter(status=Status.ERROR).values("error_code").annotate(count=Count("id"))
    for failure in failed:
        failures.labels(failure["error_code"]).set(failure["count"])
    alive = list(WorkerProcess.objects.alive())
    Gauge("parley_workers_alive", "Worker processes with a fresh heartbeat.", registry=registry).set(len(alive))
    turns = Gauge("parley_turns", "Turns being worked on.", registry=registry)
    turns.set(sum(worker.load for worker in alive))
    capacity = Gauge("parley_turns_capacity", "Turns that the living workers can hold.", registry=registry)
    capacity.set(sum(worker.concurrency for worker in alive))
    _count_usage(registry)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _count_usage(registry: CollectorRegistry) -> None:
    """From the ledger, which outlives what it is about: these only grow."""
    tokens = Counter("parley_tokens", "Tokens by model and kind.", ["model", "kind"], registry=registry)
    parts = Counter(
        "parley_token_parts", "Those of them that are priced apart.", ["model", "kind"], registry=registry
    )
    cost = Counter("parley_cost_dollars", "What is known of the cost, in US dollars.", ["model"], registry=registry)
    calls = Counter("parley_model_calls", "Calls of models by outcome.", ["model", "outcome"], registry=registry)
    rows = UsageRecord.objects.order_by().values("model", "error_code")
    for row in rows.annotate(
        asked=Sum("prompt_tokens"), said=Sum("completion_tokens"), known=Sum("cost"), calls=Count("id"),
        cached=Sum("cached_tokens"), cache_write=Sum("cache_write_tokens"), reasoning=Sum("reasoning_tokens"),
    ):  # fmt: skip
        tokens.labels(row["model"], "prompt").inc(row["asked"])
        tokens.labels(row["model"], "completion").inc(row["said"])
        for kind in ("cached", "cache_write", "reasoning"):
            parts.labels(row["model"], kind).inc(row[kind])
        cost.labels(row["model"]).inc(float(row["known"] or 0))
        calls.labels(row["model"], row["error_code"] or "success").inc(row["calls"])
