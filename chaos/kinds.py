"""What is killed, and in which order."""

from __future__ import annotations

import enum
import random


class Kind(enum.StrEnum):
    """Each value is the name in the tables."""

    WORKER = "a worker process"  # the one with the most turns
    IDLE = "an idle worker"  # one that waits for a job, holding its queue's lock
    PUSHER = "a pusher or monitor"  # the small processes beside a worker
    SENTINEL = "a sentinel"  # a worker's parent: what is below it would live on as an orphan
    COMMAND = "`manage.py worker`"  # the supervisor of all workers
    MACHINE = "another machine with all its workers"  # the leases tell, and nothing else
    WEB = "Daphne"
    VALKEY = "Valkey or Redis"
    DATABASE = "PostgreSQL"
    EVERYTHING = "everything at once"  # and then started again
    ROLLING = "SIGTERM to each worker in turn"
    DEPLOY = "SIGTERM to the product, and a start"
    FROZEN = "a worker stopped for longer than its lease"
    ZOMBIE = "the same, unguarded, and it comes back"  # its supervisor stands still as well
    LEAVE = "an answer whose tool exits"
    GORGE = "an answer whose tool eats all memory"
    STALL = "an answer whose tool blocks the loop"

    @property
    def is_poison(self) -> bool:
        """It ends one worker after the other, until it is given up."""
        return self in (Kind.LEAVE, Kind.GORGE, Kind.STALL)

    @property
    def interrupts(self) -> bool:
        """Whether the answers that it hits are written anew by another attempt. The others go on where they are.

        (Without their supervisor workers go on too, and hand over later, to the next supervisor's.)
        """
        return self not in (Kind.PUSHER, Kind.COMMAND, Kind.WEB, Kind.VALKEY, Kind.DATABASE)


def schedule(kills: int, among: list[Kind], dice: random.Random) -> list[Kind]:
    """`kills` kinds, each as often as the others (give or take one), in an order that the dice decide."""
    planned: list[Kind] = []
    while len(planned) < kills:
        planned += dice.sample(among, len(among))
    return planned[:kills]
