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
    "assistant.access", "assistant.admin", "assistant.api", "assistant.pages.mcp_sign_in", "assistant.sockets.consumers",
    "assistant.pages.forms", "assistant.ops.health", "assistant.management", "assistant.pages.urls", "assistant.sockets.routing",
    "assistant.processes.serving", "assistant.processes.supervisor", "assistant.tasks", "assistant.urls", "assistant.pages.views", "assistant.web.server",
    "assistant.web.backpressure", "assistant.sockets.missed_changes", "assistant.sockets.resync", "assistant.sockets.revalidation", "assistant.sockets.relay",
    "assistant.web.bodies", "assistant.checks.embedding", "assistant.pages.usage_pages", "assistant.files.upload_handler",
}  # fmt: skip
# What stands beside a door and may be imported by other doors.
CORE = {
    "assistant.worker.streaming", "assistant.catalogue", "assistant.conf", "assistant.prompt.context", "assistant.database",
    "assistant.llm.demo", "assistant.worker.errands", "assistant.presentation.events", "assistant.failures", "assistant.lifecycle",
    "assistant.delivery.live_text", "assistant.llm", "assistant.markup", "assistant.text.mentions", "assistant.models", "assistant.llm.pieces",
    "assistant.sockets.presence", "assistant.delivery.queue", "assistant.worker.runner", "assistant.presentation.sidebar", "assistant.processes.slot",
    "assistant.sealing", "assistant.files.sniff", "assistant.presentation.snapshot", "assistant.worker.turn", "assistant.delivery.valkey", "assistant.presentation.wire",
    "assistant.files.isolation", "assistant.presentation.export", "assistant.search", "assistant.worker.titles",
    "assistant.prompt.file_contents", "assistant.files.extraction", "assistant.worker.metering", "assistant.pages.plots", "assistant.delivery.rate_limits",
    "assistant.pages.usage_plots", "assistant.prompt.history", "assistant.worker.completion", "assistant.mcp", "assistant.tools",
    "assistant.text.reasoned",
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
        (
            "assistant.models",
            {
                "assistant.lifecycle",
                "assistant.presentation.wire",
                "assistant.presentation.snapshot",
                "assistant.delivery.live_text",
            },
        ),
        (
            "assistant.lifecycle",
            {
                "assistant.worker.turn",
                "assistant.worker.runner",
                "assistant.worker.streaming",
                "assistant.presentation.snapshot",
            },
        ),
        (
            "assistant.delivery.live_text",
            {"assistant.lifecycle", "assistant.models", "assistant.presentation.events"},
        ),
        ("assistant.delivery.queue", {"assistant.lifecycle", "assistant.models", "assistant.worker.runner"}),
        ("assistant.llm", {"assistant.models", "assistant.lifecycle", "assistant.worker.turn"}),
        ("assistant.worker.turn", {"assistant.worker.runner"}),
        ("assistant.mcp", {"assistant.lifecycle", "assistant.worker.turn", "assistant.prompt.context"}),
        ("assistant.prompt.history", {"assistant.lifecycle", "assistant.prompt.context", "assistant.worker.turn"}),
        ("assistant.markup", CORE - {"assistant.markup"}),
        ("assistant.llm.pieces", CORE - {"assistant.llm.pieces", "assistant.failures"}),
        ("assistant.text.reasoned", CORE - {"assistant.text.reasoned"}),
        ("assistant.delivery.valkey", CORE - {"assistant.delivery.valkey"}),
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
