"""Markdown becomes safe HTML, block by block, once for all viewers.

`blocks(text)` renders a whole text; `LiveBlocks` renders a text that is still growing and tells which blocks
changed. Both give the same HTML for the same text. `blocks_by_round` and `RoundBlocks` do so for a text with places
in it at which something else stands. Call `warm()` before forking workers.
"""

from .code import warm
from .live_blocks import LiveBlocks
from .prose import prose
from .render import blocks
from .round_blocks import RoundBlocks, blocks_by_round

VERSION = 2
"""Grows whenever the HTML of some text changes, so that stored HTML is made again."""

__all__ = ["VERSION", "LiveBlocks", "RoundBlocks", "blocks", "blocks_by_round", "prose", "warm"]
