"""Kills every part of the running product, over and over, and counts what was lost: `make chaos`.

What is done and what came of it is told in docs/reliability.md.
"""
