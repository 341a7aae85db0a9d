"""How each part is killed, and what was hit."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import psutil

from chaos.kinds import Kind
from chaos.ledger import Ledger, Sight
from chaos.machine import Machine
from chaos.stage import Held, Stage, is_up, kill_server, plain, send
from tests.e2e.people import Person, tagged

CONDITION_SECONDS = 60.0
BUSY = 4  # answers that another machine has before its power goes, if it gets them


@dataclass
class Kill:
    kind: Kind
    at: float = 0.0  # time.monotonic() when the signal was sent
    ready_at: float = 0.0  # when the product said Ready again, where it was started anew
    hit: list[Held] = field(default_factory=list)  # the answers in the hands of what was killed
    seen: dict[str, Sight | None] = field(default_factory=dict)  # what the viewers had of them then
    workers: set[str] = field(default_factory=set)  # ids of worker processes that were ended or stopped
    poisoned: str = ""  # the answer that ends its workers by itself


class Killer:
    poisoner: Person  # asks for answers that end their workers

    def __init__(self, stage: Stage, ledger: Ledger, dice: random.Random, lease: float, workers: int) -> None:
        self.done: list[Kill] = []
        self._stage, self._product = stage, stage.product
        self._ledger, self._dice, self._lease = ledger, dice, lease
        self._full = workers  # while there are orphans of a killed `manage.py worker` there are more
        self._ways: dict[Kind, Callable[[Kill], None]] = {
            Kind.WORKER: self._worker,
            Kind.IDLE: self._idle,
            Kind.PUSHER: self._pusher,
            Kind.SENTINEL: self._sentinel,
            Kind.COMMAND: self._command,
            Kind.MACHINE: self._machine,
            Kind.WEB: self._web,
            Kind.VALKEY: self._valkey,
            Kind.DATABASE: self._database,
            Kind.EVERYTHING: self._everything,
            Kind.ROLLING: self._rolling,
            Kind.DEPLOY: self._deploy,
            Kind.FROZEN: self._frozen,
            Kind.ZOMBIE: self._zombie,
            Kind.LEAVE: self._poison,
            Kind.GORGE: self._poison,
            Kind.STALL: self._poison,
        }

    def strike(self, kind: Kind) -> Kill:
        """Waits until there is something to hit, and hits it."""
        kill = Kill(kind)
        self._wait(self._stage.workers)
        self._wait_a_while(self._busy_workers)
        self._ways[kind](kill)
        self.done.append(kill)
        return kill

    # --- SIGKILL ---

    def _worker(self, kill: Kill) -> None:
        worker = self._busiest()
        self._hits(kill, {worker})
        send([self._stage.workers()[worker]], signal.SIGKILL)

    def _idle(self, kill: Kill) -> None:
        """One without a turn. Where all are busy, one is killed first, and its successor as soon as it is there."""
        before = self._stage.workers()
        idle = sorted(set(before) - self._busy_workers())
        if not idle:
            first = Kill(Kind.WORKER)
            self._worker(first)
            self.done.append(first)
            idle = self._wait(lambda: sorted(set(self._stage.workers()) - set(before)))
        self._hits(kill, {idle[0]})
        if process := self._stage.workers().get(idle[0]):
            send([process], signal.SIGKILL)

    def _pusher(self, kill: Kill) -> None:
        worker, process, sentinel = self._cluster()
        siblings = [child for child in sentinel.children() if child.pid != process.pid]
        self._hits(kill, set(), {worker})
        send([self._dice.choice(siblings)] if siblings else [], signal.SIGKILL)

    def _sentinel(self, kill: Kill) -> None:
        worker, _, sentinel = self._cluster()
        self._hits(kill, {worker})
        send([sentinel], signal.SIGKILL)

    def _command(self, kill: Kill) -> None:
        supervisor = self._child("manage.py worker")
        self._hits(kill, set(self._stage.workers()), all_of_them=True)
        send([supervisor], signal.SIGKILL)

    def _machine(self, kill: Kill) -> None:
        before = self._stage.strangers()
        with Machine(self._product):
            self._wait(lambda: len(self._stage.strangers() - before) == self._full)
            time.sleep(self._dice.uniform(0, 2))  # so that its heartbeats are at any place between two
            self._wait_a_while(lambda: self._held_by(self._stage.strangers() - before) >= BUSY)
            self._hits(kill, self._stage.strangers() - before)

    def _web(self, kill: Kill) -> None:
        server = self._child("assistant.web")
        self._hits(kill, set(), set(self._stage.workers()))
        send([server], signal.SIGKILL)

    def _valkey(self, kill: Kill) -> None:
        if self._stage.redis is None:
            server = self._child("valkey")
            self._hits(kill, set(), set(self._stage.workers()))
            send([server], signal.SIGKILL)
        else:
            self._hits(kill, set(), set(self._stage.workers()))
            kill_server(self._stage.redis)
            time.sleep(self._dice.uniform(0, 3))
            self._stage.redis.start()

    def _database(self, kill: Kill) -> None:
        assert self._stage.postgres is not None
        self._hits(kill, set(), set(self._stage.workers()))
        kill_server(self._stage.postgres)
        time.sleep(self._dice.uniform(0, self._lease * 1.3))
        self._stage.postgres.start()

    def _everything(self, kill: Kill) -> None:
        family = self._stage.family()
        self._hits(kill, set(self._stage.workers()), all_of_them=True)
        send(family, signal.SIGKILL)
        servers = [server for server in (self._stage.postgres, self._stage.redis) if server]
        for server in servers:
            kill_server(server)
        self._product.stop()
        for server in servers:
            server.start()
        self._product.start()
        kill.ready_at = time.monotonic()

    # --- by themselves ---

    def _poison(self, kill: Kill) -> None:
        session = self.poisoner.new_session(tagged(f"tool={kill.kind.name.lower()}"))
        self.poisoner.http.patch(f"/api/sessions/{session}", json={"services": ["poison"]}).raise_for_status()
        kill.poisoned = plain(self.poisoner.asked(session))
        kill.at = time.monotonic()

    # --- stops in order, and pauses ---

    def _rolling(self, kill: Kill) -> None:
        before = self._stage.workers()
        for worker, process in before.items():
            part = kill if not kill.at else Kill(Kind.ROLLING)
            self._hits(part, {worker})
            send([process], signal.SIGTERM)
            self._wait(partial(_is_gone, process))
            self._wait(lambda: len(self._stage.workers()) >= min(len(before), self._full))
            if part is not kill:
                self.done.append(part)

    def _deploy(self, kill: Kill) -> None:
        self._hits(kill, set(self._stage.workers()), all_of_them=True)
        self._product.stop()
        self._product.start()
        kill.ready_at = time.monotonic()

    def _frozen(self, kill: Kill) -> None:
        worker = self._busiest()
        process = self._stage.workers()[worker]
        self._hits(kill, {worker})
        self._freeze([process], [process])

    def _zombie(self, kill: Kill) -> None:
        """Other workers take the turns over; then it wakes, believes it still has them, and goes on for a second."""
        worker = self._busiest()
        process = self._stage.workers()[worker]
        supervisor = self._child("manage.py worker")
        self._hits(kill, {worker})
        self._freeze([supervisor, process], [process])
        time.sleep(1.0)
        send([supervisor], signal.SIGCONT)

    def _freeze(self, processes: list[psutil.Process], wake: list[psutil.Process]) -> None:
        send(processes, signal.SIGSTOP)
        time.sleep(self._lease * 1.25 + self._dice.uniform(2, 5))
        send(wake, signal.SIGCONT)

    # --- what there is to hit ---

    def _hits(self, kill: Kill, ended: set[str], touched: set[str] | None = None, all_of_them: bool = False) -> None:
        """Notes what is in the hands of the workers, at the last moment before the signal."""
        concerned = ended if touched is None else touched
        kill.workers = ended
        kill.hit = [held for held in self._stage.held() if held.worker in concerned or all_of_them]
        kill.seen = {held.answer: self._ledger.last_sight(held.answer) for held in kill.hit}
        kill.at = time.monotonic()
        hit = " ".join(held.answer for held in kill.hit)
        self._product.said.append(f"{datetime.now()} CHAOS   {kill.kind}; workers {ended or concerned}; hit {hit}\n")

    def _busy_workers(self) -> set[str]:
        return {held.worker for held in self._stage.held() if held.worker} & set(self._stage.workers())

    def _held_by(self, workers: set[str]) -> int:
        return sum(held.worker in workers for held in self._stage.held())

    def _busiest(self) -> str:
        held = [h.worker for h in self._stage.held()]
        return max(sorted(self._wait(self._stage.workers)), key=held.count)

    def _cluster(self) -> tuple[str, psutil.Process, psutil.Process]:
        """A worker's id, its process, and its sentinel."""

        def found() -> tuple[str, psutil.Process, psutil.Process] | None:
            workers = self._stage.workers()
            for worker in self._dice.sample(sorted(workers), len(workers)):
                process = workers[worker]
                if (sentinel := process.parent()) and sentinel.pid == os.getpgid(process.pid):
                    return worker, process, sentinel
            return None

        return self._wait(found)

    def _child(self, word: str) -> psutil.Process:
        """The child of `serve` with this word in its command line; waits where it is just being started again."""

        def found() -> psutil.Process | None:
            for child in self._product.process.children():
                if is_up(child) and word in " ".join(child.cmdline()):
                    return child
            return None

        return self._wait(found)

    def _wait(self, condition: Callable[[], Any]) -> Any:
        return self._product.wait_for(lambda: _unless_gone(condition), CONDITION_SECONDS)

    def _wait_a_while(self, condition: Callable[[], Any]) -> None:
        until = time.monotonic() + 10
        while not _unless_gone(condition) and time.monotonic() < until:
            time.sleep(0.1)


def _is_gone(process: psutil.Process) -> bool:
    return not is_up(process)


def _unless_gone(condition: Callable[[], Any]) -> Any:
    try:
        return condition()
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
