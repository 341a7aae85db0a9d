"""What counts as a mention: of the assistant, and of people."""

import pytest

from assistant.text.mentions import is_addressed, people_in


@pytest.mark.parametrize(
    "text",
    [
        "@assistant what is this?",
        "What do you think, @Assistant?",
        "@ASSISTANT.",
        "(@assistant)",
        "**@assistant** please",
        "first line\n@assistant second line",
        "- a\n- @assistant b",
        "> quoted @assistant",
        "@assistant's turn",
        "@assistant\u2014now",
        "@Claude Sonnet, go on",
        "@claude sonnet",
        "@claude-sonnet",
        "@claude_sonnet",
        "@ClaudeSonnet",
        "see https://example.org and ask @assistant",
    ],
)
def test_the_assistant_is_mentioned(text):
    assert is_addressed(text, "Claude Sonnet")


@pytest.mark.parametrize(
    "text",
    [
        "assistant, what is this?",
        "@assistants are many",
        "@assistant_2",
        "@assistant-bot",
        "@assistant.example.org",
        "write to post@assistant",
        "write to post@assistant.example.org",
        "<post@assistant.org>",
        "`@assistant`",
        "```\n@assistant\n```",
        "    @assistant in an indented block",
        "$@assistant$",
        "https://example.org/@assistant",
        "@@assistant",
        "@claude",
        "@ assistant",
        "",
    ],
)
def test_the_assistant_is_not_mentioned(text):
    assert not is_addressed(text, "Claude Sonnet")


def test_a_label_with_signs_of_its_own_is_taken_as_it_is():
    assert is_addressed("@GPT-5 mini (fast)?", "GPT-5 mini")
    assert is_addressed("@c++ hello", "C++") and not is_addressed("@c hello", "C++")
    assert is_addressed("@llama3.2", "llama3.2") and not is_addressed("@llama3x2", "llama3.2")


PEOPLE = [(1, ("Alice Smith", "alice")), (2, ("Al", "al")), (3, ("Zoë", "zoe")), (4, ("", "дима"))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@alice look", [1]),
        ("@Alice Smith look", [1]),
        ("@alice-smith and @al", [1, 2]),
        ("@al, @ALICE", [1, 2]),
        ("@zoë", [3]),
        ("@ZOË and @Дима", [3, 4]),
        ("@alicesmithson", []),
        ("`@alice` <@al>", [2]),
        ("nobody", []),
    ],
)
def test_people_are_mentioned_by_name_or_user_name(text, found):
    assert people_in(text, PEOPLE) == found


def test_the_longest_name_counts():
    assert people_in("@Ann Lee", [(1, ("Ann", "ann")), (2, ("Ann Lee", "lee"))]) == [2]


def test_two_of_one_name_are_both_meant():
    assert people_in("@ann", [(1, ("Ann", "a1")), (2, ("ann", "a2"))]) == [1, 2]
