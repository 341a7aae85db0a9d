"""One Markdown text to blocks of safe HTML.

Two walls stand between a model's text and a page: every piece of text is escaped here and every tag and
attribute is written here (raw HTML is shown, not used); nh3 then checks the result against a closed list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import nh3

from . import code
from .parse import Block, Continuation, normal, parse, with_tex

MAX_DEPTH = 48
"""Tags nested deeper are left out, their text stays: the sanitiser's time grows with the depth's square."""

_ALIGNMENTS = {"Left": "left", "Center": "center", "Right": "right"}
_CLEANER = nh3.Cleaner(
    tags={
        *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li", "input"),
        *("em", "strong", "del", "code", "pre", "span", "a", "img", "figure", "div"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    },
    clean_content_tags=set(),
    attributes={
        "a": {"href", "title", "target"},
        "img": {"src", "alt", "title", "loading"},
        "ol": {"start"},
        "input": {"disabled", "checked", "aria-label"},
        "figure": {"data-language"},
    },
    tag_attribute_values={
        "input": {"type": {"checkbox"}},
        "th": {"scope": {"col"}},
    },
    set_tag_attribute_values={"input": {"disabled": ""}, "a": {"target": "_blank"}},
    allowed_classes={
        "a": {"image"},
        "div": {"table", "continued"},
        "figure": {"code", "continued"},
        "li": {"task"},
        "ol": {"continued"},
        "p": {"raw"},
        "span": {"math", "host", *code.CLASSES},
        "td": set(_ALIGNMENTS.values()),
        "th": set(_ALIGNMENTS.values()),
        "ul": {"continued"},
    },
    link_rel="noopener noreferrer nofollow",
    url_schemes={"http", "https", "mailto"},
    url_relative="pass_through",  # for images of this site; links without a scheme are refused below
)
clean = _CLEANER.clean

_TAGS = {
    "Paragraph": ("<p>", "</p>"),
    "HtmlBlock": ('<p class="raw">', "</p>"),
    "Item": ("<li>", "</li>\n"),
    "TableHead": ("<thead><tr>", "</tr></thead><tbody>"),
    "TableRow": ("<tr>", "</tr>\n"),
    "Emphasis": ("<em>", "</em>"),
    "Strong": ("<strong>", "</strong>"),
    "Strikethrough": ("<del>", "</del>"),
}
# Browsers drop tabs and newlines inside URLs and read a backslash as a slash: none of them gets through.
_LINK = re.compile(r"(?:https?://|mailto:)[^\s\\\x00-\x20\x7f]+", re.IGNORECASE)
_IMAGE_HERE = re.compile(r"/(?!/)[^\s\\\x00-\x20\x7f]*")
_IMAGE_ELSEWHERE = re.compile(r"https?://([^\s\\\x00-\x20\x7f/?#]+)[^\s\\\x00-\x20\x7f]*", re.IGNORECASE)
_BARE_LINK = re.compile(r"(?<![\w/])https?://[^\s<>\"`\x00-\x20\x7f\\]{1,2000}")
_FENCE = re.compile(rb" {0,3}(`{3,}|~{3,})")
_FENCE_END = re.compile(rb" {0,3}(`{3,}|~{3,})[ \t\v\f]*")


def blocks(text: str) -> list[str]:
    """Return safe HTML for Markdown, one string per top-level block (a long code block, list or table gives several)."""
    found, _ = parse(normal(text))
    return [html for block in found for html in render(block).html]


@dataclass(slots=True, frozen=True)
class Rendered:
    """A block's HTML. `at_end`: it would differ if something followed the block (an open code block)."""

    html: list[str]
    at_end: bool
    open_language: str | None  # of a top-level fence at a line's start that nothing has closed yet


def render(block: Block) -> Rendered:
    """Return a parsed block as safe HTML."""
    events = block.events
    if b"\\(" in block.source or b"\\[" in block.source:
        events = with_tex(events, block.data)
    writer = _Writer(block.data, block.text_end, block.continuation)
    for event, at in events:
        writer.write(event, at)
    writer.flush()
    html = ["".join(writer.out), *writer.figures]
    return Rendered([clean(part) for part in html if part], writer.at_end, writer.open_language)


