"""The table of legal changes of status, and that nothing else happens."""

import ast
from pathlib import Path

import pytest

from assistant import statements
from assistant.lifecycle import answering, asking, recovery
from assistant.lifecycle.answering import Written
from assistant.models.message import EDGES, UNFINISHED, Message, MessageRole, Status
from tests.acting import a_worker, answer_of, ask, claimed, fail, finish, now

ASSISTANT = Path(__file__).parents[1] / "assistant"
WRITERS = {"update", "create", "get_or_create", "update_or_create", "bulk_create", "bulk_update", "Message", "_write"}
CONDITIONS = ("running()", "queued()", "steering()", "held_by(", "open()", "asked()", "status=", "status__in=")


QUESTION, ANSWER = MessageRole.USER, MessageRole.ASSISTANT
PENDING, PROCESSING = Status.PENDING, Status.PROCESSING
SUCCESS, ERROR, CANCELLED = Status.SUCCESS, Status.ERROR, Status.CANCELLED
# A way along each edge, for the running answer (claimed where it begins at processing) and the question behind it.
# That nothing goes another way, whatever happens: `session_invariants.py`.
WAYS = {
    (QUESTION, PENDING, SUCCESS): lambda answer, claim, waiting, by: asking.cancel(answer, by),
    (QUESTION, PENDING, CANCELLED): lambda answer, claim, waiting, by: asking.withdraw(waiting),
    (ANSWER, PENDING, PROCESSING): lambda answer, claim, waiting, by: claimed(answer, a_worker()),
    (ANSWER, PENDING, CANCELLED): lambda answer, claim, waiting, by: asking.cancel(answer, by),
    (ANSWER, PENDING, ERROR): lambda answer, claim, waiting, by: recovery.give_up(answer),
    (ANSWER, PROCESSING, SUCCESS): lambda answer, claim, waiting, by: finish(claim),
    (ANSWER, PROCESSING, ERROR): lambda answer, claim, waiting, by: fail(claim),
    (ANSWER, PROCESSING, CANCELLED): lambda answer, claim, waiting, by: asking.cancel(answer, by),
    (ANSWER, PROCESSING, PENDING): lambda answer, claim, waiting, by: answering.hand_over(claim, Written("", 0)),
}


@pytest.mark.parametrize(("role", "start", "end"), [(role, *edge) for role in EDGES for edge in sorted(EDGES[role])])
@pytest.mark.django_db(transaction=True)
def test_each_change_in_the_table_happens(session, alice, bob, worker, role, start, end):
    answer, waiting = answer_of(ask(session, alice)), ask(session, bob).message
    changed = waiting if role == QUESTION else answer
    claim = claimed(answer, worker) if start == PROCESSING else None
    assert now(changed).status == start
    WAYS[role, start, end](answer, claim, waiting, alice)
    assert now(changed).status == end


def test_ends_are_final():
    for edges in EDGES.values():
        assert all(start in UNFINISHED for start, _ in edges)


def writes_of_status(path):
    """Lines of `path` on which a status is or may be written: `update(status=...)`, `update(**changes)` and their like, or
    `x.status = ...`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in WRITERS and _may_name_a_status(node):
                yield node.lineno
            if name == "store" and any(getattr(word, "value", "") == "status" for word in node.args):
                yield node.lineno
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AugAssign) and any(
            isinstance(target, ast.Attribute) and target.attr == "status" and not _is_self(target)
            for target in targets
        ):
            yield node.lineno


def _may_name_a_status(call):
    """It names one, or is of messages or of it is not known what, and names its columns elsewhere."""
    is_another_s = "create" in ast.unparse(call.func) and "essage" not in ast.unparse(call.func)
    return any(word.arg == "status" or (word.arg is None and not is_another_s) for word in call.keywords)


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
    for name in ("asking", "claiming", "endings"):
        assert list(writes_of_status(ASSISTANT / "lifecycle" / f"{name}.py")), name


def test_every_write_of_a_status_is_conditional():
    """`update(status=...)` stands on a queryset that names what it expects, never on a bare primary key."""
    found = 0
    for path in (ASSISTANT / "lifecycle").glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                is_update = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "update"
                if is_update and _may_name_a_status(node):
                    queryset = _spelled_out(node.func.value, function)
                    is_of_messages = "Message." in queryset or ".messages" in queryset
                    assert not is_of_messages or any(word in queryset for word in CONDITIONS), f"{path}: {queryset}"
                    found += is_of_messages
    assert found > 5


@pytest.mark.django_db(transaction=True)
def test_every_compiled_write_of_a_status_is_conditional_and_lifecycle_s(session, alice, worker):
    finish(claimed(answer_of(ask(session, alice)), worker))  # some are made when they are needed
    updates = [one for one in statements.declared if isinstance(one, statements.Update) and one.model is Message]
    places = set()
    for update in updates:
        sql, _ = update.sql(update.compiled("default"))
        written, _, found = sql.partition(" WHERE ")
        if '"status" =' in written:
            assert '"status"' in found, sql
            places.add(Path(update._build.__code__.co_filename).relative_to(ASSISTANT).as_posix())
    assert places == {"lifecycle/claiming.py", "lifecycle/endings.py"}


def _spelled_out(expression, function):
    """The expression's text, with that of what its names stand for in the function."""
    names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    meant = [
        _spelled_out(node.value, function)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and any(getattr(target, "id", "") in names for target in node.targets)
        and names.isdisjoint(inner.id for inner in ast.walk(node.value) if isinstance(inner, ast.Name))
    ]
    return " ".join([ast.unparse(expression), *meant])
