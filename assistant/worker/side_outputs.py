"""What a model sends beside its words, as a turn takes it in: sources and pictures, each stored with the answer at once."""

from __future__ import annotations

from assistant.database import Database
from assistant.lifecycle import sources_and_pictures
from assistant.lifecycle.refusal import Refused
from assistant.llm.pieces import Picture, Source
from assistant.models.ids import new_id
from assistant.models.message import Claim
from assistant.text.sources import Sources


class SideOutputs:
    """Of one turn. Whether the answer is still its claim's is not its affair: what is not, is not stored."""

    def __init__(self, claim: Claim, database: Database) -> None:
        self._claim, self._database = claim, database
        self._sources = Sources(claim.sources)
        self._pictured = 0  # the last round that made a picture which is kept

    def cite(self, source: Source, number: int) -> None:
        """Takes a source of what is said in round `number`; `store_sources` stores it."""
        self._sources.add(source.url, source.title, number)

    async def store_sources(self) -> None:
        if self._sources.is_new:
            self._sources.is_new = False
            await self._database.call(sources_and_pictures.cite, self._claim, self._sources.told)

    async def keep(self, picture: Picture, number: int) -> str:
        """Stores a picture made in round `number`; returns "" or, where it can't be kept, a line that says why."""
        try:
            if await self._database.call(
                sources_and_pictures.keep_picture, self._claim, picture.data, number, new_id()
            ):
                self._pictured = number
        except Refused as refusal:
            return f"An image could not be kept. {refusal.detail}"
        return ""

    def has_picture(self, number: int) -> bool:
        return self._pictured == number
