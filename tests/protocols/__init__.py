"""Strict fakes of the protocols that models are asked by: Anthropic's, Gemini's, Ollama's, ... over real HTTP.

They check what comes as the real ones do, and answer what the model's name says, in the words of
tests/provider/script.py, which are the same for all. `ProtocolsProcess` runs them.
"""

from .process import ProtocolsProcess

__all__ = ["ProtocolsProcess"]
