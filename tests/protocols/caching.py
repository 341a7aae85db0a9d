"""A prompt cache as Anthropic keeps it: what stands before a mark is kept, and found again by the next request.

Source: Anthropic's "Prompt caching": the order is tools, system, messages; a cached prefix is also found up to 20 blocks
before a mark; prefixes below a least size aren't kept.
"""

import hashlib
import json
from typing import Any

LOOKBACK_BLOCKS = 20


class PromptCache:
    def __init__(self, least_tokens: int) -> None:
        self.least_tokens = least_tokens
        self._kept: set[str] = set()

    def used(self, body: dict[str, Any]) -> tuple[int, int]:
        """Tokens that this request reads from the cache, and that it puts there."""
        prefixes: list[tuple[str, int]] = []  # of each block: hash and tokens up to its end
        marks: list[int] = []
        seen, tokens = hashlib.sha256(body["model"].encode()), 0
        for where, block in _blocks(body):
            bare = {name: value for name, value in block.items() if name != "cache_control"}
            text = json.dumps([where, bare], sort_keys=True)
            seen.update(text.encode())
            tokens += max(1, len(text) // 4)
            if "cache_control" in block:
                marks.append(len(prefixes))
            prefixes.append((seen.hexdigest(), tokens))
        read = 0
        for mark in marks:
            for key, size in prefixes[max(0, mark - LOOKBACK_BLOCKS) : mark + 1]:
                if key in self._kept:
                    read = max(read, size)
        last = max((prefixes[mark][1] for mark in marks), default=0)
        for mark in marks:
            if prefixes[mark][1] >= self.least_tokens:
                self._kept.add(prefixes[mark][0])
        return read, last - read if last >= self.least_tokens else 0


def _blocks(body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [("tool", tool) for tool in body.get("tools") or ()]
    system = body.get("system") or []
    found += [("system", block) for block in ([{"text": system}] if isinstance(system, str) else system)]
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        found += [(message["role"], block) for block in blocks]
    return found
