"""What the provider remembers of each request."""

import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from . import script as scripts
from .script import Script

KEPT_REQUESTS = 20_000
_SECRET_HEADERS = {"authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie"}


@dataclass
class Record:
    """One request to the model. Moments are CLOCK_MONOTONIC seconds: time.monotonic() of any process."""

    number: int
    model: str
    question: str
    stream: bool
    body: dict[str, Any]
    headers: dict[str, str]
    protocol: str = "openai"
    path: str = ""  # of the address that was asked, with its query
    is_lookup: bool = False  # asked about a model, not the model itself
    problem: str | None = None  # which rule of the protocol it broke, in the provider's words
    at: float = field(default_factory=time.monotonic)
    status: int | None = None
    tokens: int = 0
    # completed, refused (an HTTP error), disconnected (by the client), cut, reset, failed (an error in the
    # stream), stopped (the provider was), or None while it runs
    ended: str | None = None
    ended_at: float | None = None
    sent_at: "array[float]" = field(default_factory=lambda: array("d"))  # of each token
    due_at: "array[float]" = field(default_factory=lambda: array("d"))  # when the script wanted it
    held: bool = False

    def end(self, how: str) -> None:
        """The first ending counts."""
        if self.ended is None:
            self.ended, self.ended_at = how, time.monotonic()

    def as_json(self, with_times: bool) -> dict[str, Any]:
        late = max((sent - due for sent, due in zip(self.sent_at, self.due_at, strict=False)), default=0.0)
        plain = {key: value for key, value in vars(self).items() if key not in ("sent_at", "due_at")}
        plain |= {"first_sent_at": self.sent_at[0] if self.sent_at else None, "late_seconds": late}
        return plain | ({"sent_at": self.sent_at.tolist(), "due_at": self.due_at.tolist()} if with_times else {})


def redacted(headers: Any) -> dict[str, str]:
    return {name: "redacted" if name.lower() in _SECRET_HEADERS else value for name, value in headers.items()}


class Memory:
    """All requests since the last reset, the counts behind `fails`, and the posted scripts."""

    def __init__(self) -> None:
        self.records: deque[Record] = deque(maxlen=KEPT_REQUESTS)
        self.total = 0
        self._seen: Counter[tuple[str, ...]] = Counter()
        self._posted: dict[str, tuple[list[Script], bool]] = {}

    def reset(self) -> None:
        self.records.clear()
        self._seen.clear()
        self._posted.clear()

    def record(
        self, model: str, question: str, stream: bool, body: dict[str, Any], headers: Any, **more: Any
    ) -> Record:
        """Notes a request that has come."""
        made = Record(self.total, model, question, stream, body, redacted(headers), **more)
        self.total += 1
        self.records.append(made)
        return made

    def post(self, name: str, steps: list[Any], per_question: bool) -> None:
        """Raises ScriptError if a step is wrong."""
        if not steps:
            raise scripts.ScriptError("A posted script needs a step.")
        self._posted[name] = [scripts.from_step(step) for step in steps], per_question
        for key in [key for key in self._seen if key[0] == name]:
            del self._seen[key]

    def script_for(self, model: str, question: str, stream: bool) -> Script:
        """What this request meets; counts it. Raises ScriptError."""
        posted = self._posted.get(model)
        if posted:
            steps, per_question = posted
            number = self._count((model, "step", question if per_question else ""))
            return steps[min(number, len(steps) - 1)]
        found = scripts.parse(model)
        return found.on_attempt(self._count((model, "attempt", question, str(stream))))

    def peek(self, model: str) -> Script:
        """The script of a model, as its first request meets it. Raises ScriptError."""
        posted = self._posted.get(model)
        return posted[0][0] if posted else scripts.parse(model)

    def _count(self, key: tuple[str, ...]) -> int:
        self._seen[key] += 1
        return self._seen[key] - 1
