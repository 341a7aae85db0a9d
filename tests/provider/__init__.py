"""A scripted, OpenAI-compatible model server over real HTTP, for tests and benchmarks.

The model's name is the script: `openai/paced-n300-rate50` streams 300 words at 50 a second. The words of the
grammar stand in `tests/provider/script.py`, the endpoints in `tests/provider/server.py`.
"""

from .process import ProviderProcess
from .script import Script, expected_text, expected_tokens, parse

__all__ = ["ProviderProcess", "Script", "expected_text", "expected_tokens", "parse"]
