"""Two hosts whose clocks are an hour off, each in its way, and one that jumps: one product all the same."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest

from tests.product import ROOT, free_port
from tests.provider import ProviderProcess

from .people import Person, tagged
from .running import Product, running

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

HOUR = 3600
WEB = ["-m", "assistant.web", "--host", "127.0.0.1", "--application", "project.asgi:application", "--port"]


class OtherHost:
    """A web server and a worker of the same product, with a clock of their own."""

    def __init__(self, product: Product, clock: Path) -> None:
        self.product, self.clock = product, clock
        self.log = clock.with_suffix(".log")
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        commands = ([*WEB, str(port)], ["manage.py", "worker"])
        self._started = [self._start(command) for command in commands]
        product.wait_for(self._is_up)

    def _start(self, command: list[str]) -> psutil.Popen:
        with self.log.open("ab") as log:
            return psutil.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def environment(self) -> dict[str, str]:
        return self.product.environment | {"CLOCK_FILE": str(self.clock)}

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True
        ).stdout

    def _is_up(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/healthz", trust_env=False) is not None
        return False

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Its worker."""
        with frozen(self._started[1]):
            yield

    def end(self) -> None:
        for process in self._started:
            family = [process, *process.children(recursive=True)]
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
                process.wait(30)
            for one in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()


@contextlib.contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    family = [process, *process.children(recursive=True)]
    for one in family:
        one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGCONT)


def set_clock(clock: Path, off: float) -> None:
    clock.with_suffix(".new").write_text(str(off))
    clock.with_suffix(".new").rename(clock)


def hours_off(person: Person) -> int:
    """Of the clock of the web server to which they speak, as it dates what it exports."""
    told = person.http.get(f"/api/sessions/{person.new_session()}/export").text
    date = re.search(r"exported (\S+ \S+) UTC", told)
    assert date, told
    said = datetime.strptime(date[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    return round((said - datetime.now(UTC)).total_seconds() / HOUR)


def is_answered(person: Person, times: int = 3) -> None:
    answers = [person.asked(person.new_session(tagged("words-n5"))) for _ in range(times)]
    for answer in answers:
        assert person.wait_for_end(answer, 30)["status"] == "success"


def test_an_hour_ahead_and_an_hour_behind_everything_is_answered(provider: ProviderProcess, tmp_path: Path) -> None:
    ahead, behind = tmp_path / "ahead", tmp_path / "behind"
    set_clock(ahead, HOUR)
    set_clock(behind, -HOUR)
    settings = {"DJANGO_SETTINGS_MODULE": "tests.e2e.off_clock", "CLOCK_FILE": str(ahead)}
    with (
        running(provider, **settings, ASSISTANT_WORKERS="1", ASSISTANT_QUEUE_PAUSE="4") as product,
        contextlib.ExitStack() as stack,
    ):
        [early] = [stack.enter_context(person) for person in product.people("alice")]
        other = OtherHost(product, behind)
        stack.callback(other.end)
        late = stack.enter_context(Person(other.url, early.name, early.token))
        product.wait_for(lambda: len(product.workers()) == 2)
        assert (hours_off(early), hours_off(late)) == (1, -1)

        for still in (other.standing_still, product.frozen_workers):
            with still():  # so that a worker of the one host answers what either host's web server was asked
                is_answered(early)
                is_answered(late)

        a_pause_ends_in_time(product, provider, early, late)
        a_lost_job_is_found(product, other, early)
        a_dead_hosts_answer_goes_on(product, other, early, provider)
        for off in (-5, 1):
            set_clock(ahead, off * HOUR)
            assert hours_off(early) == off
            is_answered(early)
            is_answered(late)


def a_pause_ends_in_time(product: Product, provider: ProviderProcess, *askers: Person) -> None:
    """Whichever worker writes its end, and whichever looks whether it is over."""
    for asker in askers:
        model = tagged("words-n9-hold=2-cut=4")
        session = asker.new_session(model)
        failing = asker.asked(session)
        assert asker.ask(session, "And then?", model=tagged("words-n5"))["reply"] is None
        asker.wait_for_text(failing, "w0 w1")
        provider.release(model)
        assert asker.wait_for_end(failing)["status"] == "error"
        answer = product.wait_for(lambda asker=asker, session=session: second_answer(asker, session), 30)
        assert asker.wait_for_end(answer)["status"] == "success"


def second_answer(person: Person, session: str) -> str | None:
    answers = [message["id"] for message in person.messages(session) if message["role"] == "assistant"]
    return str(answers[1]) if len(answers) > 1 else None


def a_lost_job_is_found(product: Product, other: OtherHost, person: Person) -> None:
    with product.frozen_workers(), other.standing_still():
        answer = person.asked(person.new_session(tagged("words-n5")))
        product.manage("shell", "--no-imports", "-c", "from django_q.models import OrmQ; OrmQ.objects.all().delete()")
        set_clock(other.clock, 0)
        found = other.manage("cleanup_messages", "--dry-run", "--older-than", "0")
        set_clock(other.clock, -HOUR)
        assert answer in found and "its job is not in the queue" in found
    assert person.wait_for_end(answer, 30)["status"] == "success"


def a_dead_hosts_answer_goes_on(
    product: Product, other: OtherHost, person: Person, provider: ProviderProcess
) -> None:
    """It stands still for longer than a lease, as far as anybody else can see."""
    model = tagged("words-n5-hold=2")
    with other.standing_still():
        answer = person.asked(person.new_session(model))
        person.wait_for_text(answer, "w0 w1")
    with product.frozen_workers():
        person.wait_for(answer, lambda message: message["attempt"] == 2, 40)
        provider.release(model)
        assert person.wait_for_end(answer, 30)["status"] == "success"
