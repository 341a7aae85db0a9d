"""Settings come from the environment; a wrong value stops the start with a sentence that names its variable."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from assistant.conf import Settings
from assistant.models.link import SecretLink
from assistant.ops.log_redaction import scrubbed

ROOT = Path(__file__).parents[1]


@pytest.fixture
def read(monkeypatch, tmp_path):
    """`read(NAME="value")`: the settings as a process with that environment has them."""

    def settings_with(**environment):
        for name in list(os.environ):
            if name.startswith("ASSISTANT_") or name in NAMES:
                monkeypatch.delenv(name)
        for name, value in {"ASSISTANT_DATA_DIR": str(tmp_path), **environment}.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "project" / "settings.py"))

    return settings_with


NAMES = {
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "DEBUG",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "SECURE_COOKIES",
}

WRONG = [
    ("DEBUG", "perhaps"),
    ("SECURE_COOKIES", "2"),
    ("DATABASE_URL", "mysql://localhost/x"),
    ("DATABASE_URL", "localhost"),
    ("DATABASE_URL", "postgres://user@host:port/x"),
    ("REDIS_URL", "localhost:6379"),
    ("REDIS_URL", "http://localhost"),
    ("REDIS_URL", "redis://host:port/0"),
    ("REDIS_URL", "redis://host:99999999999/0"),
    ("SENTRY_DSN", "sentry.example.com"),
    ("SENTRY_DSN", "https://key@sentry.example.com"),
    ("CSRF_TRUSTED_ORIGINS", "example.com"),
    ("ALLOWED_HOSTS", "https://chat.example.org/"),
    ("ALLOWED_HOSTS", "[::1],chat.example.org:8000"),
    ("ASSISTANT_MODELS", "Label="),
    ("ASSISTANT_MODELS", "A=x/y,A=x/z"),
    ("ASSISTANT_MODELS", "x/y,Other=x/y"),
    ("ASSISTANT_MODELS", "=openai/gpt"),
    ("ASSISTANT_MODELS", "openai/*,openai/gpt"),
    ("ASSISTANT_PRICES", "openai/x"),
    ("ASSISTANT_PRICES", "openai/x=1"),
    ("ASSISTANT_PRICES", "openai/x=1/2/3/4"),
    ("ASSISTANT_PRICES", "openai/x=1/-2"),
    ("ASSISTANT_PRICES", "openai/x=1/nan"),
    ("ASSISTANT_PRICES", "=1/2"),
    ("ASSISTANT_SIGNUP", "maybe"),
    *[
        (f"ASSISTANT_{name}", value)
        for name in ("TIMEOUT", "DEADLINE", "HEARTBEAT", "LEASE", "GRACE")
        for value in ("soon", "-1", "nan", "inf", "1e99")
    ],
    *[
        (f"ASSISTANT_{name}", value)
        for name in ("WORKERS", "CONCURRENCY", "MAX_ATTEMPTS", "MAX_LENGTH")
        for value in ("many", "0", "-1", "1.5")
    ],
    ("ASSISTANT_TIMEOUT", "0"),
    ("ASSISTANT_DEADLINE", "0"),
    ("ASSISTANT_HEARTBEAT", "0"),
    ("ASSISTANT_LEASE", "0"),
    ("ASSISTANT_HEARTBEAT", "5"),
    ("ASSISTANT_LEASE", "5"),
    ("LOG_LEVEL", "LOUD"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_refused_with_a_sentence_that_names_its_variable(read, name, value):
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(**{name: value})
    sentence = str(refusal.value)
    assert name in sentence and len(sentence) > len(name) + 10, sentence
    assert sentence.endswith(".") and "\n" not in sentence


def test_a_folder_that_can_t_be_made_is_refused(read, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match="ASSISTANT_DATA_DIR"):
        read(ASSISTANT_DATA_DIR=str(tmp_path / "file" / "below"))


def test_a_data_dir_that_is_a_file_is_refused(read, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match="ASSISTANT_DATA_DIR"):
        read(ASSISTANT_DATA_DIR=str(tmp_path / "file"))


def test_the_defaults_are_those_of_the_contract(read, tmp_path):
    found = read()
    expected = {
        "TIMEOUT": 60, "DEADLINE": 600, "HEARTBEAT": 2, "LEASE": 10, "MAX_ATTEMPTS": 3, "GRACE": 5, "MODELS": [],
        "MAX_LENGTH": 10_000,
    }  # fmt: skip
    assert {name: getattr(Settings, name.lower()).default for name in expected} == expected
    assert not {f"ASSISTANT_{name}" for name in expected} & found.keys(), "a default is the table's to say"
    assert found["ASSISTANT_EMBEDDED_VALKEY"] is True and found["DEBUG"] is False
    assert found["ASSISTANT_DATA_DIR"] == tmp_path
    assert found["DATABASES"]["default"]["ENGINE"] == "django.db.backends.sqlite3"
    assert found["DATABASES"]["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert found["REDIS_URL"].startswith("unix://")


def test_what_is_given_is_taken(read):
    found = read(
        DATABASE_URL="postgres://u:p@db:5433/chat", REDIS_URL="redis://cache:6380/2", ALLOWED_HOSTS="a.example, b.example",
        ASSISTANT_LEASE="30", ASSISTANT_TIMEOUT="0.5", DEBUG="on", ASSISTANT_GRACE="0",
        ASSISTANT_SYSTEM_PROMPT=" Be kind. ",
    )  # fmt: skip
    database = found["DATABASES"]["default"]
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db", 5433, "chat")
    assert found["REDIS_URL"] == "redis://cache:6380/2" and not found["ASSISTANT_EMBEDDED_VALKEY"]
    assert found["ALLOWED_HOSTS"] == ["a.example", "b.example"] and found["DEBUG"] is True
    assert (found["ASSISTANT_LEASE"], found["ASSISTANT_TIMEOUT"], found["ASSISTANT_GRACE"]) == (30, 0.5, 0)
    assert found["ASSISTANT_SYSTEM_PROMPT"] == "Be kind."


def test_prices_are_for_a_million_tokens_by_id(read):
    told = read(ASSISTANT_PRICES="hosted_vllm/*=0/0, openai/a=b=1.5/2/0.15,openai/c=1/2")["ASSISTANT_PRICES"]
    assert told == {"hosted_vllm/*": (0, 0, 0), "openai/a=b": (1.5, 2, 0.15), "openai/c": (1, 2, 1)}


def test_models_keep_their_litellm_ids_and_may_have_labels(read):
    found = read(ASSISTANT_MODELS="openai/gpt-5, Fast=ollama_chat/llama3.2:1b ,bedrock/arn:x=y, openrouter/*")
    assert found["ASSISTANT_MODELS"] == [
        ("gpt-5", "openai/gpt-5"), ("Fast", "ollama_chat/llama3.2:1b"), ("arn:x=y", "bedrock/arn:x=y"),
        ("openrouter", "openrouter/*"),
    ]  # fmt: skip


def test_the_secret_key_is_made_once_and_is_its_owner_s(read, tmp_path):
    first, second = read()["SECRET_KEY"], read()["SECRET_KEY"]
    assert first == second == (tmp_path / "secret_key").read_text().strip() and len(first) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0
    assert read(SECRET_KEY="mine")["SECRET_KEY"] == "mine"


def test_an_empty_variable_is_as_good_as_none(read):
    found = read(DATABASE_URL="", REDIS_URL=" ", ASSISTANT_MODELS="", ASSISTANT_LEASE="", ALLOWED_HOSTS="")
    assert not {"ASSISTANT_LEASE", "ASSISTANT_MODELS"} & found.keys()
    assert found["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]


def manage(tmp_path, *arguments, **environment):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *(arguments or ["check"])], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env=kept | {"ASSISTANT_DATA_DIR": str(tmp_path)} | environment, check=False,
    )  # fmt: skip


def test_the_start_stops_with_that_one_sentence(tmp_path):
    ended = manage(tmp_path, ASSISTANT_LEASE="soon")
    assert ended.returncode == 2 and ended.stdout == ""
    [line] = ended.stderr.strip().splitlines()
    assert "ASSISTANT_LEASE" in line and "soon" in line


def test_a_variable_of_an_unknown_name_is_said_with_the_one_that_was_meant(tmp_path):
    ended = manage(tmp_path, ASSISTANT_LEESE="30")
    assert ended.returncode == 0 and "ASSISTANT_LEESE" in ended.stderr and "Is ASSISTANT_LEASE meant?" in ended.stderr


def test_right_settings_pass_the_check(tmp_path):
    ended = manage(tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_the_log_holds_no_token_of_a_link(tmp_path):
    token = SecretLink.secrets()["seed"][:43]
    paths = ["/invite/{}/", "/shared/{}/", "/api/shared/{}/messages", "/ws/shared/{}/"]
    says = "import logging; log = logging.getLogger('django').warning" + "".join(
        f"; log('Forbidden (%s): %s', 'no', {path.format(token)!r})" for path in paths
    )
    ended = manage(tmp_path, "shell", "-c", says)
    for path in paths:
        assert f"Forbidden (no): {path.format('[token]')}" in ended.stderr, ended.stderr
    assert token not in ended.stderr


def test_sentry_is_told_no_token_of_a_link():
    url = "https://chat.example/shared/AbCdEfGh-_0123456789AbCdEfGh-_0123456789abc/"
    event = {"request": {"url": url, "headers": {"Referer": url}}, "level": "error", "n": 1}
    clean = "https://chat.example/shared/[token]/"
    assert scrubbed(event, {}) == {"request": {"url": clean, "headers": {"Referer": clean}}, "level": "error", "n": 1}


def test_the_project_s_checks_find_a_queue_elsewhere_and_a_layer_that_reaches_nobody(settings):
    from assistant.checks import configuration

    assert (
        configuration.queue_is_in_our_database(None) == []
        and configuration.channel_layer_reaches_other_processes(None) == []
    )
    settings.Q_CLUSTER = {"redis": {}, "sync": True}
    assert [found.id for found in configuration.queue_is_in_our_database(None)] == [
        "assistant.E001",
        "assistant.E002",
    ]
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert [found.id for found in configuration.channel_layer_reaches_other_processes(None)] == ["assistant.E003"]
