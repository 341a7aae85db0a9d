"""What people and workers do in the tests, in a word each."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from channels.layers import get_channel_layer
from django.db.models.functions import Now
from django_q.models import OrmQ

from assistant.delivery import channel_groups, live_text, valkey
from assistant.delivery.live_text import LiveText
from assistant.delivery.outbox import Outbox
from assistant.lifecycle import answering, asking, claiming
from assistant.lifecycle.answering import Failure, Written
from assistant.models import ChatSession, Message, Participant, WorkerProcess
from assistant.models.message import Claim, Status
from assistant.presentation import broadcast
from assistant.text.reasoned import Reasoned

FAILURE = Failure("provider_error", "The model's provider had a problem.")


def ask(
    session: ChatSession,
    author: Any,
    content: str = "How are you?",
    client_id: str = "",
    model: str = "",
    when: str = "",
) -> Any:
    return asking.send(session, author, content, client_id or uuid.uuid4().hex, model, when)


def answer_of(sent: asking.Sent) -> Message:
    assert sent.reply is not None
    return sent.reply


def a_worker(name: str = "host") -> WorkerProcess:
    """A worker process with a fresh heartbeat."""
    return WorkerProcess.objects.create(host=name, pid=1, boot_id="boot", concurrency=10)


def kill(worker: WorkerProcess) -> None:
    """It has not been heard for long."""
    WorkerProcess.objects.filter(pk=worker.pk).update(heartbeat_at=Now() - timedelta(hours=1))


def revive(worker: WorkerProcess) -> None:
    WorkerProcess.objects.filter(pk=worker.pk).update(heartbeat_at=Now(), stopped_at=None)


def a_room(owner: Any) -> ChatSession:
    """A session of this person alone."""
    session = ChatSession.objects.create()
    Participant.objects.create(session=session, user=owner, role="owner")
    return session


def claimed(answer: Message, worker: WorkerProcess) -> Claim:
    """The worker has taken the answer."""
    claim = claiming.claim(answer.pk, worker)
    assert claim is not None
    return claim


def finish(claim: Claim, text: str = "Fine.", seq: int = 1) -> bool:
    used = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": None}
    return answering.succeed(claim, Written(text, seq), used)


def fail(claim: Claim, text: str = "", seq: int = 0) -> bool:
    return answering.fail(claim, Written(text, seq), FAILURE)


def lose_job(answer: Message) -> None:
    OrmQ.objects.filter(pk=answer.job).delete()


def jobs() -> list[str]:
    """The message ids of the jobs in the queue, oldest first."""
    return [row.task["args"][0] for row in OrmQ.objects.order_by("id")]


def now(message: Message) -> Message:
    return Message.objects.get(pk=message.pk)


def statuses(session: ChatSession) -> list[tuple[str, str, str]]:
    """(role, status, content) in order."""
    return list(session.messages.in_order().values_list("role", "status", "content"))


def queued(session: ChatSession) -> list[str]:
    return list(session.messages.queued().values_list("content", flat=True))


def running(session: ChatSession) -> Message:
    return session.messages.running().get()


def write(claim: Claim, text: str, seq: int, reasoned: Reasoned | None = None) -> None:
    """The live texts stand at these, as if a worker had written them."""
    meta, content, thoughts = live_text.keys(claim.message_id)
    thought = reasoned or Reasoned("", 0, 0.0)
    counts: Any = {"seq": seq, "reasoning_seq": thought.seq, "reasoning_seconds": thought.seconds}
    valkey.client().hset(meta, mapping={"attempt": claim.attempt, **counts})
    valkey.client().set(content, text.encode(), ex=60)
    valkey.client().set(thoughts, thought.content.encode(), ex=60)
    valkey.client().expire(meta, 60)


def recorder(noted: list[dict[str, Any]]) -> Callable[[Any, str], Any]:
    """In the place of `broadcast.send_frame`: notes the frame at once, in the thread that sends it."""

    def note(session_id: Any, frame: str) -> Any:
        noted.append(json.loads(frame))

        async def nothing() -> None: ...

        return nothing()

    return note


def note_frames(patch: Any, noted: list[dict[str, Any]]) -> None:
    """Notes each frame as it is sent, by itself or with the delta that it tells."""
    write = live_text.write

    async def note(outbox: Any, deltas: Any) -> Any:
        results = await write(outbox, deltas)
        for delta, result in zip(deltas, results, strict=True):
            if result == live_text.DONE and delta.publication:
                noted.append(json.loads(frame_in(delta.publication)))
        return results

    patch.setattr(broadcast, "send_frame", recorder(noted))
    patch.setattr(live_text, "write", note)


def frame_in(publication: channel_groups.Publication) -> str:
    layer: Any = get_channel_layer()
    return str(layer.deserialize(publication[1])["frame"])


@asynccontextmanager
async def an_outbox() -> AsyncIterator[Outbox]:
    made = Outbox()
    try:
        yield made
    finally:
        await made.close()


def first_delta(message_id: uuid.UUID, text: LiveText, **more: Any) -> live_text.Delta:
    """With which an attempt's live text begins, and is this."""
    return live_text.Delta(message_id, text.attempt, text.content, (0, 0), lambda: text, **more)


def ends(message: Message) -> bool:
    return now(message).status in (Status.SUCCESS, Status.ERROR, Status.CANCELLED)
