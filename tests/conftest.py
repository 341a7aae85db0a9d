"""What the tests share: a database file (or DATABASE_URL), a real Valkey, a model list, and the cast.

Alice owns the session, Bob takes part as an editor, Vera views, Charlie is outside.

pytest-django has read the settings before this file is loaded, so what tests need is put into them here. Each process of
pytest-xdist has a folder, a Valkey and a key prefix of its own.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import TransactionTestCase
from whitenoise.middleware import WhiteNoiseMiddleware

from assistant import llm, outage
from assistant.conf.connections import channel_host
from assistant.delivery import clock, mailbox, queue, valkey
from assistant.models import ChatSession, Participant, WorkerProcess
from assistant.models.participant import Role
from assistant.presentation import broadcast
from assistant.processes.embedded_valkey import command, socket_path
from tests.emptying import empty_tables
from tests.llamacpp import LlamaServer
from tests.protocols import ProtocolsProcess
from tests.provider import ProviderProcess

FOLDER = Path(tempfile.mkdtemp(prefix="parley-test-"))  # short: a socket's path has an end
PREFIX = f"test-{os.getpid()}"
OWN_VALKEY = not os.environ.get("REDIS_URL")
MODELS = [("Test", "test/model"), ("Other", "test/other")]


def _settle() -> None:
    os.environ["ASSISTANT_DATA_DIR"] = str(FOLDER)
    settings.ASSISTANT_DATA_DIR = FOLDER
    settings.ASSISTANT_MODELS = MODELS
    settings.ASSISTANT_TITLES = False  # tests count what the model is asked; those of titles switch them on
    for name in ("RATE_LIMIT", "UPLOAD_RATE", "SIGN_IN_RATE"):
        setattr(settings, f"ASSISTANT_{name}", 0)  # tests are quick; those of the limits set them
    media: dict[str, Any] = settings.STORAGES["default"]["OPTIONS"]  # type: ignore[index]
    media["location"] = FOLDER / "media"
    settings.ALLOWED_HOSTS = ["testserver", "localhost"]
    settings.CSRF_TRUSTED_ORIGINS = []
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for name, value in {"LEASE": 10, "HEARTBEAT": 2, "MAX_ATTEMPTS": 3, "MAX_LENGTH": 10_000}.items():
        setattr(settings, f"ASSISTANT_{name}", value)
    if OWN_VALKEY:
        settings.REDIS_URL = f"unix://{socket_path(FOLDER)}"
    layer: dict[str, Any] = settings.CHANNEL_LAYERS["default"]["CONFIG"]  # type: ignore[assignment]
    layer |= {"prefix": PREFIX, "hosts": [channel_host(settings.REDIS_URL)]}
    valkey.PREFIX = PREFIX
    queue.BELL, queue.JOBS_BELL = f"{PREFIX}:doorbell:answers", f"{PREFIX}:doorbell"
    database = connections.settings["default"]
    database["CONN_MAX_AGE"] = 0  # threads of pools would keep connections to a database that is to be dropped
    is_sqlite = database["ENGINE"].endswith("sqlite3")
    # Threads need a file: SQLite's database in memory has one connection.
    database["TEST"]["NAME"] = str(FOLDER / "test.sqlite3") if is_sqlite else f"test_parley_{os.getpid()}"


_settle()


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)


# What takes long comes first, in this order: whichever of the processes got it at the end would keep the other waiting.
# It starts whole projects, builds a wheel, or tries many sessions.
LONG = [
    "test_whole_turns.py", "e2e", "test_any_order.py", "test_any_user.py", "test_wheel.py", "test_embedding.py",
    "test_chaos.py",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        names = (item.path.name, item.path.parent.name)
        return next((place for place, name in enumerate(LONG) if name in names), len(LONG))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[None]:
    """The Valkey of this test process: REDIS_URL if it is set, else the embedded one on a socket of its own."""
    process = None
    if OWN_VALKEY:
        process = subprocess.Popen(command(socket_path(FOLDER), FOLDER), stdout=subprocess.DEVNULL)
    _until_it_answers(valkey.client())
    yield
    broadcast.flush()
    for key in valkey.client().scan_iter(f"{PREFIX}*"):
        valkey.client().delete(key)
    if process is not None:
        process.terminate()
        process.wait(20)


def _until_it_answers(client: redis.Redis) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            client.ping()
            return
        except valkey.Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


@pytest.fixture(autouse=True)
def _no_outage_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that found the database away judges nobody for a lease; each test begins without that."""
    monkeypatch.setattr(outage, "_last", float("-inf"))


@pytest.fixture(autouse=True)
def _valkey_for_the_database(request: pytest.FixtureRequest) -> None:
    """Whoever commits rings the doorbell and sends frames."""
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("valkey_server")
        clock._reading = None
        clock.ask()  # now, and not in the midst of statements that a test counts


