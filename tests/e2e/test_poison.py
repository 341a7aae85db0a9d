"""Some answers end every process that writes them: they are given up, and those beside them are not."""

from __future__ import annotations

import pytest

from tests.provider import ProviderProcess, expected_text

from .people import tagged
from .running import running

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

TEXT = "words-n60"
POISONS = ("leave", "gorge", "stall")
TOOLS = {"ASSISTANT_TOOLS": "tests.e2e.poison_tools", "ASSISTANT_SERVICES": "poison"}
SPEED = {"ASSISTANT_HEARTBEAT": "0.5", "ASSISTANT_LEASE": "4", "ASSISTANT_GRACE": "1"}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_of_poisoned_and_innocent_answers_only_the_poisoned_are_given_up(
    provider: ProviderProcess, workers: str
) -> None:
    with running(provider, ASSISTANT_WORKERS=workers, **TOOLS, **SPEED) as product:
        [alice] = product.people("alice")
        with alice:
            innocent = [alice.asked(alice.new_session(tagged(f"{TEXT}-rate=4"))) for _ in range(12)]
            for answer in innocent:
                alice.wait_for(answer, lambda message: message["content"])
            poisoned = [alice.asked(alice.new_session(tagged(f"tool={name}"))) for name in POISONS]
            for answer in innocent:
                ended = alice.wait_for_end(answer, 240)
                assert (ended["status"], ended["content"]) == ("success", expected_text(TEXT)), ended
            for answer in poisoned:
                ended = alice.wait_for_end(answer, 240)
                assert (ended["status"], ended["error"]["code"]) == ("error", "abandoned"), ended
            after = alice.asked(alice.new_session(tagged("words-n5")))
            assert alice.wait_for_end(after)["status"] == "success", "nothing is left of it"
