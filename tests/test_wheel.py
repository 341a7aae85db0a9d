"""The wheel: all of the app is in it, nothing of it takes its host's place, and without extras it can be used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.wheel import ROOT, build, fresh_environment

pytestmark = pytest.mark.long

OF_THE_PROJECT_ONLY = {"brotli", "django-environ", "rcssmin", "rjsmin"}  # `project/` is not in the wheel
WITHOUT_STATIC = """
from tests.embedded_project.settings import *
MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith("whitenoise.")]
"""
WITH_ADMIN = """
from bare import *
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.messages", *INSTALLED_APPS]
"""
IMPORT_ALL = """
import importlib, pkgutil
import django
django.setup()
import assistant
from assistant.extras import MissingExtra
print("from", assistant.__file__)
for module in pkgutil.walk_packages(assistant.__path__, "assistant."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except MissingExtra as error:
            print(module.name, error)
"""
VISIT = """
import django
django.setup()
from django.test import Client
client = Client(SERVER_NAME="127.0.0.1")
first = client.get("/login/", follow=True)
assert first.status_code == 200 and b"Make the first account" in first.content, first.content
lost = client.get("/nowhere/")
assert lost.status_code == 404 and b"Parley" not in lost.content
import tests.embedded_project.asgi
from assistant.llm.library import library
library()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def packed(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


class Host:
    """A project of somebody's own, in whose environment the wheel is and nothing that only an extra brings."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self.python = folder, python
        self._environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._environment |= {
            "EMBEDDED_DATA": str(folder), "REDIS_URL": "redis://127.0.0.1:1/0", "PYTHONPATH": str(folder),
        }  # fmt: skip

    def run(self, *arguments: str, settings: str = "bare") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=self._environment | {"DJANGO_SETTINGS_MODULE": settings},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def host(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    shutil.copytree(ROOT / "tests" / "embedded_project", folder / "tests" / "embedded_project")
    (folder / "bare.py").write_text(WITHOUT_STATIC)
    (folder / "with_admin.py").write_text(WITH_ADMIN)
    yield Host(folder, fresh_environment(folder / "venv", wheel))


def test_all_of_the_app_is_in_it_and_nothing_else(packed):
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "assistant").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    [licence] = [name for name in packed if re.fullmatch(r"parley-[\d.]+\.dist-info/licenses/LICENSE", name)]
    assert {"assistant/py.typed", "assistant/migrations/0001_initial.py"} <= ours <= packed
    assert {name.partition("/")[0] for name in packed} == {"assistant", licence.partition("/")[0]}


def test_no_template_and_no_static_file_of_it_is_its_hosts(packed):
    """What stands at the top of an app's folder is found under the same name by all: `404.html` is the host's page."""
    folders = ("templates/assistant/", "templates/admin/assistant/", "static/assistant/")
    files = [name.removeprefix("assistant/") for name in packed if re.match("assistant/(templates|static)/", name)]
    assert files and [name for name in files if not name.startswith(folders)] == []


def test_requirements_in_names_what_the_app_and_all_of_its_extras_need():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    [everything] = extras.pop("all")
    assert Requirement(everything).extras == set(extras)
    declared = [line for lines in (project["dependencies"], *extras.values()) for line in lines]
    lines = (ROOT / "requirements.in").read_text().splitlines()
    assert names(declared) | OF_THE_PROJECT_ONLY == names(line for line in lines if not line.startswith("#"))


def names(lines):
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_without_an_extra_every_module_can_be_imported_or_says_which_extra_it_needs(host):
    done = host.run("-c", IMPORT_ALL, settings="with_admin")
    place, *missing = done.stdout.splitlines() or [done.stderr]
    assert done.returncode == 0 and str(host.folder / "venv") in place, done.stderr
    assert {line.split()[0] for line in missing} == {"assistant.mcp.bearer", "assistant.mcp.oauth"}
    assert all("pip install 'parley[mcp]'" in line for line in missing)


def test_without_an_extra_a_project_migrates_passes_the_checks_and_answers(host):
    manage = str(host.folder / "tests" / "embedded_project" / "manage.py")
    for arguments in ([manage, "migrate", "-v0"], [manage, "check", "--fail-level", "WARNING"], ["-c", VISIT]):
        done = host.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_setting_that_needs_an_extra_is_refused_where_it_is_missing(host):
    (host.folder / "wants.py").write_text(
        "from bare import *\nASSISTANT_EMBEDDED_VALKEY = True\nASSISTANT_MCP = '/nowhere.json'\n"
    )
    done = host.run("-m", "django", "check", settings="wants")
    assert done.returncode == 1
    for setting, extra in (("ASSISTANT_EMBEDDED_VALKEY", "valkey"), ("ASSISTANT_MCP", "mcp")):
        assert re.search(rf"E018\) {setting} needs .*\s+HINT: pip install 'parley\[{extra}\]'", done.stderr)
