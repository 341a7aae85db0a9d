"""How the database reads where much is stored: by plans and counts. `python -m bench.company` has the times."""

import re

import pytest

from assistant.models import Message
from assistant.models.message import MessageRole, Status
from assistant.presentation import sidebar, snapshot
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
    messages = said(session, alice, 20)
    with plans() as found:
        assert len(page(session, messages[10], 5).messages) == 5
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
