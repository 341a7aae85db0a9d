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
    page = _decoded(body, charset or _declared(body))
    parser = _parsed(page, url, guesses=True)
    if parser.is_swallowed:
        parser = _parsed(page, url, guesses=False)
    return parser.title, parser.text


def _parsed(page: str, url: str, *, guesses: bool) -> _Text:
    parser = _Text(url, guesses=guesses)
    parser.feed(page)
    parser.close()
    return parser


def _declared(body: bytes) -> str | None:
    found = re.search(rb"<meta[^>]+charset=[\"']?([\w.:-]+)", body[:4096], re.IGNORECASE)
    return found[1].decode("ascii", "replace") if found else None


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except (LookupError, UnicodeError):  # a charset that nobody knows, or that is none of a page's
        return body.decode("utf-8", "replace")


_SKIPPED = frozenset(
    {"script", "style", "noscript", "template", "svg", "iframe", "select", "head", "nav", "footer", "dialog"}
)
_SKIPPED_ROLES = frozenset(
    {"navigation", "banner", "contentinfo", "search", "dialog", "alertdialog", "menu", "menubar"}
)
_CONSENT = re.compile(
    r"(?:cookie|consent|gdpr|ccpa)s?[-_]?(?:banner|bar|notice|consent|popup|modal|dialog|overlay|wall|message|law)"
    r"|onetrust|cookiebot|didomi|usercentrics",
    re.IGNORECASE,
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_LINES = frozenset({"br", "hr", "li", "tr", "dt", "dd"})  # begin and end a line
_PARAGRAPHS = frozenset(
    {"p", "div", "section", "article", "main", "header", "ul", "ol", "table", "blockquote", "pre", "form", "figure", "dl",
     "h1", "h2", "h3", "h4", "h5", "h6", "aside", "address"}
)  # fmt: skip
_MARKS = {"li": "- ", **{f"h{level}": "#" * level + " " for level in range(1, 7)}}
_FENCE = "```"
_MARK = re.compile(r"(?:- |#+ )?")
_PARTS = ("main", "article")  # what a page may say that its own text is, the surer one first
_OWN_PART = 0.3  # such a part has at least so much of the text, or is not believed


class _Text(HTMLParser):
    """The text of a page in reading order, with what is a heading, an item, a link or code marked as Markdown does.

    What is on every page of a site (navigation, consent to cookies) and what is hidden is left out; so is what stands
    outside the main part of a page that says which one that is.
    """

    def __init__(self, base: str, *, guesses: bool) -> None:
        """`guesses`: by their attributes, too, elements are known that are left out."""
        super().__init__(convert_charrefs=True)
        self._base, self._guesses = base, guesses
        self._title: list[str] = []
        self._is_title = False
        self._lines: list[tuple[str, str]] = []  # and in which of _PARTS it stands, if in one
        self._line: list[str] = []
        self._skipped: list[str] = []  # the elements that are open, from the one that is left out
        self._is_guessed = False  # the first of them, by an attribute: a heading in it says that this was wrong
        self._part: list[str] = []  # the elements that are open, from the one that is a part
        self._part_name = ""
        self._code = 0
        self._links: list[
            tuple[str | None, int, int]
        ] = []  # where to, and where it begins: lines, and parts of a line

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title" and not self._title:
            self._is_title = True
        if tag == "body" or (self._is_guessed and tag in ("main", "article", "h1")):
            self._skipped.clear()  # whatever was left open in the head, or is none of what it was taken for
        if self._skipped:
            if tag not in _VOID:
                self._skipped.append(tag)
            return
        given = dict(attrs)
        if tag in _SKIPPED or (tag == "aside" and not self._part):
            self._skipped, self._is_guessed = [tag], False
            return
        if self._guesses and tag not in _VOID and tag not in ("html", "body") and _is_aside(given):
            self._skipped, self._is_guessed = [tag], True
            return
        if tag in _LINES or tag in _PARAGRAPHS:
            self._break(is_paragraph=tag in _PARAGRAPHS)
            self._line.append(_MARKS.get(tag, ""))
        self._enter(tag, given)
        if tag == "pre":
            self._code += 1
            self._add(_FENCE)
        elif tag in ("td", "th"):
            self._line.append(" | ")
        elif tag == "a":
            self._links.append((self._target(given.get("href")), len(self._lines), len(self._line)))

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._is_title = False
        if self._skipped:
            _close(self._skipped, tag)
            return
        if tag in _LINES or tag in _PARAGRAPHS:
            self._break(is_paragraph=tag in _PARAGRAPHS)
        if tag == "pre" and self._code:
            self._code -= 1
            self._add(_FENCE)
            self._break(is_paragraph=True)
        _close(self._part, tag)
        if tag == "a" and self._links:
            self._link(*self._links.pop())

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self._title.append(data)
        elif self._skipped:
            return
        elif self._code:
            *whole, rest = data.split("\n")
            for line in whole:
                line = "".join([*self._line, line]).rstrip()
                self._line.clear()
                if line or self._lines[-1][0] != _FENCE:  # HTML, too, leaves out a break after <pre>
                    self._add(line)
            self._line.append(rest)
        else:
            self._line.append(re.sub(r"\s+", " ", data))

    def _break(self, *, is_paragraph: bool = False) -> None:
        """Ends the line that is being read, and with `is_paragraph` has an empty one follow."""
        line = "".join(self._line)
        self._line.clear()
        if not self._code:
            line = " ".join(line.split())
            line = "" if line in ("-", "|") or not line.strip("#") else line
        if line.strip():
            self._add(line.rstrip())
        if is_paragraph and not self._code and self._lines and self._lines[-1][0]:
            self._add("")

    def _add(self, line: str) -> None:
        self._lines.append((line, self._part_name if self._part else ""))

    def _enter(self, tag: str, attributes: dict[str, str | None]) -> None:
        name = "main" if attributes.get("role") == "main" else tag
        if name in _PARTS and (not self._part or name == "main"):
            self._part, self._part_name = [tag], name
        elif self._part and tag not in _VOID:
            self._part.append(tag)

    def _link(self, target: str | None, lines: int, parts: int) -> None:
        """Marks what was read since a link began: in this line, or the first of those lines."""
        if target is None or self._code:
            return
        if len(self._lines) == lines:
            if text := " ".join("".join(self._line[parts:]).split()):
                space = " " if self._line[parts][:1].isspace() else ""
                self._line[parts:] = [f"{space}[{text}]({target})"]
            return
        for number in range(lines, len(self._lines)):
            line, part = self._lines[number]
            if line:
                mark = _MARK.match(line)[0]  # type: ignore[index]  # it matches nothing, too
                self._lines[number] = (f"{mark}[{line[len(mark) :]}]({target})", part)
                return

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
    def is_swallowed(self) -> bool:
        """Whether something left out by a guess never ended, and took the rest of the page with it."""
        return bool(self._skipped) and self._is_guessed

    @property
    def text(self) -> str:
        """Of what was read so far; `close` comes before it."""
        self._code = 0
        self._break()
        everything = [line for line, _ in self._lines]
        for name in _PARTS:
            own = [line for line, part in self._lines if part == name]
            if own and sum(map(len, own)) >= _OWN_PART * sum(map(len, everything)):
                everything = own
                break
        return re.sub(r"\n{3,}", "\n\n", "\n".join(everything)).strip()


def _close(opened: list[str], tag: str) -> None:
    """Ends the innermost `tag` of those that are open, with what was left open in it."""
    if tag in opened:
        while opened.pop() != tag:
            pass


def _is_aside(attributes: dict[str, str | None]) -> bool:
    """Whether an element is hidden, or something that stands on every page."""
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    if attributes.get("role") in _SKIPPED_ROLES:
        return True
    if re.search(r"display:\s*none|visibility:\s*hidden", attributes.get("style") or "", re.IGNORECASE):
        return True
    named = f"{attributes.get('id') or ''} {attributes.get('class') or ''}"
    return _CONSENT.search(named[:500]) is not None


if __name__ == "__main__":
    main()
