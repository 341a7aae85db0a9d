"""Which of the answers that a dead worker held has killed it: nobody knows, so suspects are tried in ever smaller company.

A death is counted against an answer only if its process held nothing else, and those deaths end it. Most workers die
of something else, so after a death all go on at once, in whatever company. Who dies again while it calls a tool, or as
often as would end it, is a suspect: half as many suspects as died together are tried next, in a process where nothing else
runs, and half of those if it dies, until one runs alone. Whoever ends, or comes to a fresh job, is a suspect no more. Only
where none of this can bring an answer to be alone, very many deaths end it in whatever company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from assistant.delivery import queue
from assistant.models.message import Message, Status, max_recoveries
from assistant.models.tool_call import CallStatus, ToolCall
from assistant.models.worker import WorkerProcess

PATIENCE = timedelta(minutes=1)  # where every process is busy all the time, one takes nothing fresh after that
LAST_RESORT = timedelta(minutes=10)  # where none has become free even so, a suspect runs beside others
TOO_MANY = 10  # times ASSISTANT_MAX_ATTEMPTS deaths end an answer, in whatever company it was


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What an answer's row says of it after a death."""

    company: int | None
    lone_deaths: int


def note_death(worker_id: UUID) -> None:
    """Notes what a worker held when it died. Whoever recovers the first of its answers does it: then they are all there."""
    not_noted = WorkerProcess.objects.filter(pk=worker_id, died_holding=None)
    if not_noted.exists():
        not_noted.update(**dict(zip(("died_holding", "died_calling"), _held_by(worker_id), strict=True)))


def after_death(message: Message) -> Suspicion:
    """Of an answer whose worker has died, as it was then."""
    held, calling = _crowd(message.worker_id)
    lone_deaths = message.lone_deaths + (held == 1)
    calls = message.tool_calls.filter(status=CallStatus.RUNNING).exists()
    if message.company is None and message.recoveries < (1 if calls else max_recoveries()):
        return Suspicion(None, lone_deaths)
    among = calling if calls else held
    return Suspicion(max(1, min(among, message.company or among) // 2), lone_deaths)


def is_bearable(lone_deaths: int, deaths: int) -> bool:
    """Whether an answer that has seen so many is tried once more."""
    return lone_deaths <= max_recoveries() and deaths < TOO_MANY * (max_recoveries() + 1)


def its_own_fault(message: Message) -> Suspicion:
    """Of an answer that a living worker could not even begin."""
    return Suspicion(message.company, message.lone_deaths + 1)


def _crowd(worker_id: UUID | None) -> tuple[int, int]:
    """How many answers it held when it died, and how many of them were calling a tool."""
    worker = WorkerProcess.objects.filter(pk=worker_id).first() if worker_id else None
    if worker is None or worker_id is None:
        return 2, 1  # nobody knows
    if worker.died_holding is None or worker.died_calling is None:
        return _held_by(worker_id)
    return worker.died_holding, worker.died_calling


def _held_by(worker_id: UUID) -> tuple[int, int]:
    held = Message.objects.filter(status=Status.PROCESSING, worker_id=worker_id)
    calls = ToolCall.objects.filter(message_id=OuterRef("pk"), status=CallStatus.RUNNING)
    return held.count(), held.filter(Exists(calls)).count()


def may_be_tried(worker: WorkerProcess, suspects: Sequence[Message]) -> list[Message]:
    """Those of `suspects` that this process, which holds nothing, tries together.

    None, while another process is seen to try some: the others go on with what nobody suspects. Two that look in the same
    moment may both try some; no verdict hangs on it, since each dies with its own.
    """
    if not suspects or _are_tried_by_others(worker):
        return []
    first, *_ = by_company = sorted(suspects, key=lambda message: message.company or 0)
    return by_company[: first.company]


def is_to_empty_itself(worker: WorkerProcess) -> bool:
    """Whether this process takes nothing fresh until it can try suspects, as no process has become free for them.

    Of all that live the one that started first does it, so that one does it at a time, and the same until it is done.
    """
    if not queue.long_unclaimed_suspects(PATIENCE) or _are_tried_by_others(worker):
        return False
    return WorkerProcess.objects.alive().order_by("pk").first() == worker


def _are_tried_by_others(worker: WorkerProcess) -> bool:
    return Message.objects.filter(status=Status.PROCESSING, company__isnull=False).exclude(worker=worker).exists()


def release() -> None:
    """Lets suspects run beside others for which no process has become free at all."""
    if not (jobs := queue.long_unclaimed_suspects(LAST_RESORT)):
        return
    with transaction.atomic():
        Message.objects.filter(job__in=jobs, status=Status.PENDING).update(company=None)
        queue.deliver_as_others(jobs)
