"""The people: each session is kept busy by one who asks and one who watches; visitors come and go."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable

import httpx

from chaos.ledger import Ledger, Question
from tests.e2e.people import Person
from tests.e2e.viewer import Viewer
from tests.provider import expected_text

DEPTH = 3  # questions that a session may have open: one is answered, the others wait
RETRY_SECONDS = 0.3
ROUNDS = 2  # of answers that use tools
TOOLS = ("note", "note", "peek")  # of each round, the last one idempotent
RESUME_SHARE = 0.02  # of the looks, a few a second


def script(dice: random.Random, number: int, hurried: bool) -> tuple[str, bool]:
    """A model's name that says what the answer is and how fast it comes; and whether it fails. `hurried`: short ones."""
    rate = dice.choice((10, 20, 30, 40))
    seconds = dice.choice((1, 1.5, 2) if hurried else (1.5, 4, 6, 10))
    first = f"first={dice.choice((0.1, 0.5) if hurried else (0.1, 0.5, 2))}"
    tokens = max(10, int(rate * seconds))
    match dice.random():
        case share if share < 0.03:
            return f"openai/words-n60-rate={rate}-{first}-salt-{dice.choice(('cut', 'error'))}=30-tag={number}", True
        case share if share < 0.20:
            return f"openai/unicode-n{tokens}-rate={rate}-{first}-tag={number}", False
        case share if share < 0.35:
            return f"openai/markdown-n{tokens}-rate={rate}-{first}-tag={number}", False
        case share if share < 0.40:
            return f"openai/big={'4K' if hurried else '24K'}-pieces=80-rate=40-{first}-tag={number}", False
        case share if share < 0.65:
            # Two that must not be run twice, and one that may be. The tools count themselves.
            # Some take their time, so that deaths find them at work.
            long = [dice.choice((0.4, 1) if hurried else (0.4, 2, 5)) for _ in TOOLS]
            calls = "-".join(f"tool={tool}:key:k{number},seconds:{s:g}" for tool, s in zip(TOOLS, long, strict=True))
            return f"openai/words-n{tokens}-rate={rate}-{first}-salt-{calls}-rounds={ROUNDS}-tag={number}", False
    return f"openai/words-n{tokens}-rate={rate}-{first}-salt-tag={number}", False


class Numbers:
    """Gives out the questions, no faster than `may_ask` allows: so that the last kill finds as much to hit as the first."""

    def __init__(self, count: int, seed: int, hurried: bool, may_ask: Callable[[int], bool]) -> None:
        self.count = count
        self._seed, self._hurried, self._may_ask = seed, hurried, may_ask
        self._given = 0
        self._lock = threading.Lock()

    def next_question(self, session: str) -> Question | None:
        with self._lock:
            if self._given >= self.count or not self._may_ask(self._given):
                return None
            number, self._given = self._given, self._given + 1
        model, fails = script(random.Random(f"{self._seed}/question/{number}"), number, self._hurried)
        content = f"Question {number}?"
        return Question(number, session, content, model, expected_text(model, content), fails)

    @property
    def is_done(self) -> bool:
        return self._given >= self.count


class Room:
    """A session, the person who asks in it, and a viewer who stays."""

    def __init__(self, owner: Person, guest: Person, ledger: Ledger, numbers: Numbers, seed: str) -> None:
        self.owner, self.guest = owner, guest
        self.session = owner.new_session()
        owner.invite(self.session, guest)
        self.viewer = owner.view(self.session, lambda message: ledger.saw(message, stays=True))
        self._ledger, self._numbers = ledger, numbers
        self._dice = random.Random(seed)
        self._thread = threading.Thread(target=self._keep_busy, daemon=True)

    def start(self) -> None:
        self.viewer.join()
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def look_after_the_viewer(self) -> None:
        """A viewer that found the contract broken is replaced by a new one."""
        try:
            self.viewer.wait_for(lambda: True)
        except Exception as error:
            self._ledger.broken(error, f"viewer of {self.session}")
            self.viewer = Viewer(
                self.owner.url.replace("http", "ws", 1), self.owner.token, self.session,
                lambda message: self._ledger.saw(message, stays=True),
            )  # fmt: skip
            self.viewer.join()

    def _keep_busy(self) -> None:
        while not self._numbers.is_done:
            self.look_after_the_viewer()
            self._go_on()
            question = None
            if self._ledger.open(self.session) < DEPTH:
                question = self._numbers.next_question(self.session)
            if question is None:
                time.sleep(0.2)
                continue
            self._ledger.add(question)
            self._ask(question)
            time.sleep(self._dice.choice((0.0, 0.3, 1.5)))

    def _go_on(self) -> None:
        """After a failed answer the queue rests; at times somebody presses Resume."""
        resting = self.viewer.view.session.get("queue_paused_until")
        if resting and self._dice.random() < RESUME_SHARE:
            with contextlib.suppress(httpx.TransportError):
                self.owner.http.post(f"/api/sessions/{self.session}/resume", timeout=20)

    def _ask(self, question: Question) -> None:
        """Sends until the product says that it has it: as the page does, with the same `client_id` each time."""
        body = {"client_id": question.client_id, "content": question.content, "model": question.model}
        while True:
            try:
                answer = self.owner.http.post(f"/api/sessions/{self.session}/messages", json=body, timeout=20)
            except httpx.TransportError:
                time.sleep(RETRY_SECONDS)
                continue
            if answer.is_success:
                self._ledger.acknowledged(question, answer.json()["message"]["id"])
                return
            if answer.status_code < 500 and answer.status_code != 429:
                self._ledger.broken(AssertionError(answer.text), f"question {question.number} was refused")
                return
            if answer.status_code == 500:
                self._ledger.errors_500 += 1
            time.sleep(RETRY_SECONDS)


class Visitor:
    """Looks into one session after the other, at any moment of an answer."""

    def __init__(self, rooms: list[Room], ledger: Ledger, seed: str) -> None:
        self.visits = 0
        self._rooms, self._ledger = rooms, ledger
        self._dice = random.Random(seed)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._wander, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._leaving.set()
        self._thread.join(30)

    def _wander(self) -> None:
        while not self._leaving.is_set():
            room = self._dice.choice(self._rooms)
            viewer = room.guest.view(room.session, lambda message: self._ledger.saw(message, stays=False))
            try:
                viewer.join()
                self._leaving.wait(self._dice.uniform(0.2, 5))
                viewer.leave()
                self.visits += 1
            except Exception as error:
                self._ledger.broken(error, f"visitor of {room.session}")
                viewer.leave(quietly=True)
            self._leaving.wait(self._dice.uniform(0, 1))
