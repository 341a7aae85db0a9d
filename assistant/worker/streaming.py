"""An answer while it is being written: text and reasoning, cut into deltas, drawn, stored live and sent to the viewers.

The model writes at its own pace and never waits for a viewer. The first piece is sent at once; what comes within
`INTERVAL_SECONDS` of the last delta is sent together with what follows. Each delta is drawn and encoded once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio

from assistant import markup
from assistant.delivery import live_text, valkey
from assistant.lifecycle.text_columns import Written
from assistant.models.message import Claim
from assistant.presentation import events
from assistant.text.blank import is_blank
from assistant.text.reasoned import Reasoned
from assistant.text.storable import storable

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.03
SEALED_PAUSE_SECONDS = 0.1
LONGEST_REASONING = 1_000_000  # characters; more is neither shown nor stored, but for the mark that says so
CUT = "\n\n[…]"


class Answer:
    """Owned by one turn, on the runner's loop.

    `on_doubt` is called when Valkey says that this attempt may not write any more: somebody is stopping it, or a later
    attempt has begun. Whether that is so the database decides; until then the writing pauses and nothing is lost.
    """

    def __init__(self, claim: Claim, client: redis.asyncio.Redis, on_doubt: Callable[[], None]) -> None:
        self._claim = claim
        self._writer = live_text.LiveWriter(client, claim.message_id, claim.attempt)
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
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._valkey_is_away = False
        self._delta: asyncio.Task[None] | None = None
        self._sender: asyncio.Task[None] | None = None  # from the first piece on

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
        async with self._sending:  # no delta is on its way
            said, was_shown = self._text.unsay(self._round_start)
            if self._spoke_at is not None:
                self._thinking.seconds += time.monotonic() - self._spoke_at
                self._spoke_at = None
            thought = self._reasoning.add(said.strip()) if not is_blank(said) else False
            if was_shown:
                self._blocks.begin_round_anew()
                await self._tell_taken_back(self._reasoning.next_delta() if thought else "")
        if thought and not was_shown:
            self._wake()

    async def _tell_taken_back(self, thought: str) -> None:
        """Tells viewers, once both texts stand so in Valkey. Where they can't, the next delta's append sets them."""
        try:
            await self._writer.replace(self._whole())
        except (live_text.Superseded, *valkey.Unavailable):
            return
        if thought:
            seconds = round(self._thinking.seconds, 2)
            await self._tell("message.reasoning_delta", self._reasoning.seq, thought, seconds=seconds)
        start, html = self._blocks.append("")
        await self._tell("message.delta", self._text.seq, "", blocks={"from": start, "html": html})

    def break_off(self) -> None:
        """Whoever was thinking does so no more. What is thought when a model is asked again stands apart from it."""
        self._thinking.break_off()
        self._reasoning.begin_round()

    def _take(self, text: _Growing, piece: str) -> None:
        if text.add(piece):
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_forever(), name=f"deltas {self._claim.message_id}")

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
        while True:
            try:
                await self._sent_whole()
                break
            except live_text.Superseded:
                self._on_doubt()
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
        try:
            await self._send()
        except live_text.Superseded:
            # The row decides who ends this answer. If it is we, the ending itself carries the last piece.
            for text in (self._reasoning, self._text):
                if text.waits:
                    text.next_delta()

    async def discard(self) -> None:
        """Ends the sending; a delta that has begun is sent, what waits is not."""
        self._is_closed = True
        if self._sender is not None:
            self._sender.cancel()
        await asyncio.gather(*filter(None, (self._sender, self._delta)), return_exceptions=True)

    async def _send_forever(self) -> None:
        while True:
            await self._news.wait()
            try:
                await self._sent_whole()
            except live_text.Superseded:
                self._on_doubt()
                await asyncio.sleep(SEALED_PAUSE_SECONDS)
                self._news.set()
            else:
                await asyncio.sleep(INTERVAL_SECONDS)

    async def _sent_whole(self) -> None:
        """Sends shielded: a delta is sent as a whole or not begun, so that seq and text always agree."""
        self._delta = asyncio.create_task(self._send(), name=f"delta {self._claim.message_id}")
        self._delta.add_done_callback(_look_at)
        await asyncio.shield(self._delta)

    async def _send(self) -> None:
        async with self._sending:
            self._news.clear()
            if self._reasoning.waits:
                seconds = round(self._thinking.seconds, 2)
                piece = await self._store(self._reasoning, seconds)
                await self._tell("message.reasoning_delta", self._reasoning.seq, piece, seconds=seconds)
            if self._text.waits:
                piece = await self._store(self._text)
                start, html = self._blocks.append(piece)
                await self._tell("message.delta", self._text.seq, piece, blocks={"from": start, "html": html})

    async def _tell(self, type_: str, seq: int, piece: str, **more: Any) -> None:
        claim = self._claim
        frame = events.encode(
            type_, message_id=str(claim.message_id), attempt=claim.attempt, seq=seq, text=piece, **more
        )
        await events.send_frame(claim.session_id, frame)

    async def _store(self, text: _Growing, seconds: float | None = None) -> str:
        """Takes the next `seq` and appends to the live text. Without Valkey the database's checkpoints go on alone.

        Raises live_text.Superseded; then the piece waits as before.
        """
        before = (self._text.seq, self._reasoning.seq)
        piece = text.next_delta()
        try:
            await self._writer.append(piece, before, self._whole, seconds)
            self._valkey_is_away = False
        except valkey.Unavailable as error:
            if not self._valkey_is_away:
                logger.warning("Valkey is away (%s); answer %s goes on.", error, self._claim.message_id)
            self._valkey_is_away = True
        except live_text.Superseded:
            text.take_back(piece)
            raise
        return piece

    def _whole(self) -> live_text.LiveText:
        return live_text.LiveText(self._claim.attempt, self._text.seq, self._text.shown, self._reasoned())


class _Growing:
    """One of an answer's two texts: what deltas have carried of it, and what the next one will."""

    def __init__(self, kept: str, *, is_later_round: bool, longest: int | None = None) -> None:
        self.seq = 0
        self.is_round_blank = True
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
        self._shown.append(piece)
        self.seq += 1
        return piece

    def unsay(self, start: int) -> tuple[str, bool]:
        """Takes back all from `start` on, and returns it, and whether any delta has carried it: then two are counted."""
        shown = self.shown
        said, was_shown = shown[start:] + "".join(self._waiting), len(shown) > start
        self._shown, self._waiting, self._half = [shown[:start]] if start else [], [], ""
        self.is_round_blank = True
        self.seq += 2 if was_shown else 0
        return said, was_shown

    def take_back(self, piece: str) -> None:
        """The last delta was not: it waits again, before what came meanwhile."""
        self._shown = [self.shown.removesuffix(piece)]
        self.seq -= 1
        self._waiting.insert(0, piece)


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


def _look_at(sending: asyncio.Future[None]) -> None:
    """If nobody waits for it any more, what it raises needs no answer: the attempt is over."""
    if not sending.cancelled():
        sending.exception()
