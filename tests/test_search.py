"""Search: finds what was said in one's own sessions, whatever anybody types, and nothing else. On both databases alike."""

import uuid

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from assistant import search
from assistant.lifecycle import answering, asking, session_changes
from assistant.models import ChatSession, Message, Participant
from assistant.models.message import MessageRole, Status
from assistant.models.participant import Role
from assistant.search import postgres, sqlite, windows
from assistant.search.snippet import snippet
from assistant.search.words import terms_of
from tests.acting import answer_of, ask, claimed, fail, finish, now
from tests.calling import Caller, problem
from tests.plans import plans, rooms

pytestmark = pytest.mark.django_db(transaction=True)


def said(session, author, text):
    """A question that was asked, without an answer."""
    session.last_position += 2
    session.save()
    return Message.objects.create(
        session=session, role=MessageRole.USER, author=author, content=text, status=Status.SUCCESS,
        position=session.last_position,
    )  # fmt: skip


def found(user, query, **wanted):
    return [hit.message.content for hit in search.find(user, query, wanted.pop("limit", 100), **wanted)[0]]


def test_a_wide_backslash_is_no_backslash_in_a_query_of_postgresql():
    """There it would take the quote behind it along, and what is left is a mistake of syntax."""
    assert postgres.matching(terms_of('path＼ a＼b "c﹨ d" ﹨e')) == "('path ') & ('a b') & ('c ' <-> 'd') & (' e':*)"


# --- what is found ---


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The lease ran out", "lease"),
        ("The lease ran out", "LEASE out"),
        ("The lease ran out", "out lease"),
        ("The lease ran out", "the lea"),
        ("The lease ran out", '"lease ran"'),
        ("The lease ran out", '"lease ra'),
        ("Das Ärgernis", "argernis"),
        ("Das Argernis", "ärgernis"),
        ("naïve café", "naive cafe"),
        ("Жук и ЖАБА", "жаба жук"),
        ("ΑΘΗΝΑ", "αθηνα"),
        ("call asyncio.run(main)", "run"),
        ("C:＼temp＼x", "temp＼"),
        ("call asyncio.run(main)", "asyncio.run"),
        ("snake_case_name", "case"),
        ("mail bob@example.com today", "example"),
        ("see https://example.com/a-path?q=1", "path"),
        ("version 3.11.7", "3.11"),
        ("fire 🔥 alarm", "fire alarm"),
        ("日本語 テスト", "日本"),
        ("it's", "it's"),
        ("x " * 20_000 + "needle", "needle"),
    ],
)
def test_found(session, alice, text, query):
    said(session, alice, text)
    said(session, alice, "something else")
    assert found(alice, query) == [text]


# Of these nothing is left but words that are there.
PUNCTUATION_ONLY = ("lease)", "lease:*:*", "lease & !out", "{lease}", "^out", "+lease -out")


@pytest.mark.parametrize(
    "query",
    [*PUNCTUATION_ONLY, "", "   ", '"', '""', "🔥", "...", "* -", "lease AND", "lease OR nothing", "NOT lease",
     "NEAR(lease out)", "content:lease", "ran lease\" OR \"1", "' OR 1=1 --", "lease nothing", '"ran lease"', "ease",
     "leas out", "le ran", "\x00", "%", "_", "\\", "a" * 10_000, "lease " + "y " * 5000],
)  # fmt: skip
def test_nothing_that_is_typed_is_an_operator_or_an_error(session, alice, query):
    said(session, alice, "The lease ran out")
    expected = ["The lease ran out"] if query in PUNCTUATION_ONLY else []
    assert found(alice, query) == expected


@given_settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_each_text_has_its_own_words_and_a_snippet_has_all_of_a_short_one(text):
    terms = terms_of(text.replace('"', " "))
    assert all(term.words for term in terms) and search.words.matches(text, terms)
    assert "".join(piece.text for piece in snippet(text, terms)).split() == text.split()


