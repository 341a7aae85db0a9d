"""Pages of a long conversation: before, after and around a message, without a gap or a double."""

import uuid

import pytest

from assistant.models import Message
from assistant.models.message import MessageRole, Status
from tests.calling import Caller, problem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def history(session, alice):
    """The ids of 60 questions with an answer each, and a second version of every tenth answer."""
    rows = []
    for i in range(60):
        question = Message(session=session, role=MessageRole.USER, author=alice, content=f"q{i}", status=Status.SUCCESS,
                           position=2 * i)  # fmt: skip
        rows.append(question)
        rows += [
            Message(session=session, role=MessageRole.ASSISTANT, reply_to=question, content=f"a{i}", status=Status.SUCCESS,
                    position=2 * i + 1) for _ in range(2 if i % 10 == 0 else 1)
        ]  # fmt: skip
    Message.objects.bulk_create(rows)
    return [str(pk) for pk in session.messages.in_order().values_list("pk", flat=True)]


@pytest.fixture
def page(session, alice):
    call = Caller(alice)

    def page(**query):
        body = call(
            "get", f"/sessions/{session.pk}/messages?" + "&".join(f"{k}={v}" for k, v in query.items())
        ).json()
        return [message["id"] for message in body["messages"]], body["has_more"], body["has_newer"]

    return page


@pytest.mark.parametrize("at", [0, 1, 7, 21, 63, 124, 125])
@pytest.mark.parametrize("limit", [1, 2, 9, 50])
def test_around_a_message_are_its_neighbours(history, page, at, limit):
    ids, has_more, has_newer = page(around=history[at], limit=limit)
    start = history.index(ids[0])
    assert history[at] in ids and ids == history[start : start + len(ids)]
    assert len(ids) <= limit and has_more == (start > 0)
    assert has_newer == (ids[-1] != history[-1])


@pytest.mark.parametrize("limit", [1, 13, 200])
def test_forwards_and_backwards_one_comes_by_everything_once(history, page, limit):
    seen, has_newer = [history[0]], True
    while has_newer:
        ids, has_more, has_newer = page(after=seen[-1], limit=limit)
        assert has_more
        seen += ids
    assert seen == history
    seen, has_more = [history[-1]], True
    while has_more:
        ids, has_more, _ = page(before=seen[0], limit=limit)
        seen = ids + seen
    assert seen == history


def test_an_anchor_must_be_here_and_alone(session, alice, history):
    call = Caller(alice)
    for name in ("before", "after", "around"):
        problem(call("get", f"/sessions/{session.pk}/messages?{name}={uuid.uuid4()}"), 422, "invalid")
    problem(call("get", f"/sessions/{session.pk}/messages?before={history[3]}&after={history[4]}"), 422, "invalid")