class _Writer:
    """Writes one block's events as HTML."""

    def __init__(self, data: bytes, text_end: int, continuation: Continuation | None = None) -> None:
        self.data = data
        self.text_end = text_end
        self._continuation = continuation  # for the first tag, which takes it
        self._head_at: int | None = None  # where the head begins in out that a continued table doesn't show
        self.out: list[str] = []
        self.figures: list[str] = []
        self.at_end = False
        self.open_language: str | None = None
        self._closers: list[str] = []
        self._text: list[str] = []
        self._items: list[int] = []
        self._aligned: tuple[str, ...] = ()
        self._column = -1
        self._cell = "td"
        self._links = 0
        self._image: tuple[str, str, int, int] | None = None  # src, title, depth, where its text starts in out
        self._code: tuple[str, list[str]] | None = None

    def write(self, event: Any, at: Mapping[str, int]) -> None:
        if type(event) is str:
            if event == "SoftBreak":
                self._text.append("\n")
                return
            self.flush()
            self.out.append("<hr>" if event == "Rule" else " " if self._image else "<br>\n")
            return
        ((kind, value), *_) = event.items()
        if kind == "Text":
            (self._code[1] if self._code else self._text).append(value)
            return
        self.flush()
        if kind == "Start":
            self._start(*((value, None) if type(value) is str else next(iter(value.items()))))
        elif kind == "End":
            self._end(value, at)
        elif kind == "Code":
            text = escape(value, quote=False)
            self.out.append(text if self._image else f"<code>{text}</code>")
        elif kind in ("InlineMath", "DisplayMath"):
            sign = "" if "raw" in event else "$" if kind == "InlineMath" else "$$"
            text = escape(f"{sign}{value}{sign}", quote=False)
            self.out.append(text if self._image else f'<span class="math">{text}</span>')
        elif kind in ("Html", "InlineHtml"):
            self.out.append(escape(value, quote=False))
        elif kind == "TaskListMarker":
            self._task(value)

    def flush(self) -> None:
        if not self._text:
            return
        text = "".join(self._text)
        self._text.clear()
        if "://" in text and not self._links and not self._image:
            self.out.append(_linked(text))
        else:
            self.out.append(escape(text, quote=False))

    def _open(self, start: str, end: str) -> None:
        if len(self._closers) >= MAX_DEPTH or self._image:
            start = end = ""
        self.out.append(start)
        self._closers.append(end)

    def _start(self, tag: str, value: Any) -> None:
        if tag in _TAGS:
            if tag == "Item":
                self._items.append(len(self.out))
            elif tag in ("TableHead", "TableRow"):
                self._column, self._cell = -1, "th" if tag == "TableHead" else "td"
            self._open(*_TAGS[tag])
        elif tag == "Heading":
            name = value["level"].lower()
            self._open(f"<{name}>", f"</{name}>")
        elif tag == "BlockQuote":
            self._open("<blockquote>", "</blockquote>")
        elif tag == "List":
            going_on, name = self._taken_continuation(), "ul" if value is None else "ol"
            number = going_on.number if going_on else value
            numbered = "" if number is None or number == 1 else f' start="{int(number)}"'
            marked = ' class="continued"' if going_on else ""
            self._open(f"<{name}{numbered}{marked}>\n", f"</{name}>")
        elif tag == "Table":
            self._aligned = value
            going_on = self._taken_continuation()
            self._open(f'<div class="table{" continued" if going_on else ""}"><table>', "</tbody></table></div>")
            self._head_at = len(self.out) if going_on else None
        elif tag == "TableCell":
            self._column += 1
            side = _ALIGNMENTS.get(self._aligned[self._column]) if self._column < len(self._aligned) else None
            scope = ' scope="col"' if self._cell == "th" else ""
            self._open(f"<{self._cell}{scope}" + (f' class="{side}">' if side else ">"), f"</{self._cell}>")
        elif tag == "CodeBlock":
            info = "" if value == "Indented" else value["Fenced"]
            self._code = (code.language_of(info), [])
            self._closers.append("")
        elif tag == "Link":
            url = ("mailto:" if value["link_type"] == "Email" else "") + value["dest_url"].strip()
            self._links += 1
            start = f'<a href="{escape(url)}"{_title(value)}>' if _LINK.fullmatch(url) else ""
            self._open(start, "</a>" if start else "")
        elif tag == "Image":
            if not self._image:
                self._image = (value["dest_url"].strip(), _title(value), len(self._closers), len(self.out))
            self._closers.append("")
        else:
            self._open("", "")

    def _taken_continuation(self) -> Continuation | None:
        taken, self._continuation = self._continuation, None
        return taken

    def _end(self, tag: Any, at: Mapping[str, int]) -> None:
        end = self._closers.pop()
        if self._code:
            self._end_code(at)
        elif tag == "Link":
            self._links -= 1
        elif self._image and len(self._closers) == self._image[2]:
            src, title, _, start = self._image
            self._image = None
            self.out[start:] = [_image(src, "".join(self.out[start:]), title, in_link=self._links > 0)]
        elif tag == "Item":
            self._items.pop()
        self.out.append(end)
        if tag == "TableHead" and self._head_at is not None:
            self.out[self._head_at :] = ["<tbody>"]
            self._head_at = None

    def _end_code(self, at: Mapping[str, int]) -> None:
        assert self._code
        language, pieces = self._code
        self._code = None
        text = "".join(pieces)
        first, _, rest = self.data[at["start"] : at["end"]].partition(b"\n")
        fence = _FENCE.match(first)
        complete = at["end"] < self.text_end
        if not complete:
            closed = False
            if fence:
                last = rest.rstrip(b"\n").rpartition(b"\n")[2]
                # Within a list or a quotation the line has their prefix, too.
                end = _FENCE_END.fullmatch(last.lstrip(b" \t>") if self._closers else last)
                closed = bool(end and end[1].startswith(fence[1]))
            self.at_end = not closed
            complete = closed
            if fence and not closed:
                text = code.without_blank_tail(text)
        top = not self._closers
        found = code.figures(text, language, complete=complete, divided=top)
        if not top:
            self.out.extend(found)
            return
        self.figures = found
        unindented = at["start"] == self.data.rfind(b"\n", 0, at["start"]) + 1
        if not complete and fence and unindented and self.data.find(b"\n", at["start"]) >= 0:
            self.open_language = language

    def _task(self, done: bool) -> None:
        if not self._items or self._image:
            return
        if self.out[self._items[-1]]:
            self.out[self._items[-1]] = '<li class="task">'
        label, checked = ("Done", " checked") if done else ("Not done", "")
        self.out.append(f'<input type="checkbox" disabled{checked} aria-label="{label}"> ')


