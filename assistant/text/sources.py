"""Where what an answer says comes from, as models tell it: addresses that a page may link to, each once. Pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

MOST = 100  # of one answer
LONGEST_TITLE = 200
LONGEST_URL = 2_000

# A name in front of an @ may look like another site; what else stands here is in no host that a browser takes.
_NO_HOST = re.compile(r"[@<>%^|\\]")


class Sources:
    """Those of one answer, in the order in which they were told. `told`: [{"url", "title", "round"}]."""

    def __init__(self, told: tuple[dict[str, Any], ...] = ()) -> None:
        self._by_url = {source["url"]: dict(source) for source in told}
        self.is_new = False  # something is in it that `told` was not given with

    @property
    def told(self) -> list[dict[str, Any]]:
        return list(self._by_url.values())

    def add(self, url: str, title: str, number: int) -> None:
        """Takes one, told in round `number`, if it is an address in the web and there is room for it."""
        url, title = url.strip(), _one_line(title)
        if known := self._by_url.get(url):
            self.is_new = self.is_new or bool(title and not known["title"])
            known["title"] = known["title"] or title
        elif len(self._by_url) < MOST and is_linkable(url):
            self._by_url[url] = {"url": url, "title": title, "round": number}
            self.is_new = True


def _one_line(title: str) -> str:
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())
    return shown if len(shown) <= LONGEST_TITLE else f"{shown[: LONGEST_TITLE - 1]}…"


def is_linkable(url: str, longest: int = LONGEST_URL) -> bool:
    """Whether a person may be sent there: no script, no file, and no name in front that looks like another site's."""
    if len(url) > longest or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        is_site = bool(parts.hostname) and not _NO_HOST.search(parts.netloc) and parts.port != 0
    except ValueError:  # of a port too
        return False
    return is_site and parts.scheme in ("http", "https")