@pytest.mark.parametrize("seed", range(3))
def test_the_database_takes_whatever_is_typed(session, alice, seed):
    import random

    rng = random.Random(seed)
    alphabet = "ab \"'*():&|!<>-\\%_^{}[]~@#$;:,.\u0301é日🔥\u200d\ufeff\u0e33\u1100\u2e2fß"
    said(session, alice, "ab é 日")
    for _ in range(150):
        found(alice, "".join(rng.choice(alphabet) for _ in range(rng.randrange(12))))


# --- of whom, and of what ---


def test_only_in_one_s_own_sessions(session, alice, bob, charlie):
    said(session, alice, "The secret")
    assert found(charlie, "secret") == [] and found(bob, "secret") == ["The secret"]
    Participant.objects.filter(user=bob).delete()
    assert found(bob, "secret") == []


def test_an_answer_is_found_once_it_has_ended(session, alice, worker):
    claim = claimed(answer_of(ask(session, alice, "Where?")), worker)
    answering.checkpoint({claim: answering.Written("In the attic", 1)})
    assert found(alice, "attic") == []
    finish(claim, "In the attic")
    assert found(alice, "attic") == ["In the attic"]


def test_the_text_of_failed_and_stopped_answers_is_found(session, alice, worker):
    fail(claimed(answer_of(ask(session, alice, "One?")), worker), "As far as the fjord", 1)
    answer = answer_of(ask(session, alice, "Two?"))
    claim = claimed(answer, worker)
    answering.checkpoint({claim: answering.Written("Up to the glacier", 1)})
    asking.cancel(answer, alice)
    assert found(alice, "fjord") != [] and found(alice, "glacier") != []


