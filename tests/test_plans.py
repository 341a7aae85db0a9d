"""How the database reads where much is stored: by plans and counts. `python -m bench.company` has the times."""

import re

import pytest

from assistant.models import Message
from assistant.models.message import MessageRole, Status
from assistant.presentation import snapshot
from tests.plans import plans

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
