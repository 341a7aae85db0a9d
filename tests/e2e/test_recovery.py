"""Kill -9 anything: the same answer goes on by itself, and in the end it is right to the letter."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product, running
from .viewer import Viewer

TEXT = "words-n60"
SPEED = {"ASSISTANT_HEARTBEAT": "0.5", "ASSISTANT_LEASE": "4", "ASSISTANT_MAX_ATTEMPTS": "4", "ASSISTANT_GRACE": "1"}


@pytest.fixture(scope="module")
def product(provider: ProviderProcess) -> Iterator[Product]:
    with running(provider, DJANGO_SETTINGS_MODULE="tests.e2e.patient", **SPEED) as process:
        yield process


@pytest.fixture(scope="module")
def alice(product: Product) -> Iterator[Person]:
    (person,) = product.people("alice")
    with person:
        yield person


@pytest.fixture(autouse=True)
def all_workers_are_up(product: Product) -> None:
    """Each test begins with the full number of workers, whatever the one before has killed."""
    product.wait_for(lambda: len(product.workers()) == 2 and all(map(is_up, product.workers())), 60)


def is_up(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def interrupted_model(provider: ProviderProcess, attempts: int = 1) -> str:
    """A model that stops for ever in the middle of its first `attempts` answers, and then writes a whole one."""
    name = tagged("x").rpartition("=")[2]
    return provider.script(f"mid-{name}", [f"{TEXT}-silence=30"] * attempts + [f"{TEXT}-rate=200"])


def half_written(alice: Person, model: str) -> tuple[str, str]:
    """A session and its answer, of which the first half is written and shown."""
    session = alice.new_session(model)
    answer = alice.asked(session)
    alice.wait_for_text(answer, expected_text("words-n30"))
    return session, answer


def assert_goes_on(viewer: Viewer, answer: str, attempt: int, since: float) -> float:
    """The answer is written anew by attempt `attempt`, seen by the viewer as a reset; returns the seconds until then."""
    viewer.wait_for(lambda: viewer.view.messages.get(answer, {}).get("attempt", 0) >= attempt)
    seconds = time.monotonic() - since
    ended = viewer.wait_for_end(answer)
    assert (ended["status"], ended["content"]) == ("success", expected_text(TEXT)), ended
    assert ended["attempt"] == attempt
    assert viewer.view.endings[answer].text == expected_text(TEXT)
    return seconds


def test_one_worker_killed_in_mid_answer(provider: ProviderProcess, product: Product, alice: Person) -> None:
    """What it thought before is written again as well, and not doubled."""
    name = tagged("x").rpartition("=")[2]
    first, second = f"{TEXT}-think=6-silence=36", f"{TEXT}-think=4-rate=200"
    session, answer = half_written(alice, provider.script(f"mid-{name}", [first, second]))
    worker = product.worker_of(answer)
    assert worker
    with alice.view(session) as viewer:
        since = time.monotonic()
        worker.kill()
        seconds = assert_goes_on(viewer, answer, 2, since)
        assert viewer.view.seen["message.reset"] == 1 and not viewer.codes
        assert viewer.view.endings[answer].thoughts == "r0 r1 r2 r3"
    assert alice.message(answer)["reasoning"]["content"] == "r0 r1 r2 r3"
    print(f"one worker killed: {seconds:.2f} s")


def test_both_workers_killed_with_many_answers(provider: ProviderProcess, product: Product, alice: Person) -> None:
    halves = [half_written(alice, interrupted_model(provider)) for _ in range(6)]
    viewers = [alice.view(session).join() for session, _ in halves]
    since = time.monotonic()
    for worker in product.workers():
        worker.kill()
    seconds = [assert_goes_on(v, answer, 2, since) for v, (_, answer) in zip(viewers, halves, strict=True)]
    for viewer in viewers:
        viewer.leave()
    print("both workers killed:", [f"{s:.2f} s" for s in seconds])


def test_the_same_answer_killed_three_times(provider: ProviderProcess, product: Product, alice: Person) -> None:
    session, answer = half_written(alice, interrupted_model(provider, attempts=3))
    with alice.view(session) as viewer:
        for attempt in (1, 2, 3):
            viewer.wait_for(
                lambda attempt=attempt: (
                    viewer.view.messages[answer]["attempt"] == attempt
                    and viewer.view.text(answer) == expected_text("words-n30")
                )
            )
            worker = product.wait_for(lambda: product.worker_of(answer))
            since = time.monotonic()
            worker.kill()
        assert_goes_on(viewer, answer, 4, since)


def test_a_sentinel_killed_in_mid_answer(provider: ProviderProcess, product: Product, alice: Person) -> None:
    session, answer = half_written(alice, interrupted_model(provider))
    worker = product.worker_of(answer)
    assert worker
    sentinel = worker.parent()
    assert sentinel and sentinel.pid != product.child("manage.py worker").pid
    with alice.view(session) as viewer:
        since = time.monotonic()
        sentinel.kill()
        seconds = assert_goes_on(viewer, answer, 2, since)
    print(f"sentinel killed: {seconds:.2f} s")
    product.wait_for(lambda: not is_up(worker))


def test_a_pusher_or_monitor_killed_harms_nobody(product: Product, alice: Person) -> None:
    workers = product.workers()
    for worker in workers:
        sentinel = worker.parent()
        assert sentinel
        for sibling in sentinel.children():
            if sibling.pid != worker.pid:
                sibling.kill()
    for _ in range(4):
        answer = alice.wait_for_end(alice.asked(alice.new_session()))
        assert answer["status"] == "success"


def test_an_idle_worker_killed_takes_no_question_along(product: Product, alice: Person) -> None:
    for worker in product.workers():
        worker.kill()
    since = time.monotonic()
    for _ in range(3):
        assert alice.wait_for_end(alice.asked(alice.new_session()))["status"] == "success"
    print(f"three questions after both idle workers were killed: {time.monotonic() - since:.2f} s")


@pytest.mark.long
def test_the_whole_worker_command_killed(provider: ProviderProcess, product: Product, alice: Person) -> None:
    """Its workers go on without it until there are others; only then are answers handed over, and the old ones end."""
    model = tagged("words-n300-rate=30-hold=250")  # not over before there are others, however long they take
    session = alice.new_session(model)
    family = product.child("manage.py worker").children(recursive=True)
    with alice.view(session) as viewer:
        answer = alice.asked(session)
        viewer.wait_for(lambda: viewer.view.text(answer))
        product.child("manage.py worker").kill()
        since, seen = time.monotonic(), viewer.view.text(answer)
        viewer.wait_for(lambda: len(viewer.view.text(answer)) > len(seen) + 50)  # more than what was on its way
        assert viewer.view.messages[answer]["attempt"] == 1
        print(f"manage.py worker killed: the text went on within {time.monotonic() - since:.2f} s")
        product.wait_for(lambda: not any(map(is_up, family)), 60)
        provider.release(model)
        ended = viewer.wait_for_end(answer)
    assert (ended["status"], ended["content"]) == ("success", expected_text(model))
    assert ended["attempt"] == 2


@pytest.mark.long
def test_a_worker_killed_while_there_is_no_supervisor(
    provider: ProviderProcess, product: Product, alice: Person
) -> None:
    """Another takes its answer over. What the orphaned sentinel starts in its place is no reason for that one to go."""
    model = interrupted_model(provider)
    serve, supervisor = product.process, product.child("manage.py worker")
    family = supervisor.children(recursive=True)
    sentinels = supervisor.children()

    def starts() -> list[psutil.Process]:
        """What the orphaned sentinels have started since."""
        return [child for sentinel in sentinels if is_up(sentinel) for child in sentinel.children(recursive=True)]

    _, answer = half_written(alice, model)
    serve.suspend()  # or it would start a supervisor
    try:
        since = len(product.said)
        supervisor.kill()
        product.wait_for(lambda: sum("The supervisor is gone" in line for line in product.said[since:]) == 2)
        victim = product.worker_of(answer)
        assert victim
        victim.kill()
        began = time.monotonic()
        ended = alice.wait_for_end(answer, 120)
        print(f"a worker killed while there is no supervisor: whole after {time.monotonic() - began:.2f} s")
        assert (ended["status"], ended["content"], ended["attempt"]) == ("success", expected_text(TEXT), 2)
        assert not [line for line in product.said[since:] if "hands over its turns and ends" in line]
    finally:
        serve.resume()
    product.wait_for(lambda: not any(map(is_up, [*family, *starts()])), 60)  # the next supervisor's are there


@pytest.mark.long
def test_workers_whose_supervisor_and_serve_are_gone_end_by_themselves(
    provider: ProviderProcess, product: Product, alice: Person
) -> None:
    """Nobody will start others: what they hold goes back to the queue, for whoever comes."""
    _, answer = half_written(alice, interrupted_model(provider))
    supervisor = product.child("manage.py worker")
    family = supervisor.children(recursive=True)
    serve = product.process
    serve.suspend()  # or it would start another one in between
    supervisor.kill()
    serve.kill()
    product.wait_for(lambda: not any(map(is_up, family)), 60)
    product.stop()
    rows = product.rows("SELECT status, attempt FROM assistant_message WHERE status IN ('pending', 'processing')")
    assert rows == [("pending", 1)]
    product.start()
    assert alice.wait_for_end(answer)["content"] == expected_text(TEXT)


def test_valkey_killed_in_mid_answer(provider: ProviderProcess, product: Product, alice: Person) -> None:
    if "REDIS_URL" in product.environment:
        pytest.skip("The Redis that REDIS_URL names is not ours to kill.")
    model = tagged(f"{TEXT}-hold=30")
    session, answer = half_written(alice, model)
    with alice.view(session) as viewer:
        product.child("valkey").kill()
        provider.release(model)
        assert alice.wait_for_end(answer)["content"] == expected_text(TEXT)
        assert viewer.wait_for_end(answer)["content"] == expected_text(TEXT), "the viewer had to do something for it"
    again = alice.asked(session, model=tagged("words-n3"))
    assert alice.wait_for_end(again)["status"] == "success"


def test_the_web_server_killed_in_mid_answer(provider: ProviderProcess, product: Product, alice: Person) -> None:
    model = tagged(f"{TEXT}-hold=30")
    session, answer = half_written(alice, model)
    with alice.view(session) as viewer:
        since = time.monotonic()
        product.child("assistant.web").kill()
        viewer.wait_for(lambda: viewer.joins == 2)
        print(f"web server killed: joined again after {time.monotonic() - since:.2f} s")
        assert viewer.view.text(answer) == expected_text("words-n30")
        provider.release(model)
        assert viewer.wait_for_end(answer)["content"] == expected_text(TEXT)
        assert viewer.view.messages[answer]["attempt"] == 1


@pytest.mark.long
def test_a_deploy_hands_over_what_is_not_finished_in_time(
    provider: ProviderProcess, product: Product, alice: Person
) -> None:
    """A short answer is finished before the stop; a long one goes back to the queue, without a lease to wait for."""
    session, answer = half_written(alice, interrupted_model(provider))
    model = tagged(f"{TEXT}-hold=30")
    _, short = half_written(alice, model)
    since = time.monotonic()
    provider.release(model)
    assert product.stop() == 0
    stopped = time.monotonic() - since
    rows = product.rows("SELECT status, attempt FROM assistant_message WHERE status IN ('pending', 'processing')")
    assert rows == [("pending", 1)], "stopping gives an answer back; nobody has to find out that its worker is gone"
    started = product.start()
    since = time.monotonic()
    with alice.view(session) as viewer:
        assert_goes_on(viewer, answer, 2, since)
    print(f"stopped in {stopped:.1f} s, ready after {started:.1f} s, whole {time.monotonic() - since:.2f} s later")
    ended = alice.message(short)
    assert (ended["status"], ended["content"], ended["attempt"]) == ("success", expected_text(TEXT), 1)


def test_everything_killed_at_once(provider: ProviderProcess, product: Product, alice: Person) -> None:
    halves = [half_written(alice, interrupted_model(provider)) for _ in range(3)]
    queued = alice.ask(halves[0][0], "And then?", model=tagged("words-n4"))["message"]["id"]
    for process in product.processes():
        process.kill()
    product.stop()
    started = product.start()
    since = time.monotonic()
    for _, answer in halves:
        ended = alice.wait_for_end(answer)
        assert (ended["status"], ended["content"], ended["attempt"]) == ("success", expected_text(TEXT), 2)
    print(f"all killed: ready after {started:.1f} s, all answers whole {time.monotonic() - since:.2f} s later")
    alice.wait_for(queued, lambda message: message["status"] == "success")
    reply = next(m for m in alice.messages(halves[0][0]) if m["reply_to"] == queued)
    assert alice.wait_for_end(reply["id"])["content"] == expected_text("words-n4")


def test_an_answer_whose_workers_always_die_is_given_up(
    provider: ProviderProcess, product: Product, alice: Person
) -> None:
    session, answer = half_written(alice, interrupted_model(provider, attempts=9))
    with alice.view(session) as viewer:
        for attempt in range(1, int(SPEED["ASSISTANT_MAX_ATTEMPTS"]) + 1):
            viewer.wait_for(
                lambda attempt=attempt: (
                    viewer.view.messages[answer]["attempt"] == attempt
                    and viewer.view.text(answer) == expected_text("words-n30")
                )
            )
            product.wait_for(lambda: product.worker_of(answer)).kill()
        ended = viewer.wait_for_end(answer)
    assert (ended["status"], ended["error"]["code"]) == ("error", "abandoned")
    assert ended["content"] == expected_text("words-n30")


def test_no_turn_failed_by_a_fault_of_ours(product: Product) -> None:
    """What dies may be told with a traceback; a turn that was ended by an error of this program's may not be."""
    assert not [line for line in product.said if "assistant.worker.turn" in line and "ERROR" in line]
