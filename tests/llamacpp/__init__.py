"""A real llama.cpp server for the tests, with a tiny model that they make themselves."""

from .process import LlamaServer

__all__ = ["LlamaServer"]
