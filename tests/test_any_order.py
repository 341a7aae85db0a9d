"""Whatever happens in a session, in whatever order: what must hold of it holds after each step (`session_invariants.py`).

The short run tries the same examples each time. The long one tries others each time, but in CI, where nothing may depend
on chance. What is printed on a failure begins it again: the steps, and a line for `@reproduce_failure`.
"""

import logging
import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.session_machine import SessionMachine

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1800),
]  # five minutes of it to shorten a failure

SHORT = settings(
    max_examples=10,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    # Before Python 3.12 explaining traces every line, also where nothing fails.
    phases=set(Phase) - {Phase.explain},
    # Each example costs a second, and most rules wait for something.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
LONG = settings(
    SHORT, max_examples=100, stateful_step_count=50, derandomize=os.environ.get("CI", "").lower() in ("1", "true")
)


@pytest.fixture(autouse=True)
def _a_small_queue_and_much_time(settings, caplog):
    settings.ASSISTANT_QUEUE_LIMIT = 3
    settings.ASSISTANT_LEASE = 1800  # nobody is thought dead because an example takes its time
    caplog.set_level(logging.ERROR, logger="assistant")  # that something was recovered is no news here


def test_what_must_hold_holds_after_each_step():
    run_state_machine_as_test(SessionMachine, settings=SHORT)


@pytest.mark.long
def test_what_must_hold_holds_after_many_more_steps():
    run_state_machine_as_test(SessionMachine, settings=LONG)
