"""An answer while it is being written: text and reasoning, cut into deltas, drawn, and handed to the flusher.

The model writes at its own pace and never waits for a viewer. The first piece of a round is sent at once; what follows is
sent with what the other answers of the process have to tell. Each delta is drawn and encoded once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from assistant import markup
from assistant.delivery import live_text
from assistant.delivery.live_text import ANEW, Delta, LiveSeqs
from assistant.lifecycle.text_columns import Written
from assistant.models.message import Claim
from assistant.presentation import broadcast, wire
from assistant.text.blank import is_blank
from assistant.text.reasoned import Reasoned
from assistant.text.storable import storable
from assistant.worker.flusher import Draft, Flusher

SEALED_PAUSE_SECONDS = 0.1
LONGEST_REASONING = 1_000_000  # characters; more is neither shown nor stored, but for the mark that says so
CUT = "\n\n[…]"


class Answer:
    """Owned by one turn, on the runner's loop.

    `on_doubt` is called when Valkey says that this attempt may not write any more: somebody is stopping it, or a later
    attempt has begun. Whether that is so the database decides; until then the writing pauses and nothing is lost.
    """

    def __init__(self, claim: Claim, flusher: Flusher, on_doubt: Callable[[], None]) -> None:
        self._claim = claim
        self._flusher = flusher
        self._on_doubt = on_doubt
        self._blocks = markup.RoundBlocks(claim.kept, claim.ends)
        before = claim.reasoned or Reasoned("", 0, 0.0)
        self._text = _Growing(claim.kept, is_later_round=bool(claim.ends))
        self._reasoning = _Growing(before.content, is_later_round=bool(claim.ends), longest=LONGEST_REASONING)
        self._thinking = _Stopwatch(before.seconds)
        self._ends = claim.ends  # where rounds of tool calls stand in the text
        self._round_start = len(claim.kept)  # in the text, in characters
        self._spoke_at: float | None = None  # when this round's text began
        self._is_closed = False
        self._refused: list[Draft] = []  # may not be written yet: they go before anything else does

    def write(self, piece: str) -> None:
        """Takes the next piece of the model's text."""
        if not self._is_closed:
            self._thinking.stop()
            if self._spoke_at is None:
                self._spoke_at = time.monotonic()
            self._take(self._text, piece)

    def reason(self, piece: str) -> None:
        """Takes the next piece of what the model thinks, which is shown and stored beside the text."""
        if not self._is_closed:
            self._thinking.go_on()
            self._take(self._reasoning, piece)

    async def take_as_thought(self) -> None:
        """What this round has said was thought: it becomes reasoning, and the text goes on where the round began.

        Frames only add. So one delta of the text is counted that nobody is sent, and an empty one follows it: whoever was
        shown the text misses one, and asks for a snapshot, which is of the text as it is now.
        """
        if self._is_closed:
            return
        await self._flusher.drop(self)  # no delta is on its way
        self._shown_after_all()
        said, was_shown = self._text.unsay(self._round_start)
        if self._spoke_at is not None:
            self._thinking.seconds += time.monotonic() - self._spoke_at
            self._spoke_at = None
        thought = self._reasoning.add(said.strip()) if not is_blank(said) else False
        if was_shown:
            self._blocks.begin_round_anew()
            await self._tell_taken_back(self._reasoning.next_delta() if thought else "")
        if self._reasoning.waits:
            self._flusher.note(self, at_once=True)

    async def _tell_taken_back(self, thought: str) -> None:
        """Tells viewers, once both texts stand so in Valkey. Where they can't, the next delta's append sets them."""
        told = [(self._reasoning, thought)] if thought else []
        await self._flusher.send_once([self._draft(text, piece, ANEW) for text, piece in [*told, (self._text, "")]])

    def break_off(self) -> None:
        """Whoever was thinking does so no more. What is thought when a model is asked again stands apart from it."""
        self._thinking.break_off()
        self._reasoning.begin_round()

    def _take(self, text: _Growing, piece: str) -> None:
        if text.add(piece) and not self._refused:
            self._flusher.note(self, at_once=not text.has_begun)

    @property
    def is_blank(self) -> bool:
        """Whether this round has written nothing yet but white space."""
        return self._text.is_round_blank

    @property
    def written(self) -> Written:
        """What deltas have carried, and their number. (What still waits has been seen by nobody.)"""
        return Written(self._text.shown, self._text.seq, self._ends, self._reasoned())

    def _reasoned(self) -> Reasoned | None:
        content = self._reasoning.shown
        return Reasoned(content, self._reasoning.seq, round(self._thinking.seconds, 2)) if content else None

    async def end_round(self) -> Written:
        """Sends what waits; what is written from now on stands behind the tool calls that come here.

        While somebody is stopping the answer this waits: either the stop wins and the turn is cancelled, or the writing
        goes on.
        """
        while not await self._flusher.send(self):
            await asyncio.sleep(SEALED_PAUSE_SECONDS)
        self._blocks.end_round()
        self._ends += (len(self._text.shown),)
        self._text.begin_round()
        self._round_start, self._spoke_at = len(self._text.shown), None
        self.break_off()
        return self.written

    async def close(self) -> None:
        """Sends what waits and ends the sending. Afterwards `written` is everything the model wrote."""
        await self.discard()
        if not await self._flusher.send(self):
            # The row decides who ends this answer. If it is we, the ending itself carries the last piece.
            self._shown_after_all()
            for text in (self._reasoning, self._text):
                if text.waits:
                    text.next_delta()

    async def discard(self) -> None:
        """Ends the sending; a delta that is on its way is sent, what waits is not."""
        self._is_closed = True
        await self._flusher.drop(self)

    # --- for the flusher ---

    def next_drafts(self) -> list[Draft]:
        """What waits, as the next delta of each text: it counts as shown until it is refused."""
        drafts = self._shown_after_all()
        for text in (self._reasoning, self._text):
            if text.waits:
                before = (self._text.seq, self._reasoning.seq)
                drafts.append(self._draft(text, text.next_delta(), before))
        return drafts

    def refused(self, drafts: list[Draft]) -> None:
        """These were shown to nobody. They are tried again after a while, before anything that came meanwhile."""
        for draft in reversed(drafts):
            draft.text.take_back(draft.delta.piece)
        self._refused = drafts
        self._on_doubt()
        if not self._is_closed:
            asyncio.get_running_loop().call_later(SEALED_PAUSE_SECONDS, self._try_again)

    def _try_again(self) -> None:
        if not self._is_closed:
            self._flusher.note(self)

    def _shown_after_all(self) -> list[Draft]:
        drafts, self._refused = self._refused, []
        for draft in drafts:
            draft.text.show(draft.delta.piece)
        return drafts

    def _draft(self, text: _Growing, piece: str, before: LiveSeqs) -> Draft:
        claim, seconds = self._claim, None
        more: dict[str, Any]
        if text is self._reasoning:
            seconds = round(self._thinking.seconds, 2)
            more = {"seconds": seconds}
        else:
            start, html = self._blocks.append(piece)
            more = {"blocks": {"from": start, "html": html}}
        frame = wire.encode(
            "message.delta" if text is self._text else "message.reasoning_delta",
            message_id=str(claim.message_id),
            attempt=claim.attempt,
            seq=text.seq,
            text=piece,
            **more,
        )
        published = broadcast.publication(claim.session_id, frame)
        delta = Delta(claim.message_id, claim.attempt, piece, before, self._whole, seconds, published)
        return Draft(delta, claim.session_id, text, frame)

    def _whole(self) -> live_text.LiveText:
        return live_text.LiveText(self._claim.attempt, self._text.seq, self._text.shown, self._reasoned())


