"""The event loop of a worker process: it holds many turns at once, for a turn is waiting, not work.

django-q2's worker function runs in the process's main thread and only hands turns over (`admit`). The loop runs in a
thread of its own, started after the fork. Beside the turns it runs, by name: the pulse (for the supervisor), the
heartbeat (`lease`), the checkpoints, the sweep and the neighbours (`sweeping`), the messages to this process, and the wait
for successors once the supervisor is lost (`succession`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from functools import partial
from uuid import UUID

import uvloop
from django.db import InterfaceError, OperationalError

from assistant import conf, llm
from assistant.database import Database
from assistant.delivery import mailbox, queue, valkey
from assistant.delivery.outbox import Outbox
from assistant.mcp import connections
from assistant.models.message import Claim
from assistant.models.worker import WorkerProcess
from assistant.presentation import broadcast
from assistant.processes import slot
from assistant.processes.host_processes import boot_id
from assistant.worker import sweeping
from assistant.worker.checkpoints import checkpoint
from assistant.worker.draining import Draining
from assistant.worker.errands import Errands
from assistant.worker.flusher import Flusher
from assistant.worker.held_turns import HeldTurns
from assistant.worker.intake import Intake
from assistant.worker.lease import Lease
from assistant.worker.succession import Succession
from assistant.worker.title_requests import TitleRequests
from assistant.worker.turn import Stop, Turn

logger = logging.getLogger(__name__)

PULSE_SECONDS = 0.2
CANCEL_SECONDS = 0.5


class Runner:
    """Made once per worker process. `start`, `admit`, `drain` and `join` are called from other threads than the loop's."""

    def __init__(self) -> None:
        self.worker = WorkerProcess(
            host=socket.gethostname(),
            pid=os.getpid(),
            boot_id=boot_id(),
            concurrency=conf.settings.concurrency,
        )
        self.turns = HeldTurns(self.worker.concurrency)
        self._draining = Draining(self.turns)
        self._is_ready: Future[None] = Future()
        self._intake: Intake
        self._loop: asyncio.AbstractEventLoop
        self._drain_asked: asyncio.Event
        # Not a daemon: the process does not exit under turns that are being handed over.
        self._thread = threading.Thread(target=self._run, name="runner")

    # --- from other threads ---

    def start(self) -> None:
        self._thread.start()

    def admit(self, message_id: UUID) -> bool:
        """Has the loop claim this answer, which nobody has fetched. See `Intake.admit`.

        In a process that is stopping the job stays where it is until the end: others find the answer by themselves.
        """
        self._is_ready.result()
        if self._intake.is_closed:
            self._thread.join()
            return False
        return asyncio.run_coroutine_threadsafe(self._intake.admit(message_id), self._loop).result()

    def drain(self) -> None:
        """Closes the intake, gives turns ASSISTANT_GRACE, hands over the rest, and ends the loop. Callable repeatedly."""
        if slot.current:
            slot.current.drain()
        self._is_ready.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._drain_asked.set))

    def join(self) -> None:
        self._thread.join()

    # --- on the loop ---

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        await self._set_up()
        await self._lease.take()
        side = [named(name, work, self.worker) for name, work in self._side_tasks().items()]
        self._is_ready.set_result(None)
        await self._drain_asked.wait()
        self._intake.close()
        await self._draining.hand_over()
        await self._errands.close()
        await connections.close()
        await self._titles.close()
        await cancelled(side)
        await self._lease.give_up()
        await self._close()

    async def _set_up(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._drain_asked = asyncio.Event()
        self._database = Database("turns")
        self._own_database = Database("lease", threads=1)  # a heartbeat must not queue behind the turns' work
        self._client = valkey.async_client()
        self._lease = Lease(self.worker, self.turns, self._own_database, self._database)
        self._succession = Succession(self.worker, self._own_database)
        self._titles = TitleRequests(self._database)
        self._errands = Errands(self._database, self._client)
        self._intake_database = Database("intake", threads=1)  # a claim must not queue behind endings
        self._intake = Intake(self.worker, self.turns, self._intake_database, self._client, self._begin)
        self._outbox = Outbox()
        self._flusher = Flusher(self._outbox)
        broadcast.send_from(self._loop, self._outbox)

    async def _close(self) -> None:
        await asyncio.to_thread(broadcast.flush)  # the loop ends, and with it what it has not sent
        broadcast.send_from(None)
        await self._outbox.close()
        await self._client.aclose()
        await llm.close()
        for database in (self._database, self._own_database, self._intake_database):
            database.close()

    def _side_tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What runs beside the turns, each again and again."""
        return {
            "intake": self._intake.fetch,
            "pulse": self._pulse,
            "heartbeat": self._lease.heartbeat,
            "checkpoints": partial(checkpoint, self.turns, self._database),
            "sweep": partial(sweeping.sweep, self._lease, self._database),
            "neighbours": partial(sweeping.look_after_neighbours, self.worker, self._database),
            "messages": self._listen,
            "successors": self._look_for_successors,
        }

    def _begin(self, claim: Claim) -> None:
        turn = Turn(claim, self._database, self._flusher, self._lease.doubt.set, self._sicken)
        self.turns.add(claim, turn)
        task = asyncio.create_task(turn.run(), name=f"run {claim.message_id}")
        task.add_done_callback(lambda _: self._forget(claim))
        if self._draining.is_handing_over:  # claimed in the moment in which the drain was asked for
            turn.stop(Stop.HAND_OVER)

    def _forget(self, claim: Claim) -> None:
        turn = self.turns.remove(claim)
        logger.info(
            "Turn %s ended after %.2f s (attempt %d): %s.",
            claim.message_id,
            turn.seconds,
            claim.attempt,
            turn.outcome or "it could not be ended",
        )
        self._titles.consider(claim)

    def _sicken(self) -> None:
        """A turn does not end when it is told to: this process hands the others over and is replaced."""
        logger.error("Worker %s is sick and is replaced.", self.worker)
        os.kill(os.getpid(), signal.SIGTERM)

    async def _pulse(self) -> None:
        if slot.current:
            slot.current.beat(self.turns.load)
        await asyncio.sleep(PULSE_SECONDS)

    async def _look_for_successors(self) -> None:
        await self._succession.wait()
        if not self._intake.is_closed:  # or it is stopping already
            await self._succession.look()

    async def _listen(self) -> None:
        try:
            event = await mailbox.taken(self._client, self.worker.mailbox)
        except valkey.Unavailable:  # said by whoever sends; the bell waits as long
            await asyncio.sleep(queue.POLL_SECONDS)
            return
        if event is not None and event["type"] == "turn.stop":
            self.turns.stop_lost(event["message_id"], event["attempt"])
        elif event is not None and event["type"] == "errand":
            self._errands.start(event)


def named(name: str, work: Callable[[], Awaitable[None]], worker: WorkerProcess) -> asyncio.Task[None]:
    """A task that does `work` again and again, whatever it raises."""

    async def forever() -> None:
        while True:
            try:
                await work()
            except (*valkey.Unavailable, OperationalError, InterfaceError) as error:
                logger.warning("The %s of worker %s waits: %s", name, worker, str(error).strip())
                await asyncio.sleep(1)
            except Exception:
                logger.exception("The %s of worker %s failed; it goes on.", name, worker)
                await asyncio.sleep(1)

    return asyncio.create_task(forever(), name=name)


async def cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Ends `tasks`, asking again who goes on: a library may take a cancellation for its own, as redis does."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_SECONDS)
