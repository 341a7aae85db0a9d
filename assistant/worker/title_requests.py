"""Asks a session's model for a title once it has answered: beside the turns, in nobody's way, and never twice at once.

A title is a nicety. Whatever goes wrong, the first question's words stay, and the next answer's end is another chance.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import aclosing

from django.db import DatabaseError, InterfaceError

from assistant import conf, llm
from assistant.database import Database
from assistant.lifecycle import titling
from assistant.models.message import Claim
from assistant.text.blank import is_blank
from assistant.text.storable import storable
from assistant.worker.metering import metered

logger = logging.getLogger(__name__)

AT_ONCE = 4
MOST_WAITING = 100  # a model that hangs is not asked by all who come
TITLE_SECONDS = 20.0  # for a model to name a session
MOST_TOKENS = 2_000  # with what it thinks
LONGEST_REPLY = 300  # characters; a model that goes on is cut off

INSTRUCTION = (
    "You name conversations. Reply with a title for the one below and nothing else: at most six words, in its language, "
    "without quotes and without a full stop."
)


class TitleRequests:
    """Owned by a worker's runner, on its loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def consider(self, claim: Claim) -> None:
        """A turn has ended: if it was an answer, and its session has no name yet, the model is asked for one."""
        if not conf.settings.titles or len(self._tasks) >= MOST_WAITING:
            return
        task = asyncio.create_task(self._entitle(claim), name=f"title {claim.session_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Gives up what is under way: the first question's words will do."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _entitle(self, claim: Claim) -> None:
        try:
            async with self._room:
                talk = await self._database.call_once(titling.begin, claim.message_id)
                if talk is None:
                    return
                async with asyncio.timeout(TITLE_SECONDS):
                    title = cleaned(await self._ask(claim, talk))
                if not is_blank(title):
                    await self._database.call_once(titling.give, claim.session_id, title)
        except (llm.ModelError, DatabaseError, InterfaceError, TimeoutError) as error:
            logger.info("Session %s keeps its title: %s", claim.session_id, str(error) or type(error).__name__)
        except Exception:
            logger.exception("The title of session %s failed.", claim.session_id)

    async def _ask(self, claim: Claim, talk: titling.Talk) -> str:
        messages = [
            {"role": "system", "content": INSTRUCTION},
            {"role": "user", "content": f"Question:\n{talk.question}\n\nAnswer:\n{talk.answer}"},
        ]
        stream = llm.stream(talk.model, messages, parameters={"max_tokens": MOST_TOKENS})
        reply = ""
        async with aclosing(metered(stream, claim, talk.model, messages, self._database, talk.user_id)) as pieces:
            async for piece in pieces:
                if isinstance(piece, llm.WasThought):
                    reply = ""
                elif isinstance(piece, llm.Text):
                    reply += piece.text
                    if len(reply) > LONGEST_REPLY:
                        break
        return reply


def cleaned(reply: str) -> str:
    """A model's reply as a title: one short line, without the quotes and labels that models like to add."""
    title = titling.shortened(storable(reply)[0])
    title = re.sub(r"^(title|titel|titre)\s*:\s*", "", title, flags=re.IGNORECASE)
    # No controls, and nothing that turns the line around; a joiner holds a picture of several letters together.
    title = "".join(letter for letter in title if letter.isprintable() or letter == "\u200d")
    return title.strip("\"'`*_“”„«» ").rstrip(".").strip()