class _Growing:
    """One of an answer's two texts: what deltas have carried of it, and what the next one will."""

    def __init__(self, kept: str, *, is_later_round: bool, longest: int | None = None) -> None:
        self.seq = 0
        self.is_round_blank = True
        self.has_begun = False  # a delta of this round has been made
        self._is_later_round = is_later_round
        self._shown: list[str] = [kept] if kept else []  # beginning with what earlier attempts have written
        self._waiting: list[str] = []
        self._half = ""  # the first half of a surrogate pair whose second half is in the next piece
        self._left = longest and longest - len(kept)  # characters that there is room for; None: no end

    def add(self, piece: str) -> bool:
        """Takes the next piece, without what no database stores: NUL, and halves of characters. False: nothing was left."""
        piece, self._half = storable(self._half + piece)
        if piece and self.is_round_blank and self._is_later_round:
            piece = self._apart(piece)
        if self._left is not None:
            piece = self._cut(piece, self._left)
        if piece:
            self.is_round_blank = self.is_round_blank and is_blank(piece)
            self._waiting.append(piece)
        return bool(piece)

    def _apart(self, piece: str) -> str:
        """The first words of a later round begin a paragraph of their own; blank text before them is dropped."""
        piece = piece.lstrip()
        return f"\n\n{piece}" if piece and (self._shown or self._waiting) else piece

    def _cut(self, piece: str, left: int) -> str:
        if left < 0 or not piece:
            return ""
        self._left = left - len(piece)
        return piece if len(piece) <= left else piece[:left] + CUT

    def begin_round(self) -> None:
        self._half = ""
        self.has_begun = False
        self.is_round_blank = self._is_later_round = True

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    @property
    def shown(self) -> str:
        if len(self._shown) > 1:
            self._shown = ["".join(self._shown)]
        return self._shown[0] if self._shown else ""

    def next_delta(self) -> str:
        """Makes what waits the next delta, and returns it."""
        piece, self._waiting = "".join(self._waiting), []
        self.has_begun = True
        self.show(piece)
        return piece

    def unsay(self, start: int) -> tuple[str, bool]:
        """Takes back all from `start` on, and returns it, and whether any delta has carried it: then two are counted."""
        shown = self.shown
        said, was_shown = shown[start:] + "".join(self._waiting), len(shown) > start
        self._shown, self._waiting, self._half = [shown[:start]] if start else [], [], ""
        self.is_round_blank, self.has_begun = True, False
        self.seq += 2 if was_shown else 0
        return said, was_shown

    def show(self, piece: str) -> None:
        self._shown.append(piece)
        self.seq += 1

    def take_back(self, piece: str) -> None:
        """The last delta was not."""
        self._shown = [self.shown.removesuffix(piece)]
        self.seq -= 1


class _Stopwatch:
    """How long a model has thought: each time from a first thought to the last one, or to the first word that follows."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last_thought: float | None = None

    def go_on(self) -> None:
        now = time.monotonic()
        if self._last_thought is not None:
            self.seconds += now - self._last_thought
        self._last_thought = now

    def stop(self) -> None:
        if self._last_thought is not None:
            self.go_on()
            self._last_thought = None

    def break_off(self) -> None:
        self._last_thought = None
