"""The text of a page of the web, as a program of its own: `python -I page.py < page`.

A page of a megabyte can keep Python's parser busy for hours. Here it may: the process has a limit of processor time and of
memory, and whoever started it ends it. It imports nothing of this project.

The input is a line of JSON, `{"url", "charset", "is_html", "limit"}`, and then the page's bytes; the answer is
`{"title", "text"}`, with at most `limit` characters of text.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from html.parser import HTMLParser
from urllib.parse import urljoin

MEMORY_BYTES = 512 * 1024 * 1024
PROCESSOR_SECONDS = 10


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    head, _, body = sys.stdin.buffer.read().partition(b"\n")
    asked = json.loads(head)
    title, text = read(body, asked["url"], asked["charset"], is_html=asked["is_html"])
    sys.stdout.write(json.dumps({"title": title, "text": text[: asked["limit"]]}))


def read(body: bytes, url: str, charset: str | None, *, is_html: bool) -> tuple[str, str]:
    """The title and the text of a page. `charset` is the one that its server named, if it named one."""
    if not is_html:
        return "", _decoded(body, charset)
    parser = _Text(url)
    parser.feed(_decoded(body, charset or _declared(body)))
    parser.close()
    return parser.title, parser.text


def _declared(body: bytes) -> str | None:
    found = re.search(rb"<meta[^>]+charset=[\"']?([\w.:-]+)", body[:4096], re.IGNORECASE)
    return found[1].decode("ascii", "replace") if found else None


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except (LookupError, UnicodeError):  # a charset that nobody knows, or that is none of a page's
        return body.decode("utf-8", "replace")


class _Text(HTMLParser):
    """The text of a page in reading order, with what is a heading, an item or a link marked as Markdown does."""

    _IGNORED = frozenset(
        {"script", "style", "noscript", "template", "svg", "iframe", "select", "head", "nav", "footer"}
    )
    _BLOCKS = frozenset(
        {"p", "div", "section", "article", "main", "header", "ul", "ol", "table", "tr", "blockquote", "pre", "br", "hr",
         "form", "figure", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "li", "aside", "address"}
    )  # fmt: skip

    def __init__(self, base: str) -> None:
        super().__init__(convert_charrefs=True)
        self._base = base
        self._parts: list[str] = []
        self._title: list[str] = []
        self._ignored: list[str] = []
        self._is_title = False
        self._links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title" and not self._title:
            self._is_title = True
        if tag == "body":
            self._ignored.clear()  # whatever was left open in the head
        if tag in self._IGNORED:
            self._ignored.append(tag)
        elif tag in self._BLOCKS:
            marks = {"li": "- ", **{f"h{level}": "#" * level + " " for level in range(1, 7)}}
            self._parts.append("\n" + marks.get(tag, ""))
        elif tag in ("td", "th"):
            self._parts.append(" | ")
        elif tag == "a":
            self._links.append(self._target(dict(attrs).get("href")))
            self._parts.append("[" if self._links[-1] else "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._is_title = False
        if tag in self._ignored:
            while self._ignored and self._ignored.pop() != tag:
                pass
        elif tag in self._BLOCKS and tag not in ("br", "hr", "li"):
            self._parts.append("\n")
        elif tag == "a" and self._links and (target := self._links.pop()):
            self._parts.append(f"]({target})")

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self._title.append(data)
        elif not self._ignored:
            self._parts.append(re.sub(r"\s+", " ", data))

    def _target(self, href: str | None) -> str | None:
        if not href or href.startswith(("#", "javascript:", "data:")):
            return None
        try:
            return urljoin(self._base, href)
        except ValueError:
            return None

    @property
    def title(self) -> str:
        return " ".join("".join(self._title).split())[:200]

    @property
    def text(self) -> str:
        lines = [" ".join(line.split()) for line in "".join(self._parts).splitlines()]
        kept = [line for line in lines if line not in ("[", "]", "-", "|") and not re.fullmatch(r"\[\]\(\S*\)", line)]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


if __name__ == "__main__":
    main()
