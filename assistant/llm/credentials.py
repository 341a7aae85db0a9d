"""The key and the address of a provider, as an operator has set them: whether a request can be made with them. Pure."""

from __future__ import annotations

import os
from urllib.parse import urlsplit


class WrongSetting(Exception):
    """What is configured for a provider can't be used. The message says which variable and why, and never its secret."""

    def __init__(self, message: str, code: str = "provider_error") -> None:
        super().__init__(message)
        self.code = code  # of `assistant.failures`


def check_redirect(asked: str, onward: str) -> None:
    """Raises WrongSetting where a provider sends a question on to another host, or in the clear: nobody here chose that."""
    before, after = urlsplit(asked), urlsplit(onward)
    if after.hostname != before.hostname or (before.scheme, after.scheme) == ("https", "http"):
        where, to = (f"{url.scheme}://{url.hostname}" for url in (before, after))
        raise WrongSetting(f"The provider at {where} redirects to {to}, and a question isn't sent on to there.")


def check_key(key: str | None, usual_name: str) -> None:
    """Raises WrongSetting for a key that no header may hold, or that was copied with something beside it."""
    if not key:
        return
    if not key.isascii():
        raise WrongSetting(f"{_name_of(key, usual_name)} holds a letter that no key has (it is not ASCII).", "auth")
    if any(letter <= " " or letter == "\x7f" for letter in key):
        raise WrongSetting(f"{_name_of(key, usual_name)} holds a blank or a line end.", "auth")


def check_address(address: str | None, usual_name: str) -> None:
    """Raises WrongSetting for what is no address of HTTP."""
    if not address:
        return
    name = _name_of(address, usual_name)
    shown = "" if "@" in address else f": {address[:200]!r}"  # a name and a password may stand before it
    try:
        parts = urlsplit(address)
    except ValueError:
        raise WrongSetting(f"{name} is no address{shown}.") from None
    if "@" in parts.netloc:
        raise WrongSetting(f"{name} holds a name or a password (before an @). A key is set by itself.")
    if any(letter <= " " for letter in address):
        raise WrongSetting(f"{name} holds a blank or a line end{shown}.")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise WrongSetting(f"{name} has no http:// or https:// in front, or no host{shown}.")
    try:
        is_right = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        raise WrongSetting(f"{name} has no host, or a port that is none{shown}.")


def _name_of(value: str, usual_name: str) -> str:
    """The variable of the environment that holds `value`."""
    return next((name for name, held in os.environ.items() if held == value), usual_name)
