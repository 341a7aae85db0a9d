"""Files through the whole product: Daphne takes them, a worker reads them, the provider sees them; bodies have an end."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests import files
from tests.provider import ProviderProcess

from .people import Person, tagged
from .running import Product, running


@pytest.fixture(scope="module")
def seeing(provider: ProviderProcess) -> Iterator[Product]:
    """A product whose models see, and where a file may have 2 MB."""
    with running(provider, ASSISTANT_VISION_MODELS="openai/*", ASSISTANT_ATTACHMENT_MAX_MB="2") as product:
        yield product


@pytest.fixture(scope="module")
def carol(seeing: Product) -> Iterator[Person]:
    (person,) = seeing.people("carol")
    with person:
        yield person


def upload(person: Person, session: str, name: str, content: bytes) -> dict[str, object]:
    response = person.http.post(f"/api/sessions/{session}/attachments", files={"file": (name, content)})
    assert response.status_code == 201, response.text
    found: dict[str, object] = response.json()
    return found


def test_the_model_is_given_what_was_attached(provider: ProviderProcess, seeing: Product, carol: Person) -> None:
    session, model = carol.new_session(), tagged("words")
    made = [
        upload(carol, session, "red.png", files.png()),
        upload(carol, session, "report.pdf", files.pdf("Revenue was 42")),
        upload(carol, session, "notes.txt", b"Mind the gap"),
    ]
    body = {"client_id": "1", "content": "What is this?", "model": model, "attachments": [one["id"] for one in made]}
    sent = carol.http.post(f"/api/sessions/{session}/messages", json=body).json()
    assert [one["name"] for one in sent["message"]["attachments"]] == ["red.png", "report.pdf", "notes.txt"]
    ended = carol.wait_for_end(sent["reply"]["id"])
    assert ended["status"] == "success"
    (request,) = provider.requests(model)
    parts = request["body"]["messages"][-1]["content"]
    assert [part["type"] for part in parts] == ["text", "text", "image_url", "text", "text"]
    assert "Revenue was 42" in parts[3]["text"] and "Mind the gap" in parts[4]["text"]
    assert parts[2]["image_url"]["url"].startswith("data:image/png;base64,")
    assert carol.http.get(str(made[0]["url"])).content == files.png()
    usage = carol.http.get(f"/api/sessions/{session}/usage").json()
    assert usage["calls"] == 1 and usage["total_tokens"] == ended["usage"]["total_tokens"] > 0
    seeing.assert_no_traceback()


def test_a_file_that_is_too_big_is_refused_with_the_number(carol: Person) -> None:
    session = carol.new_session()
    content = b"x" * (2 * 1024 * 1024 + 1)
    response = carol.http.post(f"/api/sessions/{session}/attachments", files={"file": ("a", content)})
    assert (response.status_code, response.json()["code"]) == (422, "too_big") and "2 MB" in response.json()["detail"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_never_ends_is_not_kept(seeing: Product, is_chunked: bool) -> None:
    """By nobody in particular, to any address: it is refused before the application sees it."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(seeing.url).port or 0, timeout=60)
    chunk, count = b"x" * 1024 * 1024, 12
    web = seeing.child("assistant.web")
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
    seeing.assert_no_traceback()
