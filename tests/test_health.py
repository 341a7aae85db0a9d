"""What load balancers and operators ask: is it up, can it work, what is it doing."""

import pytest
from django.db import InterfaceError, OperationalError, connection
from prometheus_client.parser import text_string_to_metric_families

from assistant.lifecycle import asking
from assistant.models import WorkerProcess
from tests.acting import a_worker, answer_of, ask, claimed, fail, finish, kill
from tests.outage import database_away
from tests.product import free_port

pytestmark = pytest.mark.django_db(transaction=True)

FINE = {"status": "ok", "database": "ok", "redis": "ok", "workers": "ok"}


def ready(client):
    response = client.get("/readyz")
    return response.status_code, response.json()


@pytest.fixture
def redis_away(settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture
def refusing_writes(worker):
    """As where the disk is somebody else's, or the server is a standby."""
    is_sqlite = connection.vendor == "sqlite"

    def switch(on):
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA query_only = {on}" if is_sqlite else f"SET default_transaction_read_only = {on}")

    def begin():
        switch("on")

    yield begin
    switch("off")


# --- healthz ---


def test_healthz_is_200_as_long_as_the_process_answers(client, redis_away):
    with database_away():
        response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


# --- readyz ---


def test_readyz_is_200_if_all_parts_are_usable(client, worker):
    assert ready(client) == (200, FINE)


@pytest.mark.parametrize("stop", [kill, lambda worker: worker.delete()], ids=["silent", "never seen"])
def test_readyz_says_that_no_worker_is_alive(client, worker, stop):
    stop(worker)
    assert ready(client) == (503, FINE | {"status": "not ready", "workers": "no worker process is alive"})


def test_readyz_says_that_the_database_can_not_be_written(client, worker, refusing_writes):
    """Workers can't renew their leases then: it is not they who are at fault."""
    kill(worker)
    refusing_writes()
    assert ready(client) == (503, FINE | {"status": "not ready", "database": "not writable", "workers": "unknown"})


def test_to_try_whether_it_can_be_written_leaves_nothing(client, worker):
    kill(worker)
    before = set(WorkerProcess.objects.values_list("pk", flat=True))
    ready(client)
    assert set(WorkerProcess.objects.values_list("pk", flat=True)) == before


def test_a_worker_that_has_stopped_in_order_does_not_count(client, worker):
    WorkerProcess.objects.update(stopped_at=worker.started_at)
    assert ready(client)[0] == 503


def test_one_living_worker_is_enough(client, worker):
    kill(a_worker("other"))
    assert ready(client)[0] == 200


def test_readyz_says_that_redis_is_away(client, worker, redis_away):
    assert ready(client) == (503, FINE | {"status": "not ready", "redis": "not reachable"})


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_readyz_says_that_the_database_is_away(client, worker, kind):
    with database_away(kind):
        found = ready(client)
    assert found == (503, FINE | {"status": "not ready", "database": "not reachable", "workers": "unknown"})


def test_readyz_says_everything_that_is_away(client, redis_away):
    with database_away():
        status, found = ready(client)
    assert status == 503 and "ok" not in found.values()


def test_nobody_has_to_sign_in_for_them_and_they_set_no_cookie(client, worker):
    for url in ("/healthz", "/readyz", "/metrics"):
        response = client.get(url)
        assert response.status_code == 200 and not response.cookies, url


# --- metrics ---


def metrics(client):
    """{(name, labels): value} of the text that Prometheus reads."""
    response = client.get("/metrics")
    assert response.status_code == 200 and response["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def test_metrics_of_an_empty_installation_have_every_status_at_zero(client):
    found = metrics(client)
    statuses = ("pending", "processing", "success", "error", "cancelled")
    for status in statuses:
        assert found["parley_messages", ("assistant", status)] == found["parley_messages", ("user", status)] == 0
    assert found["parley_workers_alive", ()] == found["parley_turns", ()] == found["parley_turns_capacity", ()] == 0


def test_metrics_count_messages_by_status(client, session, alice, worker):
    finish(claimed(answer_of(ask(session, alice)), worker))
    fail(claimed(answer_of(ask(session, alice)), worker))
    asking.cancel(answer_of(ask(session, alice)), alice)
    claimed(answer_of(ask(session, alice)), worker)
    ask(session, alice, "waits")
    found = metrics(client)
    expected = {
        ("user", "success"): 4,
        ("user", "pending"): 1,
        ("user", "error"): 0,
        ("assistant", "success"): 1,
        ("assistant", "error"): 1,
        ("assistant", "cancelled"): 1,
        ("assistant", "processing"): 1,
        ("assistant", "pending"): 0,
    }
    assert {labels: found["parley_messages", labels] for labels in expected} == expected
    assert found["parley_failures", ("provider_error",)] == 1


def test_metrics_count_only_living_workers(client, worker):
    WorkerProcess.objects.update(load=3)
    dead = a_worker("other")
    WorkerProcess.objects.filter(pk=dead.pk).update(load=7)
    kill(dead)
    found = metrics(client)
    assert (found["parley_workers_alive", ()], found["parley_turns", ()]) == (1, 3)
    assert found["parley_turns_capacity", ()] == worker.concurrency


def test_metrics_do_not_need_redis(client, redis_away):
    assert ("parley_workers_alive", ()) in metrics(client)


def test_metrics_tell_nothing_that_people_wrote(client, session, alice):
    ask(session, alice, "a secret question")
    text = client.get("/metrics").content.decode()
    assert not any(private in text for private in ("secret", "alice", "A room", str(session.pk)))
