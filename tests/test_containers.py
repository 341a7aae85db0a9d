"""The image and compose.yaml, as far as they can be tried without an engine: what they name exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
KEYS_OF_PROVIDERS = r"[A-Z]+_API_KEY"  # litellm's, not ours
# Prints each variable of the environment for which the settings ask.
LISTEN = """
import os
asked = set()
class Listening(dict):
    def __getitem__(self, name):
        asked.add(name)
        return super().__getitem__(name)
    def get(self, name, default=None):
        asked.add(name)
        return super().get(name, default)
    def __contains__(self, name):
        asked.add(name)
        return super().__contains__(name)
os.environ = Listening(os.environ)
import project.settings
print(*sorted(asked))
"""


def instructions() -> list[tuple[str, str]]:
    """The steps of the Containerfile: (FROM, ...), (RUN, ...), ..."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Containerfile").read_text()).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        command, cwd=ROOT, env=kept | environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def settings_asked(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    done = run(sys.executable, "-c", LISTEN, ASSISTANT_DATA_DIR=str(tmp_path_factory.mktemp("data")))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_compose_keeps_to_its_schema():
    done = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")
    assert done.returncode == 0, done.stdout


def test_a_linter_finds_nothing_in_the_containerfile():
    done = run(BIN / "hadolint", "Containerfile")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("service", [*OURS, "the image"])
def test_each_command_exists_and_takes_its_options(service):
    [default] = [yaml.safe_load(value) for name, value in instructions() if name == "CMD"]
    python, *command = OURS[service]["command"] if service in OURS else default
    assert python == "python" and (command[0] == "manage.py" or command[:2] == ["-m", "assistant.web"])
    program = 2
    options = [word for word in command[program:] if word.startswith("--")]
    done = run(sys.executable, *command[:program], "--help")
    assert done.returncode == 0, done.stderr
    assert [option for option in options if not re.search(rf"{option}\b", done.stdout)] == []


def test_each_variable_is_a_setting_or_a_key(settings_asked):
    [ours] = [set(service["environment"]) for name, service in OURS.items() if name == "web"]
    example = re.findall(r"(?m)^#?([A-Z_]+)=", (ROOT / ".env.example").read_text())
    image = [name for step, value in instructions() if step == "ENV" for name in re.findall(r"([A-Z_]+)=", value)]
    of_python = {"PATH", "PYTHONUNBUFFERED", "DJANGO_SETTINGS_MODULE"}
    of_compose = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text())) - settings_asked
    assert of_compose == {"POSTGRES_PASSWORD"} and {"ASSISTANT_DATA_DIR", "DATABASE_URL"} <= settings_asked
    named = ours | set(example) | set(image)
    known = settings_asked | of_python | of_compose
    assert [name for name in named - known if not re.fullmatch(KEYS_OF_PROVIDERS, name)] == []


def test_the_addresses_are_those_of_services():
    environment = OURS["web"]["environment"]
    hosts = [re.search(r"[@/]([a-z]+)(?::\d+)?/\w+$", environment[name]) for name in ("DATABASE_URL", "REDIS_URL")]
    assert [host and host[1] for host in hosts] == ["postgres", "redis"]
    assert {"postgres", "redis"} <= set(COMPOSE["services"])
    assert all(service["environment"] == environment for service in OURS.values())


def test_nothing_starts_before_what_it_needs():
    services = COMPOSE["services"]

    def before(name: str) -> set[str]:
        needed = services[name].get("depends_on", {})
        for other, how in needed.items():
            has_check = "healthcheck" in services[other]
            assert how["condition"] == ("service_healthy" if has_check else "service_completed_successfully")
        return set(needed).union(*(before(other) for other in needed))

    assert before("web") == before("worker") == {"migrate", "postgres", "redis"}


def test_a_worker_has_the_time_to_hand_its_answers_over():
    """docs/development.md: ASSISTANT_GRACE (5 s by default) and 20 seconds."""
    assert int(OURS["worker"]["stop_grace_period"].removesuffix("s")) >= 25


def test_what_is_copied_into_the_image_is_there_and_not_ignored():
    copied = [
        source
        for step, value in instructions()
        if step == "COPY" and not value.startswith("--from")
        for source in value.split()[:-1]
    ]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == let_in and all((ROOT / name).exists() for name in copied)


def test_the_image_runs_the_oldest_python_that_is_supported_and_not_as_root():
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    bases = [value.split()[0] for step, value in instructions() if step == "FROM"]
    assert bases and all(f"/python:{oldest}-" in base for base in bases)
    assert [value for step, value in instructions() if step == "USER"] == ["10001:10001"]
    assert [volume for service in OURS.values() for volume in service["volumes"]] == ["data:/data"] * len(OURS)
    assert ("VOLUME", "/data") in instructions()
