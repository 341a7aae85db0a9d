"""What a model wants back unchanged with the calls of a round: its thoughts as its provider has signed them, and the like.

For that model alone: it is shown to nobody, neither exported nor searched. `assistant.llm.kept` says where it goes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import models

from assistant.models.ids import new_id
from assistant.models.message import Message

logger = logging.getLogger(__name__)

LARGEST = 2_000_000  # letters of JSON: a model that thinks for as long as any may


@dataclass(frozen=True, slots=True)
class Kept:
    """Of one round: fields of the assistant's message, and of each of its calls, in litellm's chat format."""

    model: str  # which sent it
    message: Mapping[str, Any]
    calls: Sequence[Mapping[str, Any]]


class ProviderState(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="provider_states")
    round = models.PositiveIntegerField(help_text="Which round of the answer, from 1.")
    model = models.TextField(blank=True, help_text="Whose round it is; empty where not all could be kept.")
    # Not a JSON column: what is signed has to come back as it was, in its order, with NUL and halves of characters, which
    # no database stores. In ASCII they are escapes.
    kept = models.TextField(help_text='JSON: {"message": {...}, "calls": {place: {...}}}.')

    class Meta:
        # Also the index by which an answer's are read.
        constraints = [models.UniqueConstraint(fields=["message", "round"], name="provider_state_once")]

    def __str__(self) -> str:
        return f"round {self.round} of {self.message_id}"

    @classmethod
    def of(cls, message_id: UUID, round_: int, kept: Kept) -> ProviderState:
        """The row, not stored yet. What is too large, or no JSON, is as good as another model's: nothing goes back."""
        calls = {str(place): dict(extra) for place, extra in enumerate(kept.calls) if extra}
        model = kept.model
        try:
            text = json.dumps({"message": dict(kept.message), "calls": calls})
        except (TypeError, ValueError, RecursionError) as error:
            logger.warning("What %s wants back with round %d of %s is no JSON: %s", model, round_, message_id, error)
            model, text = "", "{}"
        if len(text) > LARGEST:
            logger.warning("What %s wants back with round %d of %s is too large.", model, round_, message_id)
            model, text = "", "{}"
        return cls(message_id=message_id, round=round_, model=model.replace("\x00", ""), kept=text)

    def told(self, ids: Sequence[str]) -> dict[str, Any]:
        """For the round's line in a prompt; `ids` are those that its calls have there, in order."""
        kept = json.loads(self.kept)
        calls = {ids[int(place)]: extra for place, extra in kept.get("calls", {}).items() if int(place) < len(ids)}
        return {"model": self.model, "message": kept.get("message", {}), "calls": calls}
