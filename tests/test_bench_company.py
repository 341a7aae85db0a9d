"""What `python -m bench.company` measures is there: a small company is filled, and each of its pages and calls opens."""

import pytest

from assistant.models import ChatSession, Message, Participant, UsageRecord
from bench.company import calls, filling

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_small_company_opens_all_its_pages(valkey_server):
    filling.fill(filling.Size(messages=400, sessions=20))
    assert (Message.objects.count(), ChatSession.objects.count()) == (400, 20)
    assert Participant.objects.filter(user__username="ada").count() == 5 and UsageRecord.objects.count() > 100
    assert [name for name, call in calls.calls() if call() is None] == [
        "the largest session: first piece of its export"
    ]
    assert Message.objects.count() == 400, "nothing stays"
