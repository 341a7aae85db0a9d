"""Statements that are compiled once say what the ORM says, and read what the ORM reads."""

from __future__ import annotations

import decimal
import itertools
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Count
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from assistant.lifecycle import asking, endings
from assistant.models import ChatSession, Message, Participant, UsageRecord
from assistant.models.ids import new_id
from assistant.models.message import MessageRole
from assistant.statements import Delete, Insert, Select, Update, Values, declared, insert, store
from assistant.statements.statement import Param
from tests.acting import answer_of, ask, now

pytestmark = pytest.mark.django_db(transaction=True)

OURS = tuple(declared)  # those of the product, before a test declares its own


NUMBERS = itertools.count(7)  # the ORM takes equal values of an IN for one


def sample(field: models.Field[Any, Any]) -> Any:
    """A value that such a field may have, and that no other test's row has."""
    if isinstance(field, models.ForeignKey):
        return sample(field.target_field)
    kinds: list[tuple[type, Any]] = [
        (models.UUIDField, uuid.uuid4()),
        (models.BooleanField, True),
        (models.DateTimeField, timezone.now()),
        (models.DateField, timezone.localdate()),
        (models.JSONField, {"a": [1, "ü"]}),
        (models.DecimalField, decimal.Decimal("1.5")),
        (models.FloatField, 1.5),
        (models.CharField, "queued"),
        (models.TextField, "text"),
        (models.IntegerField, next(NUMBERS)),
        (models.AutoField, next(NUMBERS)),
    ]
    return next(value for kind, value in kinds if isinstance(field, kind))


def values_of(statement: Any) -> dict[str, Any]:
    _, params = statement.sql(statement.compiled("default"))
    return {param.name: sample(param.output_field) for param in params if isinstance(param, Param)}


def same(bound: Any, plain: Any) -> bool:
    """JSON is wrapped by psycopg's adapter, which compares by identity."""
    return getattr(bound, "obj", bound) == getattr(plain, "obj", plain)


def test_each_statement_of_the_product_says_what_the_orm_says():
    inserts = (Insert(Message), Insert(OrmQ), Insert(UsageRecord, is_lenient=True))
    many = (
        *OURS,
        *inserts,
        endings._update(("status", "html", "worker", "version"), True),
        endings._update(("job",), False),
    )
    assert len(many) >= 9
    for statement in many:
        with transaction.atomic():  # which a statement that locks rows is compiled in
            values = values_of(statement)
            sql, params = statement.bound("default", values)
            plain_sql, plain_params = statement.plainly("default", values)
        assert sql.replace("(%s)", "%s") == plain_sql.replace("(%s)", "%s") and len(params) == len(plain_params), sql
        assert all(map(same, params, plain_params)), sql


def test_no_hot_statement_depends_on_a_table_that_is_not_there():
    with transaction.atomic():
        for statement in OURS:
            with statement._execute("default", values_of(statement)):
                pass


def test_rows_are_read_as_the_orm_reads_them(session, alice):
    answer = answer_of(ask(session, alice))

    def found(pk: Any) -> models.QuerySet[Message]:
        rows = Message.objects.filter(pk=pk).select_related("reply_to__author", "session", "stopped_by")
        return rows.only(
            "content", "html", "created_at", "reply_to__author", "session__title", "stopped_by"
        ).annotate(people=Count("session__participants"))

    read = Select(Message, lambda p: found(p("id")))
    [plain], [compiled] = list(found(answer.pk)), read.all(id=answer.pk)
    for one in (plain, compiled):
        assert one.get_deferred_fields() and one.people == session.participants.count() and one.stopped_by is None
    assert plain.get_deferred_fields() == compiled.get_deferred_fields()
    for name in ("pk", "content", "html", "created_at"):
        assert getattr(plain, name) == getattr(compiled, name), name
    assert compiled.reply_to.author == alice and compiled.session.title == session.title
    assert read.one(id=uuid.uuid4()) is None


def test_a_statement_is_compiled_once(session, alice, monkeypatch):
    compiled = []
    real = Select.compile
    monkeypatch.setattr(Select, "compile", lambda self, *args: compiled.append(self) or real(self, *args))
    read = Select(ChatSession, lambda p: ChatSession.objects.filter(pk=p("id")))
    assert [read.one(id=session.pk), read.one(id=session.pk)] == [session, session]
    assert compiled == [read]


def test_a_send_and_an_ending_compile_nothing_twice(session, alice, worker, django_assert_num_queries):
    """The second time every statement of the way is known; what is counted is what the database is asked."""
    from tests.acting import claimed, finish

    finish(claimed(answer_of(ask(session, alice)), worker))
    with django_assert_num_queries(10):  # BEGIN and COMMIT among them
        sent = ask(session, alice)
    claim = claimed(answer_of(sent), worker)
    with django_assert_num_queries(8):
        finish(claim)


def test_a_delete_says_how_many_rows_are_gone(session, alice):
    drop = Delete(Participant, lambda p: Participant.objects.filter(session_id=p("session")))
    people = session.participants.count()
    assert drop.run(session=session) == people > 1 and drop.run(session=session) == 0


