"""Reads settings from the environment; a wrong value raises a sentence that names its variable."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool = False) -> bool:
    raw = os.environ.get(name)
    if raw is None:
        return default
    word = raw.strip().lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise ImproperlyConfigured(f"{name} must be one of on, off, true, false, 1, 0; it is {raw!r}.")


def number(name: str, default: float, *, least: float, whole: bool = False) -> Any:
    """A number of at least `least` (an int if `whole`)."""
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    kind = "whole number" if whole else "number"
    try:
        value: float = int(raw) if whole else float(raw)
    except ValueError:
        value = float("nan")
    if not least <= value < 1e9:
        raise ImproperlyConfigured(f"{name} must be a {kind} of at least {least:g}; it is {raw!r}.")
    return value


def choice(name: str, default: str, options: tuple[str, ...]) -> str:
    value = text(name, default).lower()
    if value not in options:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(options)}; it is {value!r}.")
    return value


def words(name: str, default: list[str]) -> list[str]:
    raw = os.environ.get(name)
    return default if not raw else [word.strip() for word in raw.split(",") if word.strip()]


def some_of(name: str, options: tuple[str, ...]) -> list[str]:
    """Words out of `options`; all of them where nothing is said."""
    chosen = words(name, list(options))
    if wrong := [word for word in chosen if word not in options]:
        raise ImproperlyConfigured(f"{name} may name {', '.join(options)}; {wrong[0]!r} is none of them.")
    return chosen


def data_dir(name: str, default: Path) -> Path:
    """The folder for everything that this installation keeps, made on first use, readable by its owner only."""
    folder = Path(text(name, str(default))).expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: the folder {folder} can't be made ({error.strerror}).") from error
    if not os.access(folder, os.W_OK):
        raise ImproperlyConfigured(f"{name}: the folder {folder} can't be written.")
    return folder


def secret_key(name: str, folder: Path) -> str:
    """The key from the environment, else the one made once for this installation.

    Two processes may start side by side: a link of a complete file is atomic and fails if one is there.
    """
    if key := text(name):
        return key
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


def database(name: str, folder: Path, *, pooled: bool) -> dict[str, Any]:
    """Django's DATABASES entry for DATABASE_URL; SQLite in `folder` without one."""
    url = text(name)
    if not url:
        return _sqlite({"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "parley.sqlite3")})
    scheme = urlsplit(url).scheme
    if scheme not in ("postgres", "postgresql", "sqlite"):
        raise ImproperlyConfigured(
            f"{name} must begin with postgres:// or sqlite:///"
            + (f"; it begins with {scheme}:." if scheme else ", and it begins with no scheme at all.")
        )
    try:
        config: dict[str, Any] = dict(environ.Env.db_url_config(url))
    except Exception as error:
        raise ImproperlyConfigured(f"{name} can't be read as a database URL ({error}).") from error
    if scheme == "sqlite":
        return _sqlite(config)
    options = config.setdefault("OPTIONS", {})
    options.setdefault("connect_timeout", 5)
    if pooled:
        # Daphne has a thread for each request at once: a connection for each of them would be too many.
        options["pool"] = {"min_size": 1, "max_size": 16, "timeout": 10}
    return config


def _sqlite(config: dict[str, Any]) -> dict[str, Any]:
    config.setdefault("OPTIONS", {}).update(
        # Without IMMEDIATE a transaction that reads first and writes later fails at once under contention.
        transaction_mode="IMMEDIATE",
        timeout=20,
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    )
    return config


def models(name: str) -> list[tuple[str, str]]:
    """ASSISTANT_MODELS as (label, litellm id) pairs; the first is the default.

    `Label=id` gives a label. An id may itself contain "=", so only a word without "/" before it is a label.
    """
    pairs = []
    for entry in words(name, []):
        label, equals, model = entry.partition("=")
        if not equals or "/" in label:
            label, model = entry.removesuffix("*").rstrip("/").rpartition("/")[2] or entry, entry
        if not model.strip() or not label.strip():
            raise ImproperlyConfigured(f"{name}: {entry!r} must be a model id or Label=id.")
        pairs.append((label.strip(), model.strip()))
    if pairs and pairs[0][1].endswith("*"):
        raise ImproperlyConfigured(f"{name}: the first entry is the default model and can't be a pattern.")
    return pairs


def prices(name: str) -> dict[str, tuple[float, float, float]]:
    """US dollars for a million tokens by litellm id: read, written, read from a cache.

    `id=read/written` or `id=read/written/cached`; an id that ends in `*` stands for all that begin so.
    """
    found = {}
    for entry in words(name, []):
        model, equals, told = entry.rpartition("=")
        try:
            read, written, *cached = (float(price) for price in told.split("/"))
            if not (
                model.strip() and equals and len(cached) < 2 and all(0 <= p < 1e6 for p in (read, written, *cached))
            ):
                raise ValueError
        except ValueError:
            raise ImproperlyConfigured(
                f"{name}: {entry!r} must be id=read/written or id=read/written/cached, in US dollars for a million tokens."
            ) from None
        found[model.strip()] = (read, written, cached[0] if cached else read)
    return found
