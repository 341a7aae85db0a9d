"""What a text says outside of code, formulas and addresses."""

from __future__ import annotations

from assistant.markup.parse import normal, parse

_SKIPPED = {"CodeBlock", "MetadataBlock", "HtmlBlock"}
_GAP = "\N{OBJECT REPLACEMENT CHARACTER}"  # stands for what is left out, so that nothing grows together


def prose(text: str) -> str:
    """The text's own words, without its Markdown: blocks and lines are apart by line ends."""
    words: list[str] = []
    skipped = 0
    for block in parse(normal(text))[0]:
        for event, _ in block.events:
            if event in ("SoftBreak", "HardBreak"):
                words.append("\n")
            elif type(event) is not dict:
                words.append(_GAP)
            elif "Start" in event:
                skipped += _is_skipped(event["Start"])
                words.append("" if _is_inline(event["Start"]) else "\n")
            elif "End" in event:
                skipped -= _is_skipped(event["End"])
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
