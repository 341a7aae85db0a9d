"""What becomes of the environment's variables: folders, a key, a database. What can't be raises a sentence."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from assistant.conf import connections
from assistant.conf.kinds import Folder


def folder_of(variable: Folder, default: Path) -> Path:
    """The folder that a variable names, made on first use, readable by its owner only."""
    name, folder = variable.name, (variable.read() or default).expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: the folder {folder} can't be made ({error.strerror}).") from error
    if not os.access(folder, os.W_OK):
        raise ImproperlyConfigured(f"{name}: the folder {folder} can't be written.")
    return folder


def secret_key(folder: Path) -> str:
    """The key made once for this installation.

    Two processes may start side by side: a link of a complete file is atomic and fails if one is there.
    """
    path = folder / "secret_key"
    if not path.exists():
        fresh = folder / f".secret_key.{os.getpid()}"
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(50))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()


def database(url: str, folder: Path, *, pooled: bool) -> dict[str, Any]:
    """Django's DATABASES entry for DATABASE_URL; SQLite in `folder` without one."""
    if not url:
        return _sqlite({"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "parley.sqlite3")})
    scheme = urlsplit(url).scheme
    if scheme not in ("postgres", "postgresql", "sqlite"):
        raise ImproperlyConfigured(
            "DATABASE_URL must begin with postgres:// or sqlite:///"
            + (f"; it begins with {scheme}:." if scheme else ", and it begins with no scheme at all.")
        )
    try:
        config: dict[str, Any] = dict(environ.Env.db_url_config(url))
    except Exception as error:
        raise ImproperlyConfigured(f"DATABASE_URL can't be read as a database URL ({error}).") from error
    if scheme == "sqlite":
        return _sqlite(config)
    options = config["OPTIONS"] = connections.postgres() | config.get("OPTIONS", {})
    if pooled:
        # Daphne has a thread for each request at once: a connection for each of them would be too many.
        # It tries again later and later, for so long; then whoever needs a connection tries at once. So it is back soon
        # after an outage, however long that was.
        options["pool"] = {"min_size": 1, "max_size": 16, "timeout": 10, "reconnect_timeout": 5}
    return config


def _sqlite(config: dict[str, Any]) -> dict[str, Any]:
    config.setdefault("OPTIONS", {}).update(
        # Without IMMEDIATE a transaction that reads first and writes later fails at once under contention.
        transaction_mode="IMMEDIATE",
        timeout=20,
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    )
    return config
