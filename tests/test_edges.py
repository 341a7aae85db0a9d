"""The table of legal changes of status, and that nothing else happens."""

import ast
from pathlib import Path

import pytest

from assistant.lifecycle import asking
from assistant.models import Message
from assistant.models.message import EDGES, UNFINISHED, MessageRole, Status
from tests.random_room import RandomRoom

ASSISTANT = Path(__file__).parents[1] / "assistant"
WRITERS = {"update", "create", "get_or_create", "update_or_create", "bulk_create", "bulk_update", "Message", "_write"}


@pytest.mark.django_db(transaction=True)
def test_every_change_of_status_that_happens_is_in_the_table_and_all_of_the_table_happens(
    session, alice, bob, frames
):
    seen = set()
    before = {}
    for seed in range(200, 212):
        room = RandomRoom(session, [alice, bob], seed, emit=lambda frame: None)
        for _ in range(60):
            name = room.step()
            for pk, role, status in Message.objects.values_list("pk", "role", "status"):
                if pk not in before:
                    assert status == Status.PENDING or role == MessageRole.USER, (name, role, status)
                    assert status in (Status.PENDING, Status.SUCCESS), (name, role, status)
                elif before[pk] != status:
                    assert (before[pk], status) in EDGES[role], (name, role, before[pk], status)
                    seen.add((role, before[pk], status))
                before[pk] = status
            assert session.messages.running().count() <= 1
        while running := session.messages.running().first():  # the next room's workers begin with nothing
            asking.cancel(running, alice)
        before |= dict(Message.objects.values_list("pk", "status"))
    rare = {
        (MessageRole.ASSISTANT, Status.PENDING, Status.ERROR)
    }  # a job lost after too many deaths: may not come by
    table = {(role, *edge) for role, edges in EDGES.items() for edge in edges}
    assert table - rare <= seen


def test_ends_are_final():
    for edges in EDGES.values():
        assert all(start in UNFINISHED for start, _ in edges)


def writes_of_status(path):
    """Lines of `path` on which a status is written: `update(status=...)` and its like, or `x.status = ...`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in WRITERS and any(keyword.arg == "status" for keyword in node.keywords):
                yield node.lineno
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AugAssign) and any(
            isinstance(target, ast.Attribute) and target.attr == "status" and not _is_self(target)
            for target in targets
        ):
            yield node.lineno


def _is_self(target):
    """`self.status = status` is an exception's or a response's own; the model has no such line (below)."""
    return isinstance(target.value, ast.Name) and target.value.id == "self"


def test_nothing_but_lifecycle_writes_a_status():
    others = ("lifecycle", "migrations", "llm")  # the models' room knows no messages: its statuses are HTTP's
    outside = [path for path in ASSISTANT.rglob("*.py") if path.parent.name not in others]
    found = [f"{path.relative_to(ASSISTANT)}:{line}" for path in outside for line in writes_of_status(path)]
    assert found == []
    assert "self.status = " not in (ASSISTANT / "models" / "message.py").read_text()


def test_the_scan_sees_the_writes_of_lifecycle():
    assert all(list(writes_of_status(ASSISTANT / "lifecycle" / f"{name}.py")) for name in ("endings", "asking"))


def test_every_write_of_a_status_is_conditional():
    """`update(status=...)` stands on a queryset that names what it expects, never on a bare primary key."""
    for path in (ASSISTANT / "lifecycle").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_update = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "update"
            if is_update and any(keyword.arg == "status" for keyword in node.keywords):
                condition = ast.unparse(node.func)
                assert any(
                    word in condition
                    for word in ("running()", "queued()", "held_by(", "open()", "asked()", "status=")
                ), condition
