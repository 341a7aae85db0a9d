"""What a text says, without its Markdown."""

from __future__ import annotations

from assistant.markup.parse import normal, parse

_SKIPPED = {"CodeBlock", "MetadataBlock", "HtmlBlock"}
_CODE = {"Code", "Html", "InlineHtml", "InlineMath", "DisplayMath"}
_GAP = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for what is left out, so that nothing grows together


def prose(text: str, *, with_code: bool = False) -> str:
    """The text's own words, without its Markdown: blocks and lines are apart by line ends.

    Code, formulas and HTML are left out unless `with_code`, addresses are always.
    """
    words: list[str] = []
    skipped = 0
    for block in parse(normal(text))[0]:
        for event, _ in block.events:
            if event in ("SoftBreak", "HardBreak"):
                words.append("\n")
            elif type(event) is not dict:
                words.append(_GAP)
            elif with_code and (code := _CODE & event.keys()):
                words.append(event[code.pop()])
            elif "Start" in event:
                skipped += not with_code and _is_skipped(event["Start"])
                words.append("" if _is_inline(event["Start"]) else "\n")
            elif "End" in event:
                skipped -= not with_code and _is_skipped(event["End"])
                words.append("" if _is_inline(event["End"]) else "\n")
            elif "Text" in event and not skipped:
                words.append(event["Text"])
            else:
                words.append(_GAP)
    return "".join(words)


def _name(tag: object) -> str:
    return tag if isinstance(tag, str) else next(iter(tag)) if isinstance(tag, dict) else ""


def _is_skipped(tag: object) -> bool:
    return _name(tag) in _SKIPPED


def _is_inline(tag: object) -> bool:
    return _name(tag) in {"Emphasis", "Strong", "Strikethrough", "Link", "Superscript", "Subscript"}