@pytest.fixture(autouse=True, scope="session")
def _swift_emptying() -> Iterator[None]:
    """After a test Django truncates all tables and makes its permissions anew, which takes long; a DELETE is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda test: empty_tables())
        yield


@pytest.fixture(autouse=True, scope="session")
def _static_files_listed_once() -> Iterator[None]:
    """Each test client makes the middleware anew, which would look at each of two hundred files each time."""
    listed: dict[str, dict[str, Any]] = {}
    list_files = WhiteNoiseMiddleware.add_files_from_finders

    def once(middleware: WhiteNoiseMiddleware) -> None:
        if middleware.static_prefix not in listed:
            list_files(middleware)
            listed[middleware.static_prefix] = dict(middleware.files)
        middleware.files.update(listed[middleware.static_prefix])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", once)
        yield


@pytest.fixture(autouse=True, scope="session")
def _errors_are_documented() -> Iterator[None]:
    """An error with which a call answers and that the API's schema doesn't know of fails the test that meets it."""
    from assistant import api
    from tests.documented import check_documented

    answer = api.answer

    def checked(request: Any, code: str, detail: str, status: int) -> Any:
        check_documented(request, code, status)
        return answer(request, code, detail, status)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "answer", checked)
        yield


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for all tests that need one: `loop.run(scenario())`."""

    async def hang_up() -> None:
        # First what may still use the layer: after the flush it would connect anew.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        layer: Any = get_channel_layer()
        await layer.flush()
        await llm.close()

    with asyncio.Runner() as runner:
        yield runner
        runner.run(hang_up())


# --- the models ---


@pytest.fixture(scope="module")
def scripted() -> Iterator[ProviderProcess]:
    """The scripted provider as a process, for the tests of a file."""
    with ProviderProcess() as process:
        yield process


@pytest.fixture(scope="module")
def provider(scripted: ProviderProcess) -> ProviderProcess:
    """The same, for files in which nothing has to be set up to ask it."""
    return scripted


@pytest.fixture
def asked_here(scripted: ProviderProcess, settings: Any, monkeypatch: pytest.MonkeyPatch) -> ProviderProcess:
    """Whoever asks `openai/...` in the tests' own process asks the scripted provider; no model stands in for another."""
    scripted.reset()
    monkeypatch.setenv("OPENAI_API_BASE", scripted.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key")
    settings.ASSISTANT_MODELS = [("All", "openai/*")]
    settings.ASSISTANT_FALLBACK_MODELS = []
    settings.ASSISTANT_ESCALATION_MODEL = ""
    return scripted


@pytest.fixture(scope="session")
def protocols_process() -> Iterator[ProtocolsProcess]:
    """Strict fakes of all protocols, as a process: for tests that set the environment themselves."""
    with ProtocolsProcess() as process:
        yield process


@pytest.fixture
def protocols(
    protocols_process: ProtocolsProcess, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> ProtocolsProcess:
    """Whoever asks `anthropic/...`, `gemini/...`, ... in the tests' own process asks the fakes of their protocols."""
    protocols_process.reset()
    for name, value in protocols_process.environment.items():
        monkeypatch.setenv(name, value)
    settings.ASSISTANT_MODELS = [("All", "*")]
    settings.ASSISTANT_FALLBACK_MODELS = []
    settings.ASSISTANT_ESCALATION_MODEL = ""
    return protocols_process


@pytest.fixture(scope="session")
def llama_server() -> Iterator[LlamaServer]:
    """A real llama.cpp server with a tiny model of the tests' own."""
    if importlib.util.find_spec("xllamacpp") is None:
        reason = "There is no wheel of xllamacpp, which ships llama.cpp's server, for this machine."
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    with LlamaServer() as server:
        yield server


# --- the cast ---


@pytest.fixture
def alice(transactional_db: None) -> Any:
    return get_user_model().objects.create_user("alice")


@pytest.fixture
def bob(transactional_db: None) -> Any:
    return get_user_model().objects.create_user("bob")


@pytest.fixture
def vera(transactional_db: None) -> Any:
    return get_user_model().objects.create_user("vera")


@pytest.fixture
def charlie(transactional_db: None) -> Any:
    return get_user_model().objects.create_user("charlie")


@pytest.fixture
def session(alice: Any, bob: Any, vera: Any) -> ChatSession:
    made = ChatSession.objects.create(title="A room")
    for user, role in ((alice, Role.OWNER), (bob, Role.EDITOR), (vera, Role.VIEWER)):
        Participant.objects.create(session=made, user=user, role=role)
    made.refresh_from_db()
    return made


@pytest.fixture
def worker(transactional_db: None) -> WorkerProcess:
    from tests.acting import a_worker

    return a_worker()


@pytest.fixture
def answer(session: ChatSession, alice: Any) -> Any:
    """The pending answer to alice's question in `session`."""
    from tests.acting import answer_of, ask

    return answer_of(ask(session, alice))


@pytest.fixture
def claim(answer: Any, worker: WorkerProcess) -> Any:
    """The hold of `worker` on `answer`."""
    from tests.acting import claimed

    return claimed(answer, worker)


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The frames that are sent, in the order in which they are, noted at the moment of their commit."""
    from tests.acting import note_frames

    noted: list[dict[str, Any]] = []
    note_frames(monkeypatch, noted)
    yield noted


@pytest.fixture
def sent_to_workers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[tuple[str, dict[str, Any]]]]:
    """What workers are told, and what is sent to channel groups beside frames: (mailbox or group, event)."""
    noted: list[tuple[str, dict[str, Any]]] = []

    def note(group: str, event: dict[str, Any]) -> Any:
        noted.append((group, event))

        async def nothing() -> None: ...

        return nothing()

    monkeypatch.setattr(broadcast, "send", note)
    monkeypatch.setattr(mailbox, "put", lambda worker, event: noted.append((worker, event)))
    return lambda: [entry for entry in noted if entry[1]["type"] != "relay"]
