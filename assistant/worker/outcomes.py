"""How a turn ends, as values: what its worker then does with the answer follows from which one it is."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.lifecycle.endings import Failure
from assistant.models.message import Cut


@dataclass(frozen=True, slots=True)
class Succeeded:
    """There is a whole answer."""

    cut: Cut | None = None  # what it ends at before its end

    def __str__(self) -> str:
        return "success"


@dataclass(frozen=True, slots=True)
class Failed:
    """It ends with an error; what was written is kept."""

    failure: Failure

    def __str__(self) -> str:
        return f"failed, {self.failure.code}"


@dataclass(frozen=True, slots=True)
class Parked:
    """It has been let go of, in order: it waits for somebody to allow or deny a call."""

    def __str__(self) -> str:
        return "let go, it waits for an approval"


@dataclass(frozen=True, slots=True)
class Continued:
    """It has been let go of, in order: it goes on in a fresh job."""

    def __str__(self) -> str:
        return "let go, it goes on in a fresh job"


@dataclass(frozen=True, slots=True)
class Lost:
    """The row is no longer this worker's: it was stopped, deleted or taken over. Nothing is written."""

    def __str__(self) -> str:
        return "no longer ours, it was stopped, deleted or taken over"


@dataclass(frozen=True, slots=True)
class HandedOver:
    """This process is stopping: the answer goes back to the queue with what it has."""

    def __str__(self) -> str:
        return "handed over to another worker"


Outcome = Succeeded | Failed | Parked | Continued | Lost | HandedOver
