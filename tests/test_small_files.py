"""Scripts and styles are sent small, say the same, and are asked for once."""

import brotli
import pytest

from tests.test_pages import CSS, FILES, JS, body_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("url", FILES[:2])
def test_they_come_without_comments_and_in_the_coding_that_the_browser_takes(client, url):
    plain = client.get(url, headers={"accept-encoding": "identity"})
    packed = client.get(url, headers={"accept-encoding": "gzip, br"})
    text = body_of(plain)
    assert packed["Content-Encoding"] == "br" and "Accept-Encoding" in packed["Vary"]
    assert brotli.decompress(body_of(packed)) == text
    assert b"/**" not in text and int(packed["Content-Length"]) < len(text)


def test_a_coding_that_is_refused_is_not_used(client):
    response = client.get(FILES[0], headers={"accept-encoding": "br;q=0, gzip"})
    assert response["Content-Encoding"] == "gzip"
    body_of(response)


def test_what_is_no_script_or_style_is_sent_as_it_is(client):
    response = client.get(FILES[2], headers={"accept-encoding": "br"})
    assert "Content-Encoding" not in response
    assert b"<svg" in body_of(response) and JS != CSS
