"""The event loop of a worker process: it holds many turns at once, for a turn is waiting, not work.

django-q2's worker function runs in the process's main thread and only hands turns over (`admit`). The loop runs in a
thread of its own, started after the fork. Beside the turns it runs, by name: the pulse (for the supervisor), the
heartbeat (the lease), the checkpoints, the sweep, the neighbours, the ear (messages to this process), and the wait for
successors once the supervisor is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from uuid import UUID

import psutil
import uvloop
from channels.layers import get_channel_layer
from django.db import InterfaceError, OperationalError
from django.db.models.functions import Now

from assistant import conf, llm
from assistant.database import Database
from assistant.delivery import queue, valkey
from assistant.lifecycle import answering, recovery
from assistant.mcp import connections
from assistant.models.message import Claim
from assistant.models.worker import WorkerProcess
from assistant.presentation import events
from assistant.processes import slot
from assistant.processes.host_processes import boot_id, is_process
from assistant.prompt import context
from assistant.worker.errands import Errands
from assistant.worker.titles import Titles
from assistant.worker.turn import Stop, Turn

logger = logging.getLogger(__name__)

PULSE_SECONDS = 0.2
CHECKPOINT_SECONDS = 1.0
SWEEP_SECONDS = 2.0
NEIGHBOURS_SECONDS = 1.0
SUCCESSOR_SECONDS = 0.25
ORPHAN_SECONDS = 30.0  # so long a worker without a supervisor waits for the next supervisor's workers
ADMIT_RETRY_SECONDS = 10.0
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
        self._turns: dict[Claim, Turn] = {}
        self._room = threading.BoundedSemaphore(self.worker.concurrency)
        self._ready: Future[None] = Future()
        self._draining = threading.Event()
        self._is_handing_over = False
        self._drain_asked: asyncio.Event
        self._doubt: asyncio.Event
        self._strays: dict[tuple[UUID, int], float] = {}  # rows of ours without a turn, and since when
        self._healthy_since = float("-inf")
        self._beat_began: float | None = None  # of the heartbeat that is under way
        self._orphaned_at: float | None = None
        self._contemporaries: set[UUID] = set()  # the workers that were here when the supervisor was lost
        self._loop: asyncio.AbstractEventLoop
        # Not a daemon: the process does not exit under turns that are being handed over.
        self._thread = threading.Thread(target=self._run, name="runner")

    # --- from other threads ---

    def start(self) -> None:
        self._thread.start()

    def admit(self, message_id: UUID) -> bool:
        """Claims the message's turn and lets the loop run it; waits while this process is full.

        Returns False if there was nothing to do: a duplicate delivery, a stopped or deleted answer, or this process is
        stopping (then the turn has a fresh job that another one will get).
        """
        self._ready.result()
        while not self._room.acquire(timeout=0.2):
            if self._draining.is_set():
                break
        else:
            if not self._draining.is_set():
                return self._admit(message_id)
            self._room.release()
        answering.put_back(message_id)
        return False

    def _admit(self, message_id: UUID) -> bool:
        try:
            claim = _patiently(lambda: answering.claim(message_id, self.worker))
        except BaseException:
            self._room.release()
            raise
        if claim is None:
            self._room.release()
            return False
        prompt: Future[context.Prompt | None] = Future()
        prompt.set_running_or_notify_cancel()  # a turn that is stopped meanwhile takes nothing back
        # The turn first: from the claim on there is somebody to be stopped, and a clock that runs.
        self._loop.call_soon_threadsafe(self._begin, claim, prompt)
        prompt.set_result(_first_prompt(claim))
        return True

    def drain(self) -> None:
        """Stops admission, gives the turns ASSISTANT_GRACE, hands over the rest, and ends the loop. Callable repeatedly."""
        self._draining.set()
        if slot.current:
            slot.current.drain()
        self._ready.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._drain_asked.set))

    def join(self) -> None:
        self._thread.join()

    # --- on the loop ---

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._drain_asked, self._doubt = asyncio.Event(), asyncio.Event()
        self._database = Database("turns")
        self._lease = Database("lease", threads=1)  # a heartbeat must not queue behind the turns' work
        self._client = valkey.async_client()
        self._titles = Titles(self._database)
        self._errands = Errands(self._database, self._client)
        events.send_from(self._loop)
        try:
            await self._lease.call_once(self._register)
        except (OperationalError, InterfaceError):  # away: then the others' leases look stale as well, see `_sweep`
            await self._lease.call(self._register)
            self._healthy_since = time.monotonic()
        side = [
            self._named("pulse", self._pulse),
            self._named("heartbeat", self._heartbeat),
            self._named("checkpoints", self._checkpoint),
            self._named("sweep", self._sweep),
            self._named("neighbours", self._look_after_neighbours),
            self._named("ear", self._listen),
            self._named("successors", self._wait_for_successors),
        ]
        self._ready.set_result(None)
        await self._drain_asked.wait()
        await self._hand_over_turns()
        await self._errands.close()
        await connections.close()
        await self._titles.close()
        await _cancelled(side)
        try:
            await self._lease.call_once(self._unregister)
        except (OperationalError, InterfaceError):
            logger.warning("The database is away; this worker's lease will run out by itself.")
        await asyncio.to_thread(events.flush)  # the loop ends, and with it what it has not sent
        events.send_from(None)
        await self._client.aclose()
        await llm.close()
        self._database.close()
        self._lease.close()

    def _begin(self, claim: Claim, prompt: Future[context.Prompt | None]) -> None:
        try:
            turn = Turn(claim, self._database, self._client, self._doubt.set, self._sicken, prompt)
        except Exception:
            self._room.release()
            raise  # to the loop's log; the heartbeats put the row back
        self._turns[claim] = turn
        task = asyncio.create_task(turn.run(), name=f"run {claim.message_id}")
        task.add_done_callback(lambda _: self._forget(claim))
        if self._is_handing_over:  # claimed in the moment in which the drain was asked for
            turn.stop(Stop.HAND_OVER)

    def _forget(self, claim: Claim) -> None:
        turn = self._turns.pop(claim)
        self._room.release()
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

    def _named(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        async def forever() -> None:
            while True:
                try:
                    await work()
                except (*valkey.Unavailable, OperationalError, InterfaceError) as error:
                    logger.warning("The %s of worker %s waits: %s", name, self.worker, str(error).strip())
                    await asyncio.sleep(1)
                except Exception:
                    logger.exception("The %s of worker %s failed; it goes on.", name, self.worker)
                    await asyncio.sleep(1)

        return asyncio.create_task(forever(), name=name)

    async def _pulse(self) -> None:
        if slot.current:
            slot.current.beat(len(self._turns))
            if self._orphaned_at is None and not is_process(slot.current.supervisor_pid):
                logger.warning("The supervisor is gone: worker %s works on until there are others.", self.worker)
                self._orphaned_at = time.monotonic()
        await asyncio.sleep(PULSE_SECONDS)

    async def _wait_for_successors(self) -> None:
        """A worker without a supervisor is unguarded, not useless: it works until a new supervisor's workers are there.

        Then it hands over as in a rolling restart, so nobody's text stands still while the supervisor loads its libraries.
        If nobody comes, or `serve` is gone as well (then nobody will), it hands over to whoever else there is.
        """
        await asyncio.sleep(SUCCESSOR_SECONDS)
        if self._orphaned_at is None or self._draining.is_set():
            return
        here = await self._lease.call_once(self._workers_here)
        self._contemporaries = self._contemporaries or here
        served_by = int(os.environ.get("PARLEY_SERVED_BY", 0))
        is_left = bool(served_by) and not is_process(served_by)
        is_late = time.monotonic() - self._orphaned_at > ORPHAN_SECONDS
        if is_left or is_late or here - self._contemporaries:
            logger.warning("Worker %s, without a supervisor, hands over its turns and ends.", self.worker)
            os.kill(os.getpid(), signal.SIGTERM)

    async def _heartbeat(self) -> None:
        """Renews the lease, then asks which turns are still ours: the net below the messages to this process."""
        began = self._beat_began = time.monotonic()
        try:
            known = await self._lease.call_once(self._beat, len(self._turns))
            if not known:
                await self._lease.call(self._register)
            asked = set(self._turns)
            rows = await self._lease.call_once(answering.rows_held_by, self.worker.pk)
            self._drop_lost(asked, rows)
            await self._disown(rows)
        except (OperationalError, InterfaceError) as error:
            logger.warning("The heartbeat failed: %s", str(error).strip())
            self._healthy_since = float("inf")
        else:
            if time.monotonic() - began > conf.settings.lease / 2:
                self._healthy_since = float("inf")
            if self._healthy_since == float("inf"):
                self._healthy_since = time.monotonic()
        self._beat_began = None
        try:
            await asyncio.wait_for(self._doubt.wait(), conf.settings.heartbeat)
            self._doubt.clear()
        except TimeoutError:
            pass

    def _drop_lost(self, asked: set[Claim], rows: set[tuple[UUID, int]]) -> None:
        """Stops turns whose rows are no longer ours. Only of those that were there before the rows were read."""
        for claim in asked:
            if (claim.message_id, claim.attempt) not in rows and claim in self._turns:
                self._turns[claim].stop(Stop.LOST)

    async def _disown(self, rows: set[tuple[UUID, int]]) -> None:
        """Puts back rows that name this process and that it is not working on: its lease would keep them for ever.

        Only after a heartbeat's time, since a claim comes a moment before its turn.
        """
        now = time.monotonic()
        strays = rows - {(claim.message_id, claim.attempt) for claim in self._turns}
        self._strays = {row: self._strays.get(row, now) for row in strays}
        for row, since in list(self._strays.items()):
            if now - since >= conf.settings.heartbeat:
                logger.error("Answer %s (attempt %d) is ours and nobody writes it; it goes on.", *row)
                await self._lease.call_once(recovery.disown, *row)
                del self._strays[row]

    async def _checkpoint(self) -> None:
        await asyncio.sleep(CHECKPOINT_SECONDS)
        changed = {
            claim: written
            for claim, turn in self._turns.items()
            if not turn.is_ending and (written := turn.answer.written) and written.seqs != turn.stored_seqs
        }
        if not changed:
            return
        fresh = {claim: written.since(self._turns[claim].stored_seqs) for claim, written in changed.items()}
        lost = await self._database.call(answering.checkpoint, fresh)
        for claim, written in changed.items():
            if claim in lost and claim in self._turns:
                self._turns[claim].stop(Stop.LOST)
            elif claim in self._turns:
                self._turns[claim].stored_seqs = written.seqs

    async def _sweep(self) -> None:
        """Looks after answers whose worker or job is gone.

        After an outage of the database everybody's lease looks stale at once. Whoever was cut off itself waits a lease
        long, so that the living have renewed theirs before anyone is judged.
        """
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.75, 1.25))
        lease, now = conf.settings.lease, time.monotonic()
        # A beat that hangs is no failure yet, but what keeps it (a lock on the whole of SQLite) keeps everyone's.
        is_beat_late = self._beat_began is not None and now - self._beat_began > lease / 4
        if now - self._healthy_since > lease and not is_beat_late:
            await self._database.call_once(recovery.sweep)

    async def _look_after_neighbours(self) -> None:
        """Goes on at once with what a dead process of this host held, also where its successor is not up yet."""
        await asyncio.sleep(NEIGHBOURS_SECONDS * random.uniform(0.75, 1.25))
        with contextlib.suppress(OperationalError, InterfaceError):  # the heartbeat tells of it
            await self._database.call_once(recovery.bury_the_dead_here, self.worker)

    async def _listen(self) -> None:
        layer = get_channel_layer()
        assert layer is not None
        channel = await layer.new_channel("worker.")
        await layer.group_add(self.worker.group, channel)
        while True:
            event = await layer.receive(channel)
            if event["type"] == "turn.stop":
                for claim, turn in self._turns.items():
                    if str(claim.message_id) == event["message_id"] and claim.attempt <= event["attempt"]:
                        turn.stop(Stop.LOST)
            elif event["type"] == "errand":
                self._errands.start(event)

    async def _hand_over_turns(self) -> None:
        """Returns when there is no turn and, admission having been stopped, can't be one any more.

        Whoever holds all the room knows that no claim is on its way from `admit` to the loop either.
        """
        deadline = time.monotonic() + conf.settings.grace
        taken = 0
        while taken < self.worker.concurrency:
            if self._room.acquire(blocking=False):
                taken += 1
                continue
            if time.monotonic() >= deadline and not self._is_handing_over:
                self._is_handing_over = True
                for turn in self._turns.values():
                    turn.stop(Stop.HAND_OVER)
            await asyncio.sleep(0.02)

    # --- in the database ---

    def _register(self) -> None:
        WorkerProcess.objects.filter(pk=self.worker.pk).delete()
        self.worker.save(force_insert=True)
        recovery.bury_the_dead_here(besides=self.worker)
        if slot.current:
            queue.free(slot.current.taken)  # what this place's last worker had taken and not begun
        recovery.forget_old_workers()

    def _workers_here(self) -> set[UUID]:
        alive = WorkerProcess.objects.alive().filter(host=self.worker.host, boot_id=self.worker.boot_id)
        return {self.worker.pk, *(pk for pk, pid in alive.values_list("pk", "pid") if _is_guarded(pid))}

    def _beat(self, load: int) -> bool:
        row = WorkerProcess.objects.filter(pk=self.worker.pk)
        return bool(row.update(heartbeat_at=Now(), load=load, stopped_at=None))

    def _unregister(self) -> None:
        WorkerProcess.objects.filter(pk=self.worker.pk).update(stopped_at=Now(), load=0)
        if slot.current:
            queue.free(slot.current.taken)  # what was taken for this process and not begun is for the others


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Ends `tasks`, asking again who goes on: a library may take a cancellation for its own, as redis does."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_SECONDS)


def _is_guarded(pid: int) -> bool:
    """Whether a worker of this host is another supervisor's, as one without a supervisor sees it.

    An orphaned sentinel starts workers too, and these may be wedged by the death of the one before, with nobody to see
    it: they are no successors. Orphaned sentinels all have the same parent, whoever reaps orphans here.
    """
    try:
        return psutil.Process(pid).parent().ppid() != psutil.Process().parent().ppid()
    except (psutil.Error, AttributeError):
        return True


def _first_prompt(claim: Claim) -> context.Prompt | None:
    """What the turn asks first, made in the thread that has just claimed it: its connection and its caches are warm.

    None: the turn makes it itself, since it may take long, and the next job waits for this thread; or since it fails, which
    the turn then tells.
    """
    if claim.ends:
        return None  # what was said meanwhile joins first
    try:
        return context.quick_prompt_for(claim)
    except Exception:
        logger.debug("Answer %s has no first prompt from its claim.", claim.message_id, exc_info=True)
        return None


def _patiently(work: Callable[[], Claim | None]) -> Claim | None:
    """`work()` while the database is briefly away. After that the error is django-q2's, and the sweep delivers again."""
    until = time.monotonic() + ADMIT_RETRY_SECONDS
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError):
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
