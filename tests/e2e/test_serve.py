"""`manage.py serve` as an operator meets it: what it says, what it refuses, what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.product import ROOT, free_port
from tests.provider import ProviderProcess

from .running import Product, newly_installed


@pytest.fixture(scope="module")
def product(provider: ProviderProcess) -> Iterator[Product]:
    with newly_installed(provider) as process:
        yield process


def serve(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Runs `serve` where it can't start; returns its exit code and all that it printed."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", *(arguments or ("--port", str(free_port())))],
        cwd=ROOT, env=kept | {"ASSISTANT_DATA_DIR": str(folder)} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.terminate()  # it started after all: it is to end in order, with all that it started
        said, _ = process.communicate(timeout=60)
        raise AssertionError(f"It did not refuse to start. {said}") from None
    return process.returncode, said


def assert_one_sentence(code: int, said: str, *words: str) -> None:
    assert code != 0, said
    assert "Traceback" not in said, said
    lines = [line for line in said.splitlines() if line.strip()]
    assert len(lines) == 1, said
    assert all(word in said for word in words), said


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_one_sentence(*serve(tmp_path, "--port", port), port)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASSISTANT_TIMEOUT", "soon"),
        ("ASSISTANT_WORKERS", "0"),
        ("ASSISTANT_LEASE", "1"),
        ("ASSISTANT_MODELS", "=x"),
        ("DEBUG", "maybe"),
        ("CSRF_TRUSTED_ORIGINS", "example.org"),
        ("REDIS_URL", "http://example.org"),
        ("DATABASE_URL", "mysql://example.org/x"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    assert_one_sentence(*serve(tmp_path, **{name: value}), name)


@pytest.mark.long
def test_a_database_or_redis_that_is_not_there(tmp_path: Path) -> None:
    port = free_port()
    assert_one_sentence(*serve(tmp_path, DATABASE_URL=f"postgres://u:p4ss@127.0.0.1:{port}/x"), "database")
    assert_one_sentence(*serve(tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}/0"), "REDIS_URL")


def test_a_data_dir_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_one_sentence(*serve(tmp_path / "file" / "data"), "ASSISTANT_DATA_DIR")


def test_it_says_ready_when_it_answers(product: Product) -> None:
    assert [line.strip() for line in product.said if "Ready" in line] == [f"Ready on {product.url}/"]
    with httpx.Client(base_url=product.url, trust_env=False) as nobody:
        assert nobody.get("/healthz").status_code == 200
        assert nobody.get("/readyz").json() == {"status": "ok", "database": "ok", "redis": "ok", "workers": "ok"}


def libraries(process: psutil.Process) -> set[str]:
    """The packages of which it has loaded what is compiled."""
    return set(re.findall(r"/site-packages/([^/.]+)", Path(f"/proc/{process.pid}/maps").read_text()))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="what a process has loaded is Linux's to tell")
def test_each_process_holds_only_what_it_needs(product: Product) -> None:
    """`serve` watches, and holds no library at all. litellm is in the workers and in what forks them."""
    of_litellm = {"fastuuid", "tiktoken"}
    assert libraries(product.process) == set()
    assert not libraries(product.child("assistant.web")) & of_litellm
    workers = product.workers()
    assert len(workers) == 2 and all(libraries(worker) >= of_litellm for worker in workers)


def test_only_the_web_port_is_on_the_network(product: Product) -> None:
    listening = [
        (connection.laddr.ip, connection.laddr.port)
        for process in product.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    ]
    assert listening == [("127.0.0.1", product.port)]


def test_its_files_are_its_owner_s_alone(product: Product) -> None:
    assert product.data_dir.stat().st_mode & 0o077 == 0
    for file in product.data_dir.iterdir():
        if file.name == "secret_key" or file.is_socket():
            assert file.stat().st_mode & 0o077 == 0, file


def test_a_second_one_on_the_same_data_is_refused(product: Product) -> None:
    """It would take the first one's Valkey from it."""
    if "REDIS_URL" in product.environment:
        pytest.skip("Nothing is embedded here that could be taken.")
    code, said = serve(product.data_dir)
    assert_one_sentence(code, said, str(product.data_dir))
    assert httpx.get(f"{product.url}/readyz", trust_env=False).status_code == 200


@pytest.mark.parametrize("word", ["manage.py worker", "assistant.web", "valkey"])
def test_a_child_that_dies_is_started_again_and_named(product: Product, word: str) -> None:
    if word == "valkey" and "REDIS_URL" in product.environment:
        pytest.skip("No Valkey is embedded.")
    name = {"manage.py worker": "worker", "assistant.web": "web server", "valkey": "embedded Valkey"}[word]
    child = product.child(word)
    since = time.monotonic()
    child.kill()
    product.wait_for(lambda: any(f"The {name} was killed by signal 9" in line for line in product.said))
    with httpx.Client(base_url=product.url, trust_env=False, timeout=5) as nobody:

        def is_ready() -> bool:
            try:
                return product.child(word).pid != child.pid and nobody.get("/readyz").status_code == 200
            except (httpx.HTTPError, AssertionError):
                return False

        product.wait_for(is_ready)
    print(f"{name}: ready again after {time.monotonic() - since:.1f} s")


@pytest.mark.long
def test_killed_itself_it_leaves_nothing_and_the_key_stays(product: Product) -> None:
    key = (product.data_dir / "secret_key").read_text()
    family = product.processes()
    family[0].kill()
    try:
        product.wait_for(lambda: not any(_is_up(process) for process in family), 30)
    finally:
        for orphan in filter(_is_up, family):
            orphan.kill()
    product.stop()
    product.start()
    assert (product.data_dir / "secret_key").read_text() == key and len(key) > 40


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_stops_all_of_it(product: Product, sign: signal.Signals) -> None:
    if not product.is_started:
        product.start()
    # A test before may have killed the workers: they are there again in a moment.
    product.wait_for(lambda: len(product.processes()) > 5)
    family = product.processes()
    began, line = time.monotonic(), len(product.said)
    product.process.send_signal(sign)
    product.wait_for(lambda: not any(map(_is_up, family)), 60)
    print(f"stopped in {time.monotonic() - began:.1f} s")
    assert product.stop() == 0
    assert not list(product.data_dir.glob("*.sock"))
    product.assert_no_traceback(since=line)


def _is_up(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
