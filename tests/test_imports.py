"""What imports may not be, beyond the layers of rooms, which `make check` holds (pyproject.toml)."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [path for folder in ("assistant", "project") for path in sorted((ROOT / folder).rglob("*.py"))]

# Who takes requests and sockets, and so knows HTTP.
DOORS = {"admin", "api", "checks", "management", "ops", "pages", "sockets", "urls", "web", "access"}


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


def imports_of(path, *, top_only=False):
    """The names of modules that it imports (each `from x import y` as `x.y`, if that is a module)."""
    tree = ast.parse(path.read_text())
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:  # relative: from the package that the file stands in, or one further up
                package = path.relative_to(ROOT).parts[: -node.level]
                module = ".".join([*package, module]).rstrip(".")
            yield from (f"{module}.{a.name}" if f"{module}.{a.name}" in MODULES else module for a in node.names)


def room_of(module):
    """`assistant.models.message` stands in `models`."""
    return module.split(".")[1] if "." in module else ""


def test_below_the_doors_nobody_knows_http():
    """Plain arguments come in, plain values go out. Only `addresses` knows where on its site the assistant stands."""
    http = ("django.http", "django.urls", "django.shortcuts", "django.views", "ninja", "channels.generic")
    found = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        if module.startswith("assistant.") and room_of(module) not in DOORS | {"addresses"}
        for imported in imports_of(path)
        if imported.startswith(http)
    ]
    assert found == []


def test_no_two_modules_import_each_other_when_they_are_loaded():
    graph = {
        module: {i for i in imports_of(path, top_only=True) if i in MODULES and i != module}
        for module, path in MODULES.items()
    }
    state = {}

    def visit(module, trail):
        assert state.get(module) != "open", " -> ".join([*trail, module])
        if module not in state:
            state[module] = "open"
            for imported in graph[module]:
                # A package's __init__ gathers its modules; they don't import the package back.
                visit(imported, [*trail, module])
            state[module] = "done"

    for module in sorted(graph):
        visit(module, [])


def test_an_import_inside_of_a_function_says_why():
    """A circle, something heavy, or what only an extra brings. Of litellm `llm/library` says it for all."""
    found = []
    for module, path in MODULES.items():
        lines = path.read_text().splitlines()
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            imports = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
            imports = [node for node in imports if not ast.unparse(node).split()[1].startswith("litellm")]
            if imports and not any("# " in line for line in lines[imports[0].lineno - 2 : imports[-1].end_lineno]):
                found.append(f"{module}.{function.name}")
    assert found == []


def test_only_events_sends_to_the_channel_layer():
    senders = {
        module
        for module, path in MODULES.items()
        if "group_send(" in path.read_text() and module != "assistant.presentation.events"
    }
    assert senders == set()


@pytest.mark.parametrize("loads", ["import project.asgi", "import django; django.setup(); import project.urls"])
def test_neither_the_web_server_nor_a_command_loads_litellm(loads, tmp_path):
    check = f"{loads}\nimport sys\nassert 'django' in sys.modules\nprint('litellm' in sys.modules)"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = kept | {"ASSISTANT_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "project.settings"}
    ended = subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )
    assert ended.stdout.strip() == "False", ended.stderr


def test_no_room_has_a_name_that_says_nothing():
    empty = {"utils", "helpers", "manager", "handler", "service", "services", "common", "misc"}
    assert not [module for module in MODULES if set(module.split(".")) & empty]
