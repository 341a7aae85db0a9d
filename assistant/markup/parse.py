"""Markdown text to top-level blocks of parser events.

It reads as models mean them what pulldown-cmark reads otherwise: tables right after a line of text, amounts
of money, and TeX's brackets.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pyromark import Markdown, Options

_GFM = Options.ENABLE_TABLES | Options.ENABLE_STRIKETHROUGH | Options.ENABLE_TASKLISTS
_MARKDOWN = Markdown(options=_GFM | Options.ENABLE_MATH)

Events = list[tuple[Any, Mapping[str, int]]]
Definitions = dict[str, tuple[str, str]]

_TABLE_START = re.compile(rb"\n( {0,3}\|[^\n]*)\n( {0,3}\|[-:| \t]*)(?=\n|\Z)")
_RULE_CELL = re.compile(rb":?-+:?")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(slots=True)
class Block:
    """One top-level block: `source` stands at byte `start` of the text and was parsed to `events`."""

    start: int
    source: bytes
    events: Events
    data: bytes  # what the events' ranges count in
    text_end: int  # where the text's last visible character ends in data


def normal(text: str) -> str:
    """Return text with line ends as LF, without NUL, BOM and lone surrogates."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text.replace("\ufeff", ""))
    return text.replace("\0", "\ufffd")


def parse(text: str) -> tuple[list[Block], Definitions]:
    """Split normal text into its top-level blocks; return them with the link definitions that stand in it."""
    definitions = {}
    if "]:" in text:
        found = _MARKDOWN.reference_definitions(text)
        definitions = {_label(name): (link["dest"], link["title"] or "") for name, link in found.items()}
    data = text.encode()
    tops = _split(text)
    cuts = _interrupting_tables(data, tops)
    if cuts:
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        data = b"\n".join(pieces)
        tops = _split(data.decode())
    shifted = [cut + count for count, cut in enumerate(cuts, 1)]
    text_end = len(data.rstrip())
    result = []
    for start, end, events in tops:
        start = data.rfind(b"\n", 0, start) + 1
        block = Block(start - bisect_right(shifted, start), data[start:end], events, data, text_end)
        if b"$" in block.source and _has_money(events, data):
            _read_without_math(block, start, definitions)
        result.append(block)
    return result, definitions


def _split(text: str) -> list[tuple[int, int, Events]]:
    tops: list[tuple[int, int, Events]] = []
    depth, events = 0, cast(Events, [])
    for pair in _MARKDOWN.events_with_range(text):
        event = pair[0]
        events.append(cast(Any, pair))
        if type(event) is dict:
            if "Start" in event:
                depth += 1
            elif "End" in event:
                depth -= 1
        if not depth:
            tops.append((pair[1]["start"], pair[1]["end"], events))
            events = []
    return tops


def _label(name: str) -> str:
    return " ".join(name.split()).casefold()


def _interrupting_tables(data: bytes, tops: Iterable[tuple[int, int, Events]]) -> list[int]:
    """Return where a table follows a paragraph's line directly.

    Models write that and GFM allows it; pulldown-cmark wants a blank line there."""
    cuts = []
    for start, end, events in tops:
        if events[0][0] == {"Start": "Paragraph"} and (found := _TABLE_START.search(data, start, end)):
            head, rule = found.groups()
            cells = [cell.strip() for cell in rule.strip().strip(b"|").split(b"|")]
            if all(map(_RULE_CELL.fullmatch, cells)) and head.strip().strip(b"|").count(b"|") == len(cells) - 1:
                cuts.append(found.start(1))
    return cuts


def _has_money(events: Events, data: bytes) -> bool:
    return any(
        type(event) is dict and "InlineMath" in event and data[at["end"] : at["end"] + 1].isdigit()
        for event, at in events
    )


def _read_without_math(block: Block, offset: int, definitions: Definitions) -> None:
    """Read a block again with plain dollars: "$5 to US$10" is no formula.

    The rule is pandoc's: no digit follows a formula's closing dollar."""
    markdown = Markdown(options=_GFM, broken_link_callback=lambda link: definitions.get(_label(link["reference"])))
    block.events = list(cast(Any, markdown.events_with_range(block.source.decode())))
    block.data = block.data[offset:]
    block.text_end -= offset


def with_tex(events: Events, data: bytes) -> Events:
    r"""Join what stands between \( and \), or between \[ and \] on lines of their own, into one formula.

    For Markdown these are escaped brackets: the parser leaves the backslash out between two ranges."""
    result: Events = []
    opened: tuple[int, int, str, int] | None = None  # index in result, offset, closing bracket, depth
    depth = 0
    for event, at in events:
        if type(event) is dict:
            if "Start" in event:
                depth += 1
            elif "End" in event:
                depth -= 1
                if opened and depth < opened[3]:
                    opened = None
            elif text := event.get("Text"):
                start = at["start"]
                sign = text[0]
                if sign in "()[]" and data[max(start - 1, 0) : start + 1] == b"\\" + sign.encode():
                    alone = sign in "()" or not _beside(data, start, sign == "]").strip(b" \t>.,;")
                    if opened and alone and sign == opened[2] and depth == opened[3]:
                        del result[opened[0] :]
                        formula = data[opened[1] - 1 : start + 1].decode()
                        result.append(({"InlineMath": formula, "raw": True}, at))
                        event, at, opened = {"Text": text[1:]}, {"start": start + 1, "end": at["end"]}, None
                    elif not opened and sign in "([" and alone:
                        opened = (len(result), start, ")" if sign == "(" else "]", depth)
        result.append((event, at))
    return result


def _beside(data: bytes, at: int, after: bool) -> bytes:
    """Return what stands on the line before or after the escaped bracket at `at`."""
    if after:
        end = data.find(b"\n", at)
        return data[at + 1 : end if end >= 0 else len(data)]
    return data[data.rfind(b"\n", 0, at) + 1 : at - 1]
