"""All that a provider says becomes storable here, in one place, whichever lane read it. See `assistant.text.storable`.

Not so what it wants back unchanged (`Kept`, a call's `extra`): that is stored in a form that holds anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from assistant.llm.finish_reasons import CONTEXT_LENGTH, ERROR
from assistant.llm.pieces import Finish, ModelError, Picture, Piece, Reasoning, Source, Text, ToolCall, WasThought
from assistant.text.storable import clean, storable


class Cleaning:
    """Of the pieces of one stream. A character that is cut in two comes whole, with the later piece."""

    def __init__(self) -> None:
        self.has_said = False  # something of an answer
        self._half: dict[type[Text | Reasoning], str] = {}

    def cleaned(self, piece: Piece) -> Iterator[Piece]:
        """`piece` as it can be stored, or nothing where only half a character is there yet."""
        match piece:
            case Text(text) | Reasoning(text):
                kind = type(piece)
                self.has_said = self.has_said or kind is Text
                whole, half = storable(self._half.pop(kind, "") + text)
                if half:
                    self._half[kind] = half
                if whole == text:
                    yield piece
                elif whole:
                    yield kind(whole)
                return
            case WasThought():
                yield from self.rest()
                self.has_said = False
            case ToolCall(id_, name, arguments, extra):
                self.has_said = True
                piece = ToolCall(clean(id_), clean(name), clean(arguments), extra)
            case Source(url, title):
                piece = Source(clean(url), clean(title))
            case Picture(type_):
                piece = replace(piece, type=clean(type_))
            case Finish(reason):
                yield from self.rest()
                if reason == ERROR:
                    raise ModelError("provider_error", "the provider ended the answer as failed", is_transient=True)
                if reason == CONTEXT_LENGTH and not self.has_said:
                    raise ModelError(
                        "context_overflow", "the provider says that the context is full, and nothing else"
                    )
                piece = replace(piece, reason=clean(reason))
        yield piece

    def rest(self) -> Iterator[Piece]:
        """What stands for halves whose second half never came."""
        for kind in list(self._half):
            del self._half[kind]
            yield kind("\ufffd")
