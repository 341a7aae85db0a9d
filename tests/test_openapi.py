"""The schema of the API: short names, every error of every call, and what generators make clients of."""

import ast
import json
import re
from pathlib import Path

import pytest

import assistant
from assistant import api
from assistant.api import problems
from tests.documented import check_documented, schema

OPERATIONS = [
    pytest.param(method, path, operation, id=f"{method} {path}")
    for path, methods in schema()["paths"].items()
    for method, operation in methods.items()
]


def test_every_call_has_a_short_name_of_its_own():
    names = [operation["operationId"] for _, _, operation in (case.values for case in OPERATIONS)]
    assert len(set(names)) == len(names) > 40
    for name in names:
        assert re.fullmatch(r"[a-z]+(_[a-z]+){1,4}", name), name
        assert len(name) <= 30 and "assistant" not in name and "api" not in name.split("_"), name


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_call_says_what_it_may_be_refused_for(method, path, operation):
    responses = operation["responses"]
    refusals = {status: response for status, response in responses.items() if int(status) >= 400}
    for status, response in refusals.items():
        assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert response["x-codes"] and all(f"`{code}`" in response["description"] for code in response["x-codes"])
        assert ("Retry-After" in response.get("headers", {})) == (status in (429, 503))
    assert {500, 503} <= set(refusals)
    assert (401 in refusals) == ("security" in operation) == (not path.startswith("/api/shared/"))
    assert (403 in refusals) or method == "get" or "security" not in operation
    assert (404 in refusals) or "{" not in path
    assert (413 in refusals) == ("requestBody" in operation)
    assert (422 in refusals) or not (operation["parameters"] or "requestBody" in operation)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_call_says_what_it_answers_with(method, path, operation):
    good = {status: response for status, response in operation["responses"].items() if int(status) < 300}
    for status, response in good.items():
        assert ("content" in response) == (status != 204)
    assert (good and operation["summary"]) or path == "/api/sessions/{session_id}"


def test_the_shape_of_a_problem_is_described():
    problem = schema()["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == {"code", "detail"} and problem["properties"]["code"]["type"] == "string"
    json.dumps(schema())  # it is all JSON


def codes_in_the_source():
    """The codes that are raised anywhere, as far as they stand there as words."""
    for path in Path(assistant.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Refused", "_refused"):
                yield from (word.value for word in node.args[:1] if isinstance(word, ast.Constant))


def test_every_code_that_is_raised_has_its_meaning_and_no_other():
    raised = set(codes_in_the_source())
    documented = {code for _, _, operation in (case.values for case in OPERATIONS)
                  for response in operation["responses"].values() for code in response.get("x-codes", ())}  # fmt: skip
    pages_only = {"removed"}  # of an invitation that is opened
    assert raised - pages_only <= set(problems.MEANINGS) == documented


def test_an_error_that_is_not_documented_is_noticed(client, alice):
    """The check that all tests run under can fail."""
    client.force_login(alice)
    request = client.get("/api/me").wsgi_request
    check_documented(request, "not_signed_in", 401)
    with pytest.raises(AssertionError, match="get_me answers 409 already_finished"):
        check_documented(request, "already_finished", 409)
    with pytest.raises(AssertionError):
        api.answer(request, "already_finished", "So.", 409)
