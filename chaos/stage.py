"""The product on its stage: the model server, perhaps PostgreSQL and Redis, and a look into its tables from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from assistant.processes.host_processes import boot_id
from tests.e2e.running import Product
from tests.provider import ProviderProcess
from tests.servers import PostgresServer, RedisServer, Server


@dataclass(frozen=True, slots=True)
class Held:
    """An answer that had not ended."""

    answer: str
    attempt: int
    worker: str | None  # the id of the worker's row; None while it waits for one


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as the database has it at the end."""

    id: str
    session: str
    role: str
    status: str
    content: str
    reply_to: str
    client_id: str
    attempt: int
    recoveries: int
    error_code: str
    error_detail: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool as the database has it at the end."""

    id: str
    answer: str
    round: int
    name: str
    status: str


@dataclass
class Stage:
    provider: ProviderProcess
    product: Product
    postgres: PostgresServer | None = None
    redis: RedisServer | None = None
    counts: Path | None = None  # where the tools note their runs, a line each

    def tool_runs(self) -> Counter[str]:
        """How often the tool of each call was run."""
        lines = self.counts.read_text().splitlines() if self.counts and self.counts.exists() else []
        return Counter(lines)

    def calls(self) -> list[Call]:
        rows = self.product.rows(
            "SELECT id, message_id, round, name, status FROM assistant_toolcall ORDER BY message_id, round, place"
        )
        return [Call(plain(row[0]), plain(row[1]), *row[2:]) for row in rows]

    @property
    def name(self) -> str:
        return "PostgreSQL and Redis" if self.postgres else "SQLite and the embedded Valkey"

    def workers(self) -> dict[str, psutil.Process]:
        """The living worker processes by the ids of their rows; those of this machine, where a pid is a process."""
        rows = self.product.rows(
            f"SELECT id, pid FROM assistant_workerprocess WHERE stopped_at IS NULL AND boot_id = '{boot_id()}'"
        )
        found = {}
        for key, pid in rows:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if is_up(process):
                    found[plain(key)] = process
        return found

    def ended(self) -> set[str]:
        """The ids of the workers that were found dead, or have ended in order."""
        rows = self.product.rows("SELECT id FROM assistant_workerprocess WHERE stopped_at IS NOT NULL")
        return {plain(key) for (key,) in rows}

    def strangers(self) -> set[str]:
        """The ids of the workers of other machines, as far as is known."""
        rows = self.product.rows(
            f"SELECT id FROM assistant_workerprocess WHERE stopped_at IS NULL AND boot_id <> '{boot_id()}'"
        )
        return {plain(key) for (key,) in rows}

    def held(self) -> list[Held]:
        rows = self.product.rows(
            "SELECT id, attempt, worker_id FROM assistant_message "
            "WHERE role = 'assistant' AND status IN ('pending', 'processing')"
        )
        return [Held(plain(key), attempt, plain(worker) if worker else None) for key, attempt, worker in rows]

    def unfinished(self) -> int:
        """Messages that have not ended, questions in queues included."""
        rows = self.product.rows("SELECT count(*) FROM assistant_message WHERE status IN ('pending', 'processing')")
        return int(rows[0][0])

    def messages(self) -> list[Stored]:
        rows = self.product.rows(
            "SELECT id, session_id, role, status, content, reply_to_id, client_id, attempt, recoveries, error_code, "
            "error_detail FROM assistant_message ORDER BY session_id, position, id"
        )
        return [
            Stored(plain(r[0]), plain(r[1]), r[2], r[3], r[4], plain(r[5]) if r[5] else "", r[6] or "", *r[7:])
            for r in rows
        ]

    def family(self) -> list[psutil.Process]:
        """Every process of the product, also orphans of an earlier supervisor: they share a session with a worker."""
        found = {process.pid: process for process in self.product.processes()}
        for worker in self.workers().values():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                sentinel = os.getpgid(worker.pid)
                for process in [psutil.Process(sentinel), *psutil.Process(sentinel).children(recursive=True), worker]:
                    found.setdefault(process.pid, process)
        return list(found.values())


def plain(key: object) -> str:
    """A UUID as the API writes it, whichever way the database gives it."""
    return str(uuid.UUID(str(key)))


def is_up(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def send(processes: list[psutil.Process], sign: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(sign)


def kill_server(server: Server) -> None:
    """SIGKILL to a server and all it has forked. PostgreSQL's processes are no process group."""
    assert server._process is not None
    process = psutil.Process(server._process.pid)
    send([process, *process.children(recursive=True)], signal.SIGKILL)
    server.kill()


@contextlib.contextmanager
def staged(postgres: bool, lease: float, attempts: int, workers: int, **settings: str) -> Iterator[Stage]:
    """The product, started and ready. `settings` are further variables of its environment."""
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(ProviderProcess())
        counts = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-counts-"))) / "counts"
        environment = {
            "OPENAI_API_BASE": provider.base_url,
            "OPENAI_API_KEY": "x",
            "ASSISTANT_MODELS": "openai/words,openai/*",
            "ASSISTANT_LEASE": f"{lease:g}",
            "ASSISTANT_HEARTBEAT": f"{lease / 5:g}",
            "ASSISTANT_MAX_ATTEMPTS": str(attempts),
            "ASSISTANT_WORKERS": str(workers),
            "ASSISTANT_TOOLS": "tests.e2e.counting_tools,tests.e2e.poison_tools",
            "ASSISTANT_SERVICES": "counting",
            "COUNT_FILE": str(counts),
        } | settings
        database = redis = None
        if postgres:
            database, redis = stack.enter_context(PostgresServer()), stack.enter_context(RedisServer())
            environment |= {"DATABASE_URL": database.url, "REDIS_URL": redis.url}
        product = Product(environment)
        stack.enter_context(product)
        yield Stage(provider, product, database, redis, counts)
