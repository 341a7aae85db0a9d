"""Where the assistant stands on its site: at the root, or under the prefix with which the project includes its URLs."""

from __future__ import annotations

import functools

from django.conf import settings
from django.urls import get_script_prefix, get_urlconf, reverse, set_script_prefix


def home() -> str:
    """What every address of ours begins with, as browsers ask for it: `/`, or `/chat/`.

    Raises NoReverseMatch where the project's URLs don't include ours.
    """
    return site().removesuffix("/") + inner_home()


def inner_home() -> str:
    """The same as the project's URLs have it, without the path under which a proxy has put the whole site."""
    return _home(get_urlconf() or settings.ROOT_URLCONF)


def site() -> str:
    """Where the whole site stands: `/`, or what FORCE_SCRIPT_NAME says, which Django itself forgets in other threads."""
    return settings.FORCE_SCRIPT_NAME or get_script_prefix()


def api(path: str) -> str:
    """The address of a call of the HTTP API: `api("sessions")`."""
    return f"{home()}api/{path}"


@functools.lru_cache(maxsize=16)  # to look it up takes 0.1 ms, and each attachment's address begins with it
def _home(urlconf: str) -> str:
    before = get_script_prefix()
    set_script_prefix("/")
    try:
        return reverse("assistant:home", urlconf)
    finally:
        set_script_prefix(before)
