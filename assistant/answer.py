"""An answer while it is being written: the text, cut into deltas, drawn, stored live and sent to the viewers.

The model writes at its own pace and never waits for a viewer. The first piece is sent at once; what comes within
`INTERVAL_SECONDS` of the last delta is sent together with what follows. Each delta is drawn and encoded once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import redis.asyncio

from assistant import events, live, markup, valkey
from assistant.lifecycle.answering import Written
from assistant.models.message import Claim

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.03
SEALED_PAUSE_SECONDS = 0.1


class Answer:
    """Owned by one turn, on the runner's loop.

    `on_doubt` is called when Valkey says that this attempt may not write any more: somebody is stopping it, or a later
    attempt has begun. Whether that is so the database decides; until then the writing pauses and nothing is lost.
    """

    def __init__(self, claim: Claim, client: redis.asyncio.Redis, on_doubt: Callable[[], None]) -> None:
        self._claim = claim
        self._writer = live.LiveWriter(client, claim.message_id, claim.attempt)
        self._on_doubt = on_doubt
        self._blocks = markup.RoundBlocks(claim.kept, claim.ends)
        self._shown: list[str] = [claim.kept] if claim.kept else []  # what deltas have carried, after what was kept
        self._waiting: list[str] = []  # what the next delta will carry
        self._ends = claim.ends  # where rounds of tool calls stand in the text
        self._is_round_blank = True
        self._seq = 0
        self._half = ""  # the first half of a surrogate pair whose second half is in the next piece
        self._is_closed = False
        self._news = asyncio.Event()
        self._sending = asyncio.Lock()
        self._valkey_is_away = False
        self._delta: asyncio.Task[None] | None = None
        self._sender = asyncio.create_task(self._send_forever(), name=f"deltas {claim.message_id}")

    def write(self, piece: str) -> None:
        """Takes the next piece of the model's text, without what no database stores: NUL, and halves of characters."""
        if self._is_closed:
            return
        piece, self._half = storable(self._half + piece)
        if piece and self._is_round_blank and self._ends:
            piece = self._apart(piece)
        if piece:
            self._is_round_blank = self._is_round_blank and not piece.strip()
            self._waiting.append(piece)
            self._news.set()

    def _apart(self, piece: str) -> str:
        """The first words of a later round begin a paragraph of their own; blank text before them is dropped."""
        piece = piece.lstrip()
        return f"\n\n{piece}" if piece and self._text() else piece

    @property
    def is_blank(self) -> bool:
        """Whether this round has written nothing yet but white space."""
        return self._is_round_blank

    @property
    def written(self) -> Written:
        """The text that deltas have carried, and their number. (What still waits has been seen by nobody.)"""
        return Written(self._text(), self._seq, self._ends)

    async def end_round(self) -> Written:
        """Sends what waits; what is written from now on stands behind the tool calls that come here.

        While somebody is stopping the answer this waits: either the stop wins and the turn is cancelled, or the writing
        goes on.
        """
        self._half = ""
        while True:
            try:
                await self._sent_whole()
                break
            except live.Superseded:
                self._on_doubt()
                await asyncio.sleep(SEALED_PAUSE_SECONDS)
        self._blocks.end_round()
        self._ends += (len(self._text()),)
        self._is_round_blank = True
        return self.written

    async def close(self) -> None:
        """Sends what waits and ends the sending. Afterwards `written` is everything the model wrote."""
        await self.discard()
        try:
            await self._send()
        except live.Superseded:
            # The row decides who ends this answer. If it is we, the ending itself carries the last piece.
            self._shown += self._waiting
            self._seq += 1

    async def discard(self) -> None:
        """Ends the sending; a delta that has begun is sent, what waits is not."""
        self._is_closed = True
        self._sender.cancel()
        await asyncio.gather(self._sender, *([self._delta] if self._delta else []), return_exceptions=True)

    async def _send_forever(self) -> None:
        while True:
            await self._news.wait()
            try:
                await self._sent_whole()
            except live.Superseded:
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
            piece = "".join(self._waiting)
            if not piece:
                return
            await self._store(piece)
            start, html = self._blocks.append(piece)
            frame = events.encode(
                "message.delta",
                message_id=str(self._claim.message_id),
                attempt=self._claim.attempt,
                seq=self._seq,
                text=piece,
                blocks={"from": start, "html": html},
            )
            await events.send_frame(self._claim.session_id, frame)

    async def _store(self, piece: str) -> None:
        """Takes the next `seq` and appends to the live text. Without Valkey the database's checkpoints go on alone.

        Raises live.Superseded; then the piece waits as before.
        """
        taken, self._waiting = self._waiting, []
        self._shown.append(piece)
        self._seq += 1
        try:
            await self._writer.append(piece, self._seq - 1, self._text)
            self._valkey_is_away = False
        except valkey.Unavailable as error:
            if not self._valkey_is_away:
                logger.warning("Valkey is away (%s); answer %s goes on.", error, self._claim.message_id)
            self._valkey_is_away = True
        except live.Superseded:
            self._shown.pop()
            self._seq -= 1
            self._waiting = taken + self._waiting
            raise

    def _text(self) -> str:
        if len(self._shown) > 1:
            self._shown = ["".join(self._shown)]
        return self._shown[0] if self._shown else ""


def storable(text: str) -> tuple[str, str]:
    """`text` without NUL, its surrogate pairs joined and lone ones replaced by U+FFFD; and a trailing first half.

    JSON may carry a character beyond U+FFFF as two escapes, and a provider may cut between them.
    """
    half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    whole = text.removesuffix(half) if half else text
    if "\x00" in whole:
        whole = whole.replace("\x00", "")
    if not whole.isascii() and any("\ud800" <= letter <= "\udfff" for letter in whole):
        whole = whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole, half


def _look_at(sending: asyncio.Future[None]) -> None:
    """If nobody waits for it any more, what it raises needs no answer: the attempt is over."""
    if not sending.cancelled():
        sending.exception()