def test_what_waits_is_found_once_it_is_asked_and_what_is_withdrawn_never(session, alice, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    kept, gone = ask(session, alice, "kept for later").message, ask(session, alice, "gone for good").message
    asking.edit(kept, "kept and edited")
    assert found(alice, "kept") == []
    asking.withdraw(gone)
    finish(claim)
    assert found(alice, "kept") == ["kept and edited"] and found(alice, "gone") == []


def test_what_is_deleted_is_not_found(session, alice):
    message = said(session, alice, "Short lived")
    other = ChatSession.objects.create()
    Participant.objects.create(session=other, user=alice, role=Role.OWNER)
    said(other, alice, "Short as well")
    message.delete()
    assert found(alice, "short") == ["Short as well"]
    session_changes.delete(other)
    assert found(alice, "short") == []


def test_a_changed_text_is_found_by_its_new_words_only(session, alice):
    message = said(session, alice, "The old words")
    Message.objects.filter(pk=message.pk).update(content="The new words")
    assert found(alice, "old") == [] and found(alice, "new") == ["The new words"]


def test_newest_first_in_pages(session, alice):
    texts = [f"needle {i}" for i in range(25)]
    messages = [said(session, alice, text) for text in texts]
    hits, has_more = search.find(alice, "needle", 10)
    assert [hit.message.content for hit in hits] == texts[:14:-1] and has_more
    rest, has_more = search.find(alice, "needle", 15, messages[15].pk)
    assert [hit.message.content for hit in rest] == texts[14::-1] and not has_more


def test_a_search_is_three_queries_however_much_is_found(session, alice, django_assert_num_queries):
    for _ in range(5):
        said(session, alice, "needle")
    with django_assert_num_queries(3):  # how far the window reaches, what is in it, and its messages
        hits, _ = search.find(alice, "needle", 10)
        assert [(hit.message.session.title, hit.message.author.username) for hit in hits] == [("A room", "alice")] * 5


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(windows, "WINDOWS", (4, 8))


def test_windows_find_the_same_in_the_same_order(session, alice, worker, small_windows):
    """An answer has its number in SQLite's index when it ends, and then messages that are newer have lower ones."""
    claim = claimed(answer_of(ask(session, alice, "needle 0")), worker)
    texts = [f"needle {i}" if i % 3 == 0 else "hay" for i in range(1, 40)]
    for text in texts:
        said(session, alice, text)
    finish(claim, "needle, at last")
    wanted = [text for text in reversed(["needle 0", "needle, at last", *texts]) if "needle" in text]
    assert found(alice, "needle") == wanted
    pages, before = [], None
    while True:
        hits, has_more = search.find(alice, "needle", 2, before)
        pages += [hit.message.content for hit in hits]
        if not has_more:
            break
        before = hits[-1].message.pk
    assert pages == wanted


def test_of_a_common_word_only_the_newest_messages_are_looked_at(session, alice, small_windows):
    for i in range(40):
        said(session, alice, f"needle {i}")
    with plans() as asked:
        assert found(alice, "needle", limit=3) == [f"needle {i}" for i in (39, 38, 37)]
    assert len(asked) == (4 if connection.vendor == "sqlite" else 3), "one window"


@pytest.mark.parametrize("before", [None, uuid.UUID(int=2**127)])
def test_where_all_is_looked_at_the_index_of_words_comes_first(session, alice, before):
    """PostgreSQL walked its primary key backwards in the hope of meeting the word soon: for a rare one, a minute."""
    rooms(alice, 100, 10)
    said(session, alice, "needle")
    hits = postgres.hits if connection.vendor == "postgresql" else sqlite.hits
    with plans() as asked:
        hits(alice, terms_of("needle"), 10, None, before)
    [plan] = asked
    if connection.vendor == "postgresql":
        assert "Bitmap Index Scan on message_search" in plan and "Backward" not in plan
    else:
        first, second, *_ = plan.splitlines()
        assert "assistant_search VIRTUAL TABLE" in first and "INTEGER PRIMARY KEY" in second


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Only SQLite loses its triggers.")
def test_lost_triggers_are_made_again_and_what_was_missed_is_found(session, alice):
    said(session, alice, "before")
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER assistant_search_insert")
    said(session, alice, "meanwhile")
    assert found(alice, "meanwhile") == []
    assert sqlite.install(connection) and not sqlite.install(connection)
    said(session, alice, "after")
    assert [found(alice, word) for word in ("before", "meanwhile", "after")] == [["before"], ["meanwhile"], ["after"]]


def test_a_huge_text_of_different_words_can_be_stored(session, alice):
    """A tsvector has a limit of a megabyte: exceeding it would fail the storing of an answer."""
    text = " ".join(f"{i:x}é😀" for i in range(300_000))
    said(session, alice, text)
    assert len(found(alice, "1fé")) == 1


def test_an_index_of_another_release_is_made_anew(session, alice):
    if connection.vendor != "sqlite":
        pytest.skip("Only SQLite's index is no migration's.")
    said(session, alice, "before")
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER assistant_search_delete")
        cursor.execute("CREATE TRIGGER assistant_search_delete AFTER DELETE ON assistant_message BEGIN SELECT 1; END")
        cursor.execute("DROP TABLE assistant_search_row")
        cursor.execute("CREATE TABLE assistant_search_row (id INTEGER PRIMARY KEY, message char(32) NOT NULL UNIQUE)")
    assert sqlite.install(connection) and not sqlite.install(connection)
    assert found(alice, "before") == ["before"]


# --- titles ---


def test_titles_are_found_by_the_same_rules(session, alice, bob, charlie):
    ChatSession.objects.filter(pk=session.pk).update(title="Ärger mit dem Lease")
    for query in ("arger", "LEASE", "dem lea", '"mit dem"'):
        assert [s.pk for s in search.find_titles(bob, query, 5)] == [session.pk]
        assert search.find_titles(charlie, query, 5) == []
    assert search.find_titles(alice, "lease nothing", 5) == [] == search.find_titles(alice, "🔥", 5)


# --- snippets ---


def test_a_snippet_marks_the_words_and_shows_some_around(session, alice):
    text = "word " * 100 + "the LEASE ran\n\n  out " + "word " * 100
    pieces = snippet(text, terms_of("lease ou"))
    assert [piece.text for piece in pieces if piece.mark] == ["LEASE", "out"]
    whole = "".join(piece.text for piece in pieces)
    assert "the LEASE ran out word" in whole and whole.startswith("…") and whole.endswith("…") and len(whole) < 240


def marked(pieces):
    return [piece.text for piece in pieces if piece.mark]


@pytest.mark.parametrize("query", ['"waits in', '"waits in"'])
def test_of_words_in_quotes_only_those_side_by_side_are_marked(query):
    text = "Inside the installation nobody waits. " + "word " * 100 + "It waits in the queue, in turn."

    pieces = snippet(text, terms_of(query))
    assert marked(pieces) == ["waits", "in"]
    assert pieces[0].text == "…" and "It waits in the queue" in "".join(piece.text for piece in pieces)


def test_a_snippet_of_an_answer_has_its_words_without_its_markdown(session, alice, worker):
    table = "| who | what |\n|---|---|\n| `ada` | [holds it](http://x.example/zebra) |"
    text = f"# A **lease**\n\n{table}\n\n```py\nlease = 1\n```"
    finish(claimed(answer_of(ask(session, alice, "**Why**?")), worker), text)

    def shown(query):
        return "".join(piece.text for piece in search.find(alice, query, 1)[0][0].snippet)

    assert " ".join(shown("lease").split()) == "A lease who what ada holds it lease = 1"
    assert "zebra" in shown("zebra"), "what stands in an address is shown as it stands"
    assert shown("why") == "**Why**?", "what people write is no Markdown"


def test_of_a_long_answer_what_is_around_the_place_is_shown(session, alice, worker):
    text = "Some *words* that go on.\n\n" * 2_000 + "The **needle** is here.\n\n" + "And *more*.\n\n" * 2_000
    finish(claimed(answer_of(ask(session, alice)), worker), text)
    pieces = search.find(alice, "needle", 1)[0][0].snippet
    shown = "".join(piece.text for piece in pieces)
    assert (
        "The needle is here. And more." in shown
        and shown.startswith("…")
        and shown.endswith("…")
        and "*" not in shown
    )


def test_markup_in_a_text_stays_text_in_its_snippet(session, alice):
    said(session, alice, "<b>lease</b> & <script>")
    [hit] = Caller(alice)("get", "/search?q=lease").json()["messages"]
    assert [(p["text"], p["mark"]) for p in hit["snippet"]] == [
        ("<b>", False),
        ("lease", True),
        ("</b> & <script>", False),
    ]


# --- over HTTP ---


def test_the_endpoint(session, alice, bob):
    for i in range(3):
        said(session, bob, f"The lease, {i}")
    ChatSession.objects.filter(pk=session.pk).update(title="Lease")
    call = Caller(alice)
    body = call("get", "/search?q=lease&limit=2").json()
    assert body["sessions"] == [{"id": str(session.pk), "title": "Lease"}]
    assert body["has_more"] and len(body["messages"]) == 2
    first = body["messages"][0]
    assert (first["author"]["name"], first["session"]["title"], first["role"]) == ("bob", "Lease", "user")
    rest = call("get", f"/search?q=lease&limit=2&before={body['messages'][-1]['id']}").json()
    assert rest["sessions"] == [] and len(rest["messages"]) == 1 and not rest["has_more"]
    assert call("get", "/search?q=").json() == {"sessions": [], "messages": [], "has_more": False}
    assert call("get", f"/search?q=lease&before={uuid.uuid4()}").status_code == 200
    problem(call("get", "/search"), 422, "invalid")
    problem(call("get", "/search?q=" + "x" * 1001), 422, "invalid")
    problem(call("get", "/search?q=x&limit=0"), 422, "invalid")
    assert now(said(session, alice, "x")).status == "success"
