"""Scripts and styles are sent small, say the same, and are asked for once."""

import shutil
import subprocess
from pathlib import Path

import brotli
import pytest

from project.static_files import smaller_script
from tests.test_pages import CSS, FILES, JS, body_of

SCRIPTS = sorted((Path(__file__).resolve().parent.parent / "assistant/static/assistant/js").rglob("*.js"))
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("url", FILES[:2])
def test_they_come_smaller_script_and_in_the_coding_that_the_browser_takes(client, url):
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


def test_a_template_within_a_template_keeps_its_spaces():
    line = "const text = `Stopped${who ? ` by ${who}` : ``}. http://a/ /* no comment */`; // why"
    script = f"/** What `it`\n * says. */\n\nlet a = 1;\n  {line}\n  // and `so` on\n/* one */\nlet b  =  2;\n"
    assert smaller_script(script) == f"let a=1;\n{line}\nlet b=2;\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_string_of_a_script_goes_over_several_lines(path):
    lines = path.read_text().split("\n")
    assert [line for line in lines if line.count("`") % 2] == [], "it would lose its indentation"
    if node := shutil.which("node"):
        check = [node, "--input-type=module", "--check"]
        done = subprocess.run(
            check, input=smaller_script(path.read_text()), text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
