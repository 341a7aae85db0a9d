"""Imports point one way: from the doors to the core, never back; and litellm is imported in one place."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [path for folder in ("assistant", "project") for path in sorted((ROOT / folder).rglob("*.py"))]

# Who takes requests, jobs or commands. Nobody else imports them.
DOORS = {
    "assistant.access", "assistant.admin", "assistant.api", "assistant.connecting", "assistant.consumers",
    "assistant.forms", "assistant.health", "assistant.management", "assistant.page_urls", "assistant.routing",
    "assistant.serving", "assistant.supervisor", "assistant.tasks", "assistant.urls", "assistant.views", "assistant.web",
    "assistant.backpressure", "assistant.behind", "assistant.interruption", "assistant.rollcall", "assistant.telling",
    "assistant.bodies", "assistant.embedding_checks", "assistant.usage_pages", "assistant.uploads",
}  # fmt: skip
# What stands beside a door and may be imported by other doors.
CORE = {
    "assistant.answer", "assistant.catalogue", "assistant.conf", "assistant.context", "assistant.database",
    "assistant.demo", "assistant.errands", "assistant.events", "assistant.failures", "assistant.lifecycle",
    "assistant.live", "assistant.llm", "assistant.markup", "assistant.mentions", "assistant.models", "assistant.pieces",
    "assistant.presence", "assistant.queue", "assistant.runner", "assistant.sidebar", "assistant.slot",
    "assistant.sealing", "assistant.sniff", "assistant.snapshot", "assistant.turn", "assistant.valkey", "assistant.wire",
    "assistant.apart", "assistant.export", "assistant.search", "assistant.titles",
    "assistant.attached", "assistant.extraction", "assistant.metering", "assistant.plots", "assistant.rates",
    "assistant.usage_plots", "assistant.history", "assistant.inquiry", "assistant.mcp", "assistant.tools",
    "assistant.reasoned",
}  # fmt: skip


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
    """`assistant.models.message` stands in `assistant.models`."""
    return ".".join(module.split(".")[:2])


def test_the_core_imports_no_door():
    found = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        if room_of(module) in CORE
        for imported in imports_of(path)
        if room_of(imported) in DOORS
    ]
    assert found == []


def test_the_core_knows_no_http():
    """Plain arguments come in, plain values go out."""
    http = ("django.http", "django.urls", "django.shortcuts", "django.views", "ninja", "channels.generic")
    found = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        if room_of(module) in CORE
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


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ("assistant.models", {"assistant.lifecycle", "assistant.wire", "assistant.snapshot", "assistant.live"}),
        ("assistant.lifecycle", {"assistant.turn", "assistant.runner", "assistant.answer", "assistant.snapshot"}),
        ("assistant.live", {"assistant.lifecycle", "assistant.models", "assistant.events"}),
        ("assistant.queue", {"assistant.lifecycle", "assistant.models", "assistant.runner"}),
        ("assistant.llm", {"assistant.models", "assistant.lifecycle", "assistant.turn"}),
        ("assistant.turn", {"assistant.runner"}),
        ("assistant.mcp", {"assistant.lifecycle", "assistant.turn", "assistant.context"}),
        ("assistant.history", {"assistant.lifecycle", "assistant.context", "assistant.turn"}),
        ("assistant.markup", CORE - {"assistant.markup"}),
        ("assistant.pieces", CORE - {"assistant.pieces", "assistant.failures"}),
        ("assistant.reasoned", CORE - {"assistant.reasoned"}),
        ("assistant.valkey", CORE - {"assistant.valkey"}),
        ("assistant.conf", CORE - {"assistant.conf"}),
    ],
)
def test_what_is_below_imports_nothing_from_above(below, above):
    found = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        if room_of(module) == below
        for imported in imports_of(path)
        if room_of(imported) in above
    ]
    assert found == []


def who_imports(*packages):
    return {
        module
        for module, path in MODULES.items()
        for imported in imports_of(path)
        if imported.split(".")[0] in packages or imported in packages
    }


def test_only_one_room_imports_litellm():
    assert {room_of(module) for module in who_imports("litellm")} == {"assistant.llm"}


def test_only_events_sends_to_the_channel_layer():
    senders = {
        module
        for module, path in MODULES.items()
        if "group_send(" in path.read_text() and module != "assistant.events"
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
