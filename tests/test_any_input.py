"""Whatever is sent to an endpoint is answered, and a refusal has the API's form. Endpoints and fields are the schema's."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests import documented
from tests.calling import Caller, Room

pytestmark = pytest.mark.django_db(transaction=True)

VALUES: tuple[Any, ...] = (
    None, True, -1, 10**30, 2**63, 1e308, 0.5, "", "7", "a\x00b", "\ud800", "x" * 20_000, [], [None], ["\x00"], {},
    {"\ud800": "\x00"},
)  # fmt: skip
IN_ADDRESSES = ("", "%00", "%ff", "%ED%A0%80", "-1", "9" * 40, "a" * 3000, "'", "a%EF%BC%BC", str(uuid.UUID(int=3)))
BODIES = (b"", b"null", b"[]", b"1", b"\xff", b"[" * 5000, b'{"a": ' + b"1" * 5000 + b"}", b'{"content": 1e999}')


def endpoints() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in documented.schema()["paths"].items():
        for method, operation in operations.items():
            if (method, path) != ("delete", "/api/sessions/{session_id}"):  # of which everything else is a part
                yield method, path.removeprefix("/api"), operation


def fields_of(schema: dict[str, Any]) -> dict[str, Any]:
    """The fields of an object, also where it is a reference, or one of several."""
    if name := schema.get("$ref"):
        found: dict[str, Any] = documented.schema()["components"]["schemas"][name.rpartition("/")[2]]
        properties: dict[str, Any] = found.get("properties", {})
        return properties
    some: list[dict[str, Any]] = [*schema.get("anyOf", ()), *schema.get("allOf", ())]
    return next((fields for one in some if (fields := fields_of(one))), {})


def bodies(schema: dict[str, Any]) -> Iterator[bytes]:
    yield from BODIES
    fields = fields_of(schema)
    for name, field in fields.items():
        inner = [{key: value} for key in fields_of(field) for value in VALUES]
        for value in (*VALUES, *inner):
            beside = {"client_id": uuid.uuid4().hex, "content": "x"}  # a client_id that was there is answered at once
            yield json.dumps({key: beside[key] for key in beside if key in fields} | {name: value}).encode()


@pytest.fixture
def room(alice: Any, bob: Any, vera: Any, worker: Any) -> Room:
    return Room({"owner": alice, "editor": bob, "viewer": vera}, worker)


@pytest.mark.parametrize(
    ("method", "path", "operation"), list(endpoints()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_nothing_that_is_sent_is_a_fault_of_the_server(alice, bob, room, method, path, operation):
    caller = Caller(alice)
    there = {
        "session_id": str(room.session.pk), "message_id": room.running().rpartition("/")[2], "user_id": str(bob.pk),
        "invitation_id": "1", "attachment_id": room.unsent_file().rpartition("/")[2], "call_id": str(uuid.UUID(int=5)),
        "token": "x" * 43,
    }  # fmt: skip
    address = path.format(**there)
    tries: list[tuple[str, bytes | None]] = [(address, None)]
    for parameter in operation.get("parameters", ()):
        for value in IN_ADDRESSES:
            name = parameter["name"]
            other = path.format(**there | {name: value}) if parameter["in"] == "path" else f"{address}?{name}={value}"
            tries.append((other, b"{}" if method in ("post", "patch") else None))
    if body := operation.get("requestBody", {}).get("content", {}).get("application/json"):
        tries += [(address, raw) for raw in bodies(body["schema"])]
    for url, raw in tries:
        response = caller(method, url, raw=raw)
        assert response.status_code < 500, (url, raw)
        if response.status_code >= 400:
            assert set(response.json()) == {"code", "detail"}, (url, raw, response.content)
