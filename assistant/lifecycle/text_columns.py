"""An answer's two texts, what it says and what was thought for it, as columns of its row: where one goes the other goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from assistant.models.message import Message
from assistant.text.blank import is_blank
from assistant.text.reasoned import Reasoned


@dataclass(frozen=True, slots=True)
class Written:
    """How far an attempt has come: the text so far and how many deltas it was shown in."""

    content: str
    seq: int
    ends: tuple[int, ...] = ()  # where in it rounds of tool calls stand, in characters
    reasoned: Reasoned | None = None  # None: no more than what is stored

    @property
    def seqs(self) -> tuple[int, int]:
        """How many deltas each text was shown in."""
        return self.seq, self.reasoned.seq if self.reasoned else 0

    def since(self, stored: tuple[int, int]) -> Written:
        """The same without thoughts that are stored already: a long text is not written each second for nothing."""
        return self if self.seqs[1] != stored[1] else replace(self, reasoned=None)

    def columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {"content": self.content, "seq": self.seq}
        return columns | (reasoning(self.reasoned) if self.reasoned else {})


def reasoning(reasoned: Reasoned | None) -> dict[str, Any]:
    if reasoned is None:
        return {"reasoning": "", "reasoning_seq": 0, "reasoning_seconds": None}
    return {
        "reasoning": reasoned.content,
        "reasoning_seq": reasoned.seq,
        "reasoning_seconds": reasoned.seconds,
    }


def take_over(message: Message, written: Written) -> None:
    """`message`, whose row its caller has locked, is now as its worker has written it. Nothing is stored."""
    for name, value in written.columns().items():
        setattr(message, name, value)


def held(message: Message) -> dict[str, Any]:
    """Both as `message` has them, while nobody writes on. What an earlier attempt has put aside stays as it is."""
    return Written(message.content, message.seq, reasoned=message.reasoned).columns()


def begun(message: Message, content: str, reasoned: Reasoned | None) -> dict[str, Any]:
    """Both as an attempt begins with them; the best of all attempts before it is put aside, if it is another.

    The attempt does better, or does not.
    """
    best, thought = message.best()
    is_kept = best == content and (thought and thought.content) == (reasoned and reasoned.content)
    salvage = None if is_kept or thought is None else {"content": thought.content, "seconds": thought.seconds}
    aside = {"salvage": "" if is_kept else best, "reasoning_salvage": salvage}
    return {"content": content, "seq": 0} | reasoning(reasoned) | aside


def ending(message: Message, *, is_whole: bool = False) -> dict[str, Any]:
    """Both as an answer ends with them: if it `is_whole` as they are.

    Else the longest text that any attempt wrote, and what was thought for it. Of a text that is blank nothing is kept, of
    thoughts all.
    """
    content, reasoned = (message.content, message.reasoned) if is_whole else message.best()
    content = content if is_whole or not is_blank(content) else ""
    return {"content": content, "seq": message.seq, "salvage": "", "reasoning_salvage": None} | reasoning(reasoned)
