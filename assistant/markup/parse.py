"""Markdown text to top-level blocks of parser events.

A long list or table becomes several blocks, so that a live answer draws, and sends, only the last few items or rows of it
again. It reads as models mean them what pulldown-cmark reads otherwise: tables right after a line of text, amounts
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

PART_BYTES = 1_000
"""A longer list or table is cut before the first item or row at or past each of these."""

_TABLE_START = re.compile(rb"\n( {0,3}\|[^\n]*)\n( {0,3}\|[-:| \t]*)(?=\n|\Z)")
_RULE_CELL = re.compile(rb":?-+:?")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(slots=True, frozen=True)
class Continuation:
    """That a block goes on with the list or table of the block before it."""

    number: int | None = None  # of its first item, if the list has numbers
    head: str = ""  # the lines of the table's head, without which its rows can't be read


@dataclass(slots=True)
class Block:
    """One top-level block: `source` stands at byte `start` of the text and was parsed to `events`."""

    start: int
    source: bytes
    events: Events
    data: bytes  # what the events' ranges count in
    text_end: int  # where the text's last visible character ends in data
    continuation: Continuation | None = None


def normal(text: str) -> str:
    """Return text with line ends as LF, without NUL, BOM and lone surrogates."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text.replace("\ufeff", ""))
    return text.replace("\0", "\ufffd")


def parse(text: str, continuation: Continuation | None = None) -> tuple[list[Block], Definitions]:
    """Split normal text into its top-level blocks; return them with the link definitions that stand in it.

    With a continuation the text is the rest of one whose first block went on with a list or table there."""
    definitions = {}
    if "]:" in text:
        found = _MARKDOWN.reference_definitions(text)
        definitions = {_label(name): (link["dest"], link["title"] or "") for name, link in found.items()}
    head = continuation.head.encode() if continuation else b""
    data = head + text.encode()
    tops = _split(data.decode() if head else text)
    cuts = _interrupting_tables(data, tops)
    if cuts:
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        data = b"\n".join(pieces)
        tops = _split(data.decode())
    shifted = [cut + count for count, cut in enumerate(cuts, 1)]
    text_end = len(data.rstrip())
    result: list[Block] = []
    for start, end, events in tops:
        start = data.rfind(b"\n", 0, start) + 1
        block = Block(start, data[start:end], events, data, text_end, None if result else continuation)
        # What a definition far away means for a part can't be known from the part.
        parts = _parts(block) if len(block.source) > PART_BYTES and not definitions else [block]
        for part in parts:
            if b"$" in part.source and _has_money(part.events, part.data):
                _read_without_math(part, part.start if part.data is data else 0, definitions)
            part.start = max(0, part.start - bisect_right(shifted, part.start) - len(head))
        result += parts
    return result, definitions


def _parts(block: Block) -> list[Block]:
    """Cut a long list or table into blocks that are each parsed by themselves; anything else stays as it is.

    A cut stands where nothing that follows can move it: before an item that isn't indented, or before a row, whose line
    is whole. All cuts but those after the last one found stay when the text grows."""
    first = block.events[0][0]  # a string for a rule
    kind = first.get("Start") if isinstance(first, dict) else None
    if not isinstance(kind, dict) or not kind.keys() & {"List", "Table"}:
        return [block]
    wanted = "Item" if "List" in kind else "TableRow"
    starts = []
    depth = 0
    for event, at in block.events:
        if type(event) is dict:
            if "Start" in event:
                if depth == 1 and event["Start"] == wanted:
                    starts.append(block.data.rfind(b"\n", 0, at["start"]) + 1)
                depth += 1
            elif "End" in event:
                depth -= 1
    if not starts:
        return [block]
    before = block.continuation or Continuation(kind.get("List"))
    head = before.head.encode() or (block.data[block.start : starts[0]] if "Table" in kind else b"")
    number = before.number
    cuts, numbers = [block.start], [number]
    last = starts[0]
    for place, start in enumerate(starts):
        whole = block.data.find(b"\n", start) >= 0 and block.data[start : start + 1] not in b" \t"
        if start - last >= PART_BYTES and whole:
            last = start
            cuts.append(start)
            numbers.append(None if number is None else number + place)
    if len(cuts) == 1:
        return [block]
    found = []
    end = block.start + len(block.source)
    for place, (start, stop) in enumerate(zip(cuts, [*cuts[1:], end], strict=True)):
        source = (head if place else b"") + block.data[start:stop]
        text_end = len(source) + 1 if stop < end else block.text_end - start + (len(head) if place else 0)
        events = _split(source.decode())[0][2]
        going_on = Continuation(numbers[place], head.decode()) if place else block.continuation
        found.append(Block(start, source, events, source, text_end, going_on))
    return found


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
