"""The assistant in somebody else's project: what is missing is said, and with all of it a question is answered."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.db import models
from django.test import override_settings
from django.utils.module_loading import import_string
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from assistant import addresses
from assistant.checks import configuration
from assistant.checks import embedding as checks
from assistant.sockets import routing
from tests.acting import ask
from tests.embedded import MANAGE, EmbeddedProject
from tests.product import ROOT, free_port
from tests.provider import ProviderProcess


def ids(found: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in found]


ALL = [
    checks.redis_is_named, checks.apps_are_installed, checks.middleware_is_there, checks.templates_know_the_user,
    checks.sqlite_transactions_are_immediate, checks.urls_are_included, checks.an_asgi_application_is_named,
    checks.files_have_a_storage, checks.files_are_in_one_folder, checks.users_can_be_known,
]  # fmt: skip


PLAIN_STORAGES = {"default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}}  # as Django's own


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.__name__)
def test_our_own_project_lacks_nothing(check):
    assert check(None) == []


@pytest.mark.parametrize(
    ("check", "changed", "id_"),
    [
        (checks.redis_is_named, {"REDIS_URL": None}, "assistant.E010"),
        (checks.redis_is_named, {"REDIS_URL": "localhost:6379"}, "assistant.E010"),
        (checks.middleware_is_there, {"MIDDLEWARE": ["assistant.web.middleware.DatabaseAway"]}, "assistant.E012"),
        (checks.middleware_is_there, {"MIDDLEWARE": list(checks.NEEDED_MIDDLEWARE)}, "assistant.W001"),
        (checks.templates_know_the_user, {"TEMPLATES": []}, "assistant.E013"),
        (checks.urls_are_included, {"ROOT_URLCONF": "tests.embedded_project.without"}, "assistant.E015"),
        (checks.an_asgi_application_is_named, {"ASGI_APPLICATION": None}, "assistant.E016"),
        (checks.files_have_a_storage, {"ASSISTANT_ATTACHMENT_STORAGE": "nowhere"}, "assistant.E017"),
        (checks.files_have_a_storage, {"FILE_UPLOAD_HANDLERS": []}, "assistant.W002"),
        (checks.files_are_in_one_folder, {"STORAGES": PLAIN_STORAGES}, "assistant.W004"),
        (checks.files_are_in_one_folder, {"STORAGES": PLAIN_STORAGES, "MEDIA_ROOT": "media"}, "assistant.W004"),
    ],
)
def test_what_is_missing_is_said(check, changed, id_):
    with override_settings(**changed):
        assert ids(check(None)) == [id_]


@pytest.mark.parametrize(
    "changed",
    [
        {"STORAGES": PLAIN_STORAGES, "MEDIA_ROOT": "/srv/media"},
        {"STORAGES": {"default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}},
        {"ASSISTANT_ATTACHMENT_STORAGE": "nowhere"},  # which is an error of another check
    ],
)
def test_files_that_all_processes_find_are_not_warned_of(changed):
    with override_settings(**changed):
        assert checks.files_are_in_one_folder(None) == []


def test_a_user_model_without_what_is_needed_is_refused(monkeypatch):
    class User:
        class _meta:
            label, pk = "mine.User", models.BinaryField(primary_key=True)
            get_fields = staticmethod(list)

    monkeypatch.setattr(checks, "get_user_model", lambda: User)
    [found] = checks.users_can_be_known(None)
    assert found.id == "assistant.E019" and "is_active" in found.msg and "a key" in found.msg


@pytest.mark.parametrize(
    ("urls", "site", "home", "sockets"),
    [
        ("tests.embedded_project.urls", None, "/", [""]),
        ("tests.embedded_project.prefixed", None, "/chat/", ["chat/"]),
        ("tests.embedded_project.urls", "/site", "/site/", ["site/", ""]),
        ("tests.embedded_project.prefixed", "/site/", "/site/chat/", ["site/chat/", "chat/"]),
    ],
)
def test_addresses_are_under_the_prefix_and_under_the_proxy_s_path(settings, urls, site, home, sockets):
    settings.ROOT_URLCONF, settings.FORCE_SCRIPT_NAME = urls, site
    with ThreadPoolExecutor(1) as others:  # as those of a worker are
        assert others.submit(addresses.home).result() == addresses.home() == home
    assert addresses.api("sessions") == f"{home}api/sessions"
    assert routing.prefixes() == sockets


BEFORE_ROOMS = {
    "assistant.queue": ("assistant.delivery.queue", ["DoorbellBroker"]),
    "assistant.middleware": ("assistant.web.middleware", ["DatabaseAway", "api_problems", "one_thread"]),
    "assistant.routing": ("assistant.sockets.routing", ["websocket_urlpatterns"]),
    "assistant.threads": ("assistant.web.threads", ["KeptThreads"]),
    "assistant.uploads": ("assistant.files.upload_handler", ["UnnamedFileUploadHandler"]),
    "assistant.links": ("assistant.ops.log_redaction", ["WithoutTokens", "scrubbed"]),
}


@pytest.mark.parametrize("old", BEFORE_ROOMS)
def test_dotted_paths_of_before_the_rooms_go_on_working(old):
    new, names = BEFORE_ROOMS[old]
    for name in names:
        assert import_string(f"{old}.{name}") is import_string(f"{new}.{name}")


def test_a_project_that_still_names_the_old_paths_lacks_nothing():
    changed = {
        "MIDDLEWARE": [
            path.replace("assistant.web.middleware", "assistant.middleware") for path in django_settings.MIDDLEWARE
        ],
        "FILE_UPLOAD_HANDLERS": ["assistant.uploads.UnnamedFileUploadHandler"],
        "Q_CLUSTER": django_settings.Q_CLUSTER | {"broker_class": "assistant.queue.DoorbellBroker"},
    }
    with override_settings(**changed):
        assert [found for check in [*ALL, configuration.queue_is_in_our_database] for found in check(None)] == []


def test_jobs_that_were_queued_before_an_update_are_still_admitted(session, alice):
    """A worker of the old release and one of the new one share a queue while an update rolls."""
    ask(session, alice)
    task = SignedPackage.loads(OrmQ.objects.get().payload)
    assert task["func"] == "assistant.tasks.admit"


def test_a_database_without_immediate_transactions_is_refused(monkeypatch):
    from django.db import connection

    monkeypatch.setattr(connection, "vendor", "sqlite")
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {})
    assert ids(checks.sqlite_transactions_are_immediate(None)) == ["assistant.E014"]


@pytest.fixture(scope="module")
def embedded(provider: ProviderProcess) -> Iterator[EmbeddedProject]:
    with EmbeddedProject(OPENAI_API_BASE=provider.base_url, OPENAI_API_KEY="x") as project:
        yield project


def test_an_application_without_websockets_is_refused_at_the_start(embedded, tmp_path):
    """As `startproject` writes it. It would answer requests, and nobody would see an answer being written."""
    (tmp_path / "plain.py").write_text(
        "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "assistant.web", "--port", str(free_port()), "--application", "plain:application"],
        cwd=ROOT, env=embedded.environment | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and "routes no WebSockets" in done.stderr and "Traceback" not in done.stderr


def test_the_guide_s_asgi_py_is_the_one_that_is_tested():
    guide = (ROOT / "docs" / "embedding.md").read_text()
    [block] = [block for block in guide.split("```python\n") if "ProtocolTypeRouter" in block]
    tested = (ROOT / "tests" / "embedded_project" / "asgi.py").read_text().replace("  # noqa: E402", "")
    assert block.split("```")[0].replace("mine.settings", "tests.embedded_project.settings") == tested


def test_a_fresh_project_with_what_the_guide_says_lacks_nothing(tmp_path):
    """As a newcomer does it: startproject, the guide's blocks pasted, `manage.py check`."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {"PYTHONPATH": f"{tmp_path}:{ROOT}", "DJANGO_SETTINGS_MODULE": "mine.settings"}

    def python(*arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def block(word):
        guide = (ROOT / "docs" / "embedding.md").read_text()
        [found] = [text for text in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if word in text]
        return found

    assert python("-m", "django", "startproject", "mine", ".").returncode == 0
    settings, urls = tmp_path / "mine" / "settings.py", tmp_path / "mine" / "urls.py"
    ours = block("INSTALLED_APPS")
    for name in ("INSTALLED_APPS", "MIDDLEWARE"):  # `...` stands for what startproject has written
        settings.write_text(settings.read_text().replace(f"\n{name} = [", f"\nTHEIR_{name} = ["))
        ours = re.sub(r"(?m)^    \.\.\.,", f"    *THEIR_{name},", ours, count=1)
    with settings.open("a") as file:
        file.write(f"{ours}\nDATABASES['default'] |= {{{block('transaction_mode')}}}\n")
    (tmp_path / "mine" / "asgi.py").write_text(block("ProtocolTypeRouter"))
    urls.write_text(
        urls.read_text().replace("import path", "import include, path")
        + "\nurlpatterns += [path('', include('assistant.urls'))]\n"
    )
    checked = python("manage.py", "check", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr
    loaded = python("-c", "from mine.asgi import application")
    assert loaded.returncode == 0, loaded.stderr


def test_the_other_project_passes_all_checks(embedded):
    assert "no issues" in embedded.manage("check", "--fail-level", "WARNING")


def test_without_django_q_it_does_not_start_and_says_so(embedded, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from tests.embedded_project.settings import *\n"
        "INSTALLED_APPS = [name for name in INSTALLED_APPS if name != 'django_q']\n"
    )
    environment = embedded.environment | {"DJANGO_SETTINGS_MODULE": "mine", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, str(MANAGE), "check"], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and "needs django_q in INSTALLED_APPS" in done.stderr


@pytest.mark.long
def test_a_question_is_answered_in_the_other_project(embedded):
    embedded.shell("from django.contrib.auth import get_user_model as g; g().objects.create_user('alice')")
    headers = {"Authorization": f"Bearer {embedded.manage('create_token', 'alice').split()[-1]}"}
    with (
        embedded.running(),
        httpx.Client(base_url=embedded.url, headers=headers, trust_env=False, timeout=30) as http,
    ):
        assert http.get("/").text == "A page of the project's own."
        assert http.get("/login/").status_code == 200
        assert "Parley" not in http.get("/nowhere").text  # the project's error pages are its own
        assert http.get("/static/assistant/css/base.css").headers["content-type"].startswith("text/css")
        session = http.post("/api/sessions", json={}).json()["id"]
        file = http.post(f"/api/sessions/{session}/attachments", files={"file": ("a.txt", b"Words")}).json()["id"]
        body = {"client_id": uuid.uuid4().hex, "content": "Hello", "attachments": [file]}
        reply = http.post(f"/api/sessions/{session}/messages", json=body).json()["reply"]["id"]

        def ended() -> dict[str, str] | None:
            message: dict[str, str] = http.get(f"/api/messages/{reply}").json()
            return message if message["status"] not in ("pending", "processing") else None

        answer = embedded.until(ended)
        assert (answer["status"], answer["content"].split()[:2]) == ("success", ["w0", "w1"])