def _title(link: Mapping[str, Any]) -> str:
    return f' title="{escape(link["title"])}"' if link["title"] else ""


def _image(src: str, alt: str, title: str, *, in_link: bool) -> str:
    """An image of this site, or a link to one elsewhere, with its host. `alt` is escaped text.

    The page loads nothing from elsewhere: an image's address could carry off what stands in the conversation. One follows
    a link knowingly. `data:` images are left out, too: they are of no use in a text and can be of any size."""
    if _IMAGE_HERE.fullmatch(src):
        alt = alt.replace('"', "&quot;")
        return f'<img src="{escape(src)}" alt="{alt}"{title} loading="lazy">'
    found = _IMAGE_ELSEWHERE.fullmatch(src)
    if in_link or not found:
        return alt or "image"
    host = escape(found[1].rpartition("@")[2])
    return f'<a class="image" href="{escape(src)}"{title}>{alt or "Image"} <span class="host">{host}</span></a>'


def _linked(text: str) -> str:
    """Escape text and make links of the URLs that stand bare in it (after GFM's rules for the URL's end)."""
    out, done = [], 0
    for found in _BARE_LINK.finditer(text):
        url = found.group().rstrip("?!.,:*_~'\";")
        while url.endswith(")") and url.count(")") > url.count("("):
            url = url[:-1].rstrip("?!.,:*_~'\";")
        if len(url) <= len("https://"):
            continue
        out.append(escape(text[done : found.start()], quote=False))
        out.append(f'<a href="{escape(url)}">{escape(url, quote=False)}</a>')
        done = found.start() + len(url)
    return "".join(out) + escape(text[done:], quote=False)
