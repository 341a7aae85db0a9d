"""What was asked, and what the viewers saw of it. Many threads write here; moments are `time.monotonic()`."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tests.e2e.viewer import OPEN, Message


@dataclass(frozen=True, slots=True)
class Sight:
    """A change of an answer, as the viewer who stays saw it."""

    at: float
    attempt: int
    seq: int
    status: str

    @property
    def is_end(self) -> bool:
        return self.status not in OPEN

    def is_beyond(self, other: Sight | None) -> bool:
        if other is None:
            return True
        return self.is_end > other.is_end or (self.attempt, self.seq) > (other.attempt, other.seq)


@dataclass
class Question:
    """One question and what its answer must be."""

    number: int
    session: str
    content: str
    model: str
    expected: str  # the text that the provider sends for it, up to the fault if its script has one
    fails: bool  # its script has a fault: the answer ends with an error, and this text
    id: str = ""  # known once the product has said that it has it
    answer: str = ""
    sights: list[Sight] = field(default_factory=list)

    @property
    def client_id(self) -> str:
        return f"chaos-{self.number}"

    @property
    def is_over(self) -> bool:
        return bool(self.sights) and self.sights[-1].is_end


class Ledger:
    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.wrong: list[str] = []  # shown to a viewer and no beginning of the right text, or against the contract
        self.errors_500 = 0  # answers to a send that should have been a sentence
        self._by_id: dict[str, Question] = {}
        self._by_answer: dict[str, Question] = {}
        self._lock = threading.Lock()

    def add(self, question: Question) -> None:
        with self._lock:
            self.questions.append(question)

    def acknowledged(self, question: Question, message_id: str) -> None:
        with self._lock:
            question.id = message_id
            self._by_id[message_id] = question

    def of_answer(self, answer_id: str) -> Question | None:
        return self._by_answer.get(answer_id)

    def open(self, session: str) -> int:
        """How many questions of the session have no ended answer."""
        with self._lock:
            return sum(q.session == session and not q.is_over for q in self.questions)

    @property
    def over(self) -> int:
        with self._lock:
            return sum(q.is_over for q in self.questions)

    def saw(self, message: Message, stays: bool) -> None:
        """A viewer shows this message now. Called by viewers' threads after each change."""
        if message["role"] != "assistant":
            return
        with self._lock:
            question = self._by_id.get(message["reply_to"])
            if question is None:
                return  # its acknowledgement is still on the way; the next change is noted
            question.answer = message["id"]
            self._by_answer[message["id"]] = question
            if not question.expected.startswith(message["content"]):
                self.wrong.append(f"{message['id']} showed {message['content'][-80:]!r} (question {question.number})")
            sight = Sight(time.monotonic(), message["attempt"], message["seq"], message["status"])
            if stays and (not question.sights or sight.is_beyond(question.sights[-1])):
                question.sights.append(sight)

    def broken(self, error: BaseException, who: str) -> None:
        with self._lock:
            self.wrong.append(f"{who}: {type(error).__name__}: {str(error)[:500]}")

    def last_sight(self, answer_id: str) -> Sight | None:
        question = self._by_answer.get(answer_id)
        with self._lock:
            return question.sights[-1] if question and question.sights else None


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile. Raises IndexError for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
