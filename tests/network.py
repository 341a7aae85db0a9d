"""A network of the tests' own, with a host in it whose address can fall silent: no packet of it arrives, and no reset.

It is a network namespace behind a pair of virtual Ethernet devices: Linux, iproute2, and the right to use them (root).
"""

from __future__ import annotations

import os
import secrets
import subprocess
from typing import Any, Self


def is_possible() -> bool:
    try:
        with Network():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


class Network:
    """`near` is this side's address, `far` the host's; `inside` makes a command run there."""

    def __init__(self) -> None:
        self._name = f"parley-{secrets.token_hex(3)}"
        self._link, self._far_link = f"pn{self._name[-6:]}", f"pf{self._name[-6:]}"
        # Of the block for benchmarks (RFC 2544), which nobody uses: four addresses for each process of tests.
        block = (os.getpid() * 4) % 65536
        self._near, self.far = (f"198.18.{block >> 8}.{(block & 255) + n}" for n in (1, 2))

    def __enter__(self) -> Self:
        _ip("netns", "add", self._name)
        try:
            _ip("link", "add", self._link, "type", "veth", "peer", "name", self._far_link, "netns", self._name)
            _ip("addr", "add", f"{self._near}/30", "dev", self._link)
            _ip("link", "set", self._link, "up")
            _ip("-n", self._name, "addr", "add", f"{self.far}/30", "dev", self._far_link)
            _ip("-n", self._name, "link", "set", self._far_link, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: Any) -> None:
        _ip("netns", "del", self._name)  # and with it the devices, once nobody is there any more

    def inside(self, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", self._name, *command]

    def cut(self) -> None:
        """The host's packets get lost from here on, those to it too. Whoever has a connection is not told."""
        _ip("-n", self._name, "addr", "del", f"{self.far}/30", "dev", self._far_link)

    def mend(self) -> None:
        _ip("-n", self._name, "addr", "add", f"{self.far}/30", "dev", self._far_link)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
