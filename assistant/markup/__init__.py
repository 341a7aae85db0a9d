"""Markdown becomes safe HTML, block by block, once for all viewers.

`blocks(text)` renders a whole text; `LiveBlocks` renders a text that is still growing and tells which blocks
changed. Both give the same HTML for the same text. Call `warm()` before forking workers.
"""

from .code import warm
from .live import LiveBlocks
from .render import blocks

VERSION = 1
"""Grows whenever the HTML of some text changes, so that stored HTML is made again."""

__all__ = ["VERSION", "LiveBlocks", "blocks", "warm"]
