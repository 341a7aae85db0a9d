"""What a session is set to reaches the provider, and what was asked before stays as it was."""

from __future__ import annotations

from typing import Any

from tests.provider import ProviderProcess

from .people import Person, tagged


def change(person: Person, session: str, **fields: Any) -> None:
    assert person.http.patch(f"/api/sessions/{session}", json=fields).status_code == 200


def test_the_provider_gets_the_system_prompt_and_the_parameters(
    provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    model = tagged("words-n3")
    session = alice.new_session(model)
    alice.invite(session, bob)
    change(bob, session, system_prompt="Be brief.", parameters={"temperature": 0.25, "top_p": 0.5, "max_tokens": 99})
    first = alice.wait_for_end(alice.asked(session, "one"))
    change(bob, session, system_prompt="", parameters={"temperature": None, "max_tokens": None})
    again = alice.wait_for_end(alice.retry(first["id"]))
    one, two = (record["body"] for record in provider.requests(model))
    assert (one["temperature"], one["top_p"], one["max_tokens"]) == (0.25, 0.5, 99)
    assert one["messages"][0] == {"role": "system", "content": "Be brief."}
    assert two["top_p"] == 0.5 and "temperature" not in two and "max_tokens" not in two
    assert [line["role"] for line in two["messages"]] == ["user"]
    assert again["settings"] == {"parameters": {"top_p": 0.5}, "system_prompt": None}
    kept = alice.http.get(f"/api/messages/{first['id']}/settings").json()
    assert kept == {
        "model": model,
        "parameters": {"temperature": 0.25, "top_p": 0.5, "max_tokens": 99},
        "system_prompt": "Be brief.",
    }


def test_what_a_model_does_not_know_is_not_sent_and_does_no_harm(provider: ProviderProcess, alice: Person) -> None:
    model = tagged("words-n3")
    session = alice.new_session(model)
    change(alice, session, parameters={"reasoning_effort": "low"})
    assert alice.wait_for_end(alice.asked(session, "one"))["status"] == "success"
