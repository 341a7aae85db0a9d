"""Thoughts that a model writes into its text, between tags at its beginning. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from assistant.llm.pieces import Reasoning, Text, WasThought

# Opening and closing, of DeepSeek R1, Qwen, GLM and their like; Magistral; Kimi-VL; Seed-OSS.
_TAGS = {
    "<think>": "</think>", "<thinking>": "</thinking>", "<thought>": "</thought>", "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]", "◁think▷": "◁/think▷", "<seed:think>": "</seed:think>",
}  # fmt: skip

_MOST_BLANKS = 1_000  # before a tag; some models write nothing else, and for ever


# What ends thoughts that no tag began: templates of DeepSeek R1, Qwen and their like write the opening one into the prompt.
# vLLM's and SGLang's parsers read it so too.
_OPENING, _CLOSING = "<think>", "</think>"


class ThinkTagSplitter:
    """Tells the thoughts of one answer from its words, as its text comes.

    Only what stands at the very beginning is a thought: a text may speak of such tags later. `is_told_apart`: the server
    tells thoughts in a field of their own, so a closing tag alone is a word like any other.
    """

    def __init__(self, *, is_told_apart: bool = False) -> None:
        self._held = ""  # what may be the beginning of a tag
        self._closing = ""  # the tag that ends the thoughts; "": we are not in them
        self._is_beginning = True
        self._skips_blanks = False  # between the thoughts and the words
        self._may_be_thoughts = not is_told_apart  # what is said, until a closing tag comes
        self._backticks = 0

    def tell_apart(self) -> None:
        self._may_be_thoughts = False

    def split(self, text: str) -> Iterator[Text | Reasoning | WasThought]:
        if not self._is_beginning and not self._closing and not self._skips_blanks and not self._held:
            if self._may_be_thoughts and ("<" in text or "`" in text):
                yield from self._until_closing(text)
            else:
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
        """What is held back when no more comes."""
        held, self._held = self._held, ""
        if held and not self._skips_blanks:
            yield Reasoning(held) if self._closing else Text(held)

    def _begin(self) -> None:
        start = self._held.lstrip()
        for opening, closing in _TAGS.items():
            if start.startswith(opening):
                self._held, self._closing, self._is_beginning = start[len(opening) :].lstrip("\n"), closing, False
                self._may_be_thoughts = False
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

    def _words(self) -> Iterator[Text | WasThought]:
        words = self._held.lstrip() if self._skips_blanks else self._held
        self._held = ""
        if not words:
            return
        self._skips_blanks = False
        if self._may_be_thoughts:
            yield from self._until_closing(words)
        else:
            yield Text(words)

    def _until_closing(self, text: str) -> Iterator[Text | WasThought]:
        """Text in which the tag may stand that makes thoughts of all before it. In code it is only spoken of."""
        words, closing, rest = text.partition(_CLOSING)
        if _OPENING in words:  # spoken of as well
            self._may_be_thoughts = False
            yield Text(text)
            return
        if not closing:
            kept = max(_beginning_of(tag, words) for tag in (_OPENING, _CLOSING))
            words, self._held = words[: len(words) - kept], words[len(words) - kept :]
        self._backticks += words.count("`")
        if closing and self._backticks % 2:
            words += closing
        if words:
            yield Text(words)
        if not closing:
            return
        if self._backticks % 2:
            yield from self._until_closing(rest)
            return
        self._may_be_thoughts = False
        yield WasThought()
        self._held, self._skips_blanks = rest, True
        yield from self._words()


def _beginning_of(tag: str, text: str) -> int:
    """How many letters at the end of `text` may be the beginning of `tag`."""
    return next((n for n in range(min(len(text), len(tag)), 0, -1) if tag.startswith(text[-n:])), 0)
