"""How long a process that dies waits for its next start."""

from __future__ import annotations

from assistant.processes.backoff import CALM_SECONDS, LONGEST_SECONDS, Backoff


def test_the_first_start_is_at_once_and_each_that_dies_young_waits_twice_as_long():
    backoff = Backoff()
    pauses = [backoff.pause_after(0.1) for _ in range(8)]
    assert pauses[:5] == [0.0, 1.0, 2.0, 4.0, 8.0] and set(pauses[5:]) == {LONGEST_SECONDS}


def test_who_lived_long_was_killed_and_starts_at_once():
    backoff = Backoff()
    assert [backoff.pause_after(seconds) for seconds in (0.1, 0.1, CALM_SECONDS + 1, 0.1)] == [0.0, 1.0, 0.0, 1.0]