def test_values_are_read_with_their_converters(session, alice):
    ask(session, alice)
    counted = Values(
        Message,
        lambda p: (
            Message.objects.filter(session_id=p("session")).order_by().values("session_id").annotate(n=Count("id"))
        ),
    )
    assert counted.all(session=session) == [{"session_id": session.pk, "n": 2}]
    assert counted.one(session=uuid.uuid4()) is None


def test_an_update_says_how_many_rows_it_changed_and_takes_nothing_for_null(session, alice, bob):
    later = timezone.now() + timedelta(hours=1)
    archive = Update(
        Participant,
        lambda p: (Participant.objects.filter(session_id=p("session")), {"archived_at": p("archived_at")}),
    )
    people = session.participants.count()
    assert archive.run(session=session, archived_at=later) == people > 1
    assert set(Participant.objects.values_list("archived_at", flat=True)) == {later}
    assert archive.run(session=session.pk, archived_at=None) == people
    assert set(Participant.objects.values_list("archived_at", flat=True)) == {None}
    assert archive.run(session=uuid.uuid4(), archived_at=later) == 0


def test_a_row_is_stored_by_the_names_of_its_fields(session):
    session.title, session.parameters = "Other", {"temperature": 0.5}
    store(session, "title", "parameters")
    again = ChatSession.objects.get(pk=session.pk)
    assert (again.title, again.parameters) == ("Other", {"temperature": 0.5})
    session.delete()
    with pytest.raises(AssertionError, match="locked"):
        store(ChatSession(pk=uuid.uuid4(), title="x"), "title")


def test_a_row_is_inserted_as_the_orm_inserts_it(session, alice):
    question = ask(session, alice).message
    values = {field.attname: getattr(question, field.attname) for field in Message._meta.concrete_fields}
    values |= {"client_id": None, "mentions": [1, "ü"], "finished_at": timezone.now()}
    ours, theirs = (Message(**values | {"id": new_id()}) for _ in range(2))
    with CaptureQueriesContext(connection) as queries:
        insert(ours)
        theirs.save(force_insert=True)
    assert len([query for query in queries if query["sql"].startswith("INSERT")]) == 2
    stored = [Message.objects.values().get(pk=row.pk) | {"id": None} for row in (ours, theirs)]
    assert stored[0] == stored[1] and stored[0]["mentions"] == [1, "ü"]
    assert (ours._state.adding, ours._state.db) == (theirs._state.adding, theirs._state.db)
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(ours)


def test_whoever_listens_to_the_saving_of_messages_hears_of_those_that_are_sent(session, alice):
    saved = []

    def note(instance, created, **kwargs):
        saved.append((instance.role, created))

    post_save.connect(note, sender=Message)
    try:
        ask(session, alice)
    finally:
        post_save.disconnect(note, sender=Message)
    assert saved == [("user", True), ("assistant", True)]


def test_a_key_that_the_database_makes_is_the_row_s(session):
    first, second = (OrmQ(key="x", payload="y", lock=timezone.now()) for _ in range(2))
    insert(first)
    insert(second)
    assert OrmQ.objects.get(pk=second.pk).payload == "y" and second.pk > first.pk


def test_rows_that_refer_to_each_other_are_inserted_by_one_statement(session, alice):
    question = Message(session=session, role=MessageRole.USER, author=alice, content="ü", position=90)
    answer = Message(session=session, role=MessageRole.ASSISTANT, reply_to=question, position=91, tried=[{"a": None}])
    with CaptureQueriesContext(connection) as queries:
        insert(question, answer)
    assert len(queries) == 1
    again = Message.objects.get(pk=answer.pk)
    assert again.reply_to == question and again.reply_to.content == "ü" and again.tried == [{"a": None}]
    assert not question._state.adding and not answer._state.adding
    with pytest.raises(AssertionError, match="whose"):
        insert(OrmQ(), OrmQ())


def test_a_lenient_insert_leaves_the_row_that_is_there():
    row = UsageRecord(model="m", attempt=1, prompt_tokens=3, completion_tokens=4)
    insert(row, is_lenient=True)
    insert(UsageRecord(id=row.pk, model="other", attempt=2), is_lenient=True)
    assert UsageRecord.objects.get(pk=row.pk).model == "m"


def test_json_and_files_of_an_answer_go_both_ways(session, alice, worker):
    from tests.acting import claimed

    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    message = Message.objects.get(pk=answer.pk)
    message.tried = [{"model": "m", "code": "timeout", "seconds": 1.25}]
    endings.end(message, endings.stopped(alice))
    ended = now(answer)
    assert ended.tried == [{"model": "m", "code": "timeout", "seconds": 1.25}] and ended.stopped_by == alice
    assert ended.html == message.html and ended.usage == message.usage and claim.attempt == ended.attempt


def test_the_statements_are_of_models_of_this_app_and_of_the_queue():
    labels = {statement.model._meta.app_label for statement in OURS}
    assert labels == {apps.get_app_config("assistant").label, "django_q"}
    assert asking._SENT_BEFORE_OR_UNFINISHED in OURS and connection.vendor in ("sqlite", "postgresql")
