"""Thoughts that a model writes into its text, between tags at its beginning. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from assistant.llm.pieces import Reasoning, Text

# Opening and closing, of DeepSeek R1, Qwen, GLM and their like; Magistral; Kimi-VL; Seed-OSS.
_TAGS = {
    "<think>": "</think>", "<thinking>": "</thinking>", "<thought>": "</thought>", "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]", "◁think▷": "◁/think▷", "<seed:think>": "</seed:think>",
}  # fmt: skip

_MOST_BLANKS = 1_000  # before a tag; some models write nothing else, and for ever


class ThinkTagSplitter:
    """Tells the thoughts of one answer from its words, as its text comes.

    Only what stands at the very beginning is a thought: a text may speak of such tags later.
    """

    def __init__(self) -> None:
        self._held = ""  # what may be the beginning of a tag
        self._closing = ""  # the tag that ends the thoughts; "": we are not in them
        self._is_beginning = True
        self._skips_blanks = False  # between the thoughts and the words

    def split(self, text: str) -> Iterator[Text | Reasoning]:
        if not self._is_beginning and not self._closing and not self._skips_blanks:
            yield Text(text)
            return
        self._held += text
        if self._is_beginning:
            self._begin()
        if self._closing:
            yield from self._thoughts()
        if not self._is_beginning and not self._closing:
            yield from self._words()

    def end(self) -> Iterator[Text | Reasoning]:
        """What was held back when no more comes."""
        held, self._held = self._held, ""
        if held and not self._skips_blanks:
            yield Reasoning(held) if self._closing else Text(held)

    def _begin(self) -> None:
        start = self._held.lstrip()
        for opening, closing in _TAGS.items():
            if start.startswith(opening):
                self._held, self._closing, self._is_beginning = start[len(opening) :].lstrip("\n"), closing, False
                return
        if len(self._held) > _MOST_BLANKS or not any(opening.startswith(start) for opening in _TAGS):
            self._is_beginning = False

    def _thoughts(self) -> Iterator[Reasoning]:
        thoughts, closing, rest = self._held.partition(self._closing)
        if closing:
            self._held, self._closing, self._skips_blanks = rest, "", True
        else:
            kept = _beginning_of(self._closing, thoughts)
            thoughts, self._held = thoughts[: len(thoughts) - kept], thoughts[len(thoughts) - kept :]
        if thoughts:
            yield Reasoning(thoughts)

    def _words(self) -> Iterator[Text]:
        words = self._held.lstrip() if self._skips_blanks else self._held
        self._held = ""
        if words:
            self._skips_blanks = False
            yield Text(words)


def _beginning_of(tag: str, text: str) -> int:
    """How many letters at the end of `text` may be the beginning of `tag`."""
    return next((n for n in range(min(len(text), len(tag)), 0, -1) if tag.startswith(text[-n:])), 0)
