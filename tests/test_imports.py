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


def test_only_broadcast_sends_to_the_channel_layer():
    senders = {
        module
        for module, path in MODULES.items()
        if "group_send(" in path.read_text() and module != "assistant.presentation.broadcast"
    }
    assert senders == set()


def loaded(statement, tmp_path, **more):
    """The names of all modules that a process has after it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = kept | {"ASSISTANT_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "project.settings"}
    environment |= more
    ended = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.split())


WORKERS_ONLY = {"litellm", "openai", "aiohttp", "assistant.llm", "assistant.tasks", "assistant.worker.runner"}


@pytest.mark.parametrize(
    "statement",
    ["import project.asgi, project.urls, assistant.urls", "import django; django.setup(); import project.urls"],
)
def test_neither_the_web_server_nor_a_command_loads_what_only_a_worker_needs(statement, tmp_path):
    modules = loaded(statement, tmp_path)
    assert "assistant.models" in modules
    assert not modules & WORKERS_ONLY


def test_a_command_does_not_load_the_web_server(tmp_path):
    assert not loaded("import django; django.setup()", tmp_path) & {"daphne", "twisted", "autobahn"}


def test_what_serve_becomes_knows_neither_django_nor_any_library(tmp_path):
    modules = loaded("import assistant.processes.watching", tmp_path)
    assert {name for name in modules if name.startswith("assistant")} == {
        "assistant", "assistant.processes", "assistant.processes.backoff", "assistant.processes.watching",
    }  # fmt: skip
    assert not modules & {
        "django",
        "redis",
        "psutil",
        "asyncio",
        "logging",
        "http",
        "urllib.request",
        "ctypes",
        "ssl",
    }


def test_the_workers_are_forked_from_a_process_that_has_loaded_all_they_need(tmp_path):
    statement = "import django; django.setup(); import assistant.management.commands.worker"
    assert loaded(statement, tmp_path) >= WORKERS_ONLY - {"litellm", "openai"}  # `llm.preload` loads these


@pytest.mark.parametrize(("models", "needs_it"), [("openai/gpt-5-mini", False), ("demo/assistant", True)])
def test_litellm_s_client_is_loaded_only_if_litellm_asks_a_model_on_offer(models, needs_it, tmp_path):
    statement = "import django; django.setup(); from assistant import llm; llm.preload()"
    modules = loaded(statement, tmp_path, ASSISTANT_MODELS=models, OPENAI_API_KEY="x")
    assert "litellm" in modules
    assert ("tiktoken_ext.openai_public" in modules) is needs_it


@pytest.mark.parametrize("is_there", [False, True])
def test_what_servers_of_tools_need_is_loaded_before_the_fork_if_there_are_any(is_there, tmp_path):
    servers = tmp_path / "servers.json"
    servers.write_text('{"mcpServers": {}}')
    statement = "import django; django.setup(); from assistant.mcp import connections; connections.preload()"
    modules = loaded(statement, tmp_path, **({"ASSISTANT_MCP": str(servers)} if is_there else {}))
    assert ("mcp.client.stdio" in modules) is is_there


def test_no_room_has_a_name_that_says_nothing():
    empty = {"utils", "helpers", "manager", "handler", "service", "services", "common", "misc"}
    assert not [module for module in MODULES if set(module.split(".")) & empty]
