"""Writes docs/settings.md and the README's table from the tables of settings: `python -m project.settings_page`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from assistant import conf
from assistant.conf import Setting, of
from project.variables import Variables

ROOT = Path(__file__).resolve().parent.parent
PAGE, README = ROOT / "docs" / "settings.md", ROOT / "README.md"
BEGIN, END = "<!-- settings: made by `make settings` -->", "<!-- end of settings -->"

# What somebody who sets it up asks for first; the page has the rest.
FIRST = (
    "ASSISTANT_MODELS", "ASSISTANT_SYSTEM_PROMPT", "ASSISTANT_SERVICES", "ASSISTANT_SIGNUP", "ASSISTANT_BUDGET_COST",
    "DATABASE_URL", "REDIS_URL", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "SECURE_COOKIES",
)  # fmt: skip

INTRODUCTION = """# Settings

Made by `make settings` from `assistant/conf` and `project/variables.py`; a change here is overwritten.

`project/` reads these from the environment. A wrong value stops the start with a sentence that names the variable; an
empty variable is as good as none. Words have commas between them. `on` may also be `true`, `yes` or `1`; `off` likewise.

In a Django project of your own the `ASSISTANT_` ones are Django settings of the same name: `True` or `False` for `on` and
`off`, a list for words, a list of `(label, id)` for `ASSISTANT_MODELS`, and a dict of `id: (read, written, cached)` for
`ASSISTANT_PRICES`. `manage.py check` says which value can't be right (E006) and which name there is not (W003).
Your settings.py may read them from the environment, as here:

```python
from assistant.conf import environment

globals().update(environment.given())
```

It gives what the environment sets and nothing else. So a variable wins over what stands above these lines, and what stands
below them wins over the variable. What neither sets has its default.
"""


def page() -> str:
    parts = [INTRODUCTION]
    for group in conf.Settings.__bases__:
        parts += [f"## {group.__doc__}\n", *_table(of(group), with_allowed=True)]
        if any(setting.is_given_by_project for setting in of(group)):
            parts.append(
                "These are Django settings only: `project/settings.py` works them out from the variables below.\n"
            )
    parts += ["## The project's own variables\n", *_table(of(Variables), with_allowed=True)]
    return "\n".join(parts).rstrip() + "\n"


def readme_table() -> str:
    known = {setting.name: setting for setting in [*of(conf.Settings), *of(Variables)]}
    return "\n".join(_table([known[name] for name in FIRST], with_allowed=False))


def with_table(text: str) -> str:
    """The README's `text` with the table of now between its two marks. Raises ValueError where they are missing."""
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"README.md needs {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{readme_table()}\n{END}{after}"


def _table(settings: Iterable[Setting[Any]], *, with_allowed: bool) -> Iterator[str]:
    yield "| variable | default | " + ("value | " if with_allowed else "") + "meaning |"
    yield "| --- | --- | " + ("--- | " if with_allowed else "") + "--- |"
    for setting in settings:
        allowed = f"{setting.allowed} | " if with_allowed else ""
        yield f"| `{setting.name}` | {_default(setting)} | {allowed}{setting.sentence} |"
    yield ""


def _default(setting: Setting[Any]) -> str:
    if setting.shown:
        return setting.shown
    match setting.default:
        case bool(is_on):
            return "on" if is_on else "off"
        case int() | float():
            return f"{setting.default:g}" if setting.default < 1e5 else f"{setting.default:.0f}"
        case list() | tuple():
            return ", ".join(f"`{word}`" for word in setting.default)
        case text:
            return f"`{text}`" if text else ""


def main() -> None:
    PAGE.write_text(page())
    README.write_text(with_table(README.read_text()))


if __name__ == "__main__":
    main()
