"""Files through the whole product: Daphne takes them, a worker reads them, the provider sees them; bodies have an end."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest

from tests import files
from tests.provider import ProviderProcess

from .people import Person, tagged
from .running import Product


def upload(person: Person, session: str, name: str, content: bytes) -> dict[str, object]:
    response = person.http.post(f"/api/sessions/{session}/attachments", files={"file": (name, content)})
    assert response.status_code == 201, response.text
    found: dict[str, object] = response.json()
    return found


def test_the_model_is_given_what_was_attached(provider: ProviderProcess, product: Product, alice: Person) -> None:
    since, session, model = len(product.said), alice.new_session(), tagged("words")
    made = [
        upload(alice, session, "red.png", files.png()),
        upload(alice, session, "report.pdf", files.pdf("Revenue was 42")),
        upload(alice, session, "notes.txt", b"Mind the gap"),
    ]
    body = {"client_id": "1", "content": "What is this?", "model": model, "attachments": [one["id"] for one in made]}
    sent = alice.http.post(f"/api/sessions/{session}/messages", json=body).json()
    assert [one["name"] for one in sent["message"]["attachments"]] == ["red.png", "report.pdf", "notes.txt"]
    ended = alice.wait_for_end(sent["reply"]["id"])
    assert ended["status"] == "success"
    (request,) = provider.requests(model)
    parts = request["body"]["messages"][-1]["content"]
    assert [part["type"] for part in parts] == ["text", "text", "image_url", "text", "text"]
    assert "Revenue was 42" in parts[3]["text"] and "Mind the gap" in parts[4]["text"]
    assert parts[2]["image_url"]["url"].startswith("data:image/png;base64,")
    assert alice.http.get(str(made[0]["url"])).content == files.png()
    usage = alice.http.get(f"/api/sessions/{session}/usage").json()
    assert usage["calls"] == 1 and usage["total_tokens"] == ended["usage"]["total_tokens"] > 0
    product.assert_no_traceback(since)


def test_a_file_that_is_too_big_is_refused_with_the_number(alice: Person) -> None:
    session = alice.new_session()
    content = b"x" * (1024 * 1024 + 1)
    response = alice.http.post(f"/api/sessions/{session}/attachments", files={"file": ("a", content)})
    assert (response.status_code, response.json()["code"]) == (422, "too_big") and "1 MB" in response.json()["detail"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_never_ends_is_not_kept(product: Product, is_chunked: bool) -> None:
    """By nobody in particular, to any address: it is refused before the application sees it."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(product.url).port or 0, timeout=60)
    since, chunk, count = len(product.said), b"x" * 1024 * 1024, 12
    web = product.child("assistant.web")
    before = web.memory_info().rss
    if is_chunked:
        connection.request("POST", "/api/sessions", iter([chunk] * count), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    else:
        connection.request("POST", "/api/sessions", chunk * count)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["code"]) == (413, "too_big")
    assert web.memory_info().rss - before < 8 * 1024 * 1024
    connection.close()
    product.assert_no_traceback(since)
