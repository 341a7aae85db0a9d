"""How the database reads where much is stored: by plans and counts. `python -m bench.company` has the times."""

import re

import pytest
from django.db import connection, transaction

from assistant.lifecycle import approving
from assistant.models import Message
from assistant.models.message import MessageRole, Status
from assistant.presentation import sidebar, snapshot
from assistant.worker.lease import Lease
from tests.plans import plans, rooms

pytestmark = pytest.mark.django_db(transaction=True)


def said(session, author, count):
    """Questions at one position after the other."""
    return Message.objects.bulk_create(
        Message(session=session, role=MessageRole.USER, author=author, content=f"number {i}", status=Status.SUCCESS,
                position=2 * i) for i in range(1, count + 1)
    )  # fmt: skip


@pytest.mark.parametrize(("page", "sign"), [(snapshot.page_before, "<"), (snapshot.page_after, ">")])
def test_a_page_of_messages_begins_in_the_index_where_it_begins(session, alice, page, sign):
    """An OR of two conditions has no beginning: all that follows was read for each page, and thrown away."""
    messages = said(session, alice, 400)
    with plans() as found:
        assert len(page(session, messages[200], 5).messages) == 5
    [plan] = [plan for plan in found if "message_order" in plan]
    assert re.search(rf'session_id.* AND \(?"?position"? ?{sign}', plan), plan
    assert "sort" not in plan.lower() and "temp" not in plan.lower()


@pytest.mark.parametrize("before", [False, True])
def test_a_list_of_sessions_reads_those_of_its_person_alone(alice, bob, before):
    """By an index of all sessions' times it walked through everybody's until it had met enough of one's own."""
    rooms(bob, 200, 1)
    mine = rooms(alice, 80, 1)
    with plans() as found:
        sidebar.listed(alice, before=mine[40] if before else None)
    [plan] = found
    uses = [line for line in plan.splitlines() if re.search(r"(SCAN|SEARCH|Scan.* on) assistant_chatsession", line)]
    assert uses and all("assistant_chatsession_" in line for line in uses), "by their ids"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's way to store")
def test_a_heartbeat_writes_no_index(worker):
    """Each two seconds, for each worker: beside the old row, and not once more in every index."""
    with transaction.atomic(), connection.cursor() as cursor:
        for load in range(5):
            assert Lease(worker, None, None, None).renew(load)
        cursor.execute("SELECT pg_stat_get_xact_tuples_hot_updated('assistant_workerprocess'::regclass)")
        assert cursor.fetchone() == (5,)


def test_what_waits_for_people_too_long_is_found_by_its_index(session, alice, settings):
    settings.ASSISTANT_APPROVAL_TIMEOUT = 60
    with plans() as found:
        approving.expire()
    assert "tool_call_asked" in found[0], found
