"""What stands at the door: links lead somewhere, the change log knows the version, forms and hooks are valid."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), ROOT / "tests" / "promises.md"]
CODE_BLOCK = re.compile(r"(?ms)^```.*?^```")
CODE = re.compile(r"(?ms)^```.*?^```|`[^`\n]*`")
FOLDERS = ("assistant", "project", "tests", "bench", "chaos")
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def name(document: Path) -> str:
    return str(document.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", CODE_BLOCK.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_each_link_leads_somewhere(document):
    links = [first or second for first, second in LINK.findall(CODE.sub("", document.read_text()))]
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_change_log_is_about_the_version_that_is_built():
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = re.findall(r"(?m)^## (\S+)(?: - (\d{4}-\d\d-\d\d))?$", text)
    assert releases[0] == ("Unreleased", "") and all(date for _, date in releases[1:])
    assert releases[1][0] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"(?m)^### (.+)$", text)) <= kinds


@pytest.mark.parametrize(
    ("schema", "file"), [("issue-forms", "bug.yml"), ("issue-forms", "idea.yml"), ("issue-config", "config.yml")]
)
def test_the_issue_forms_keep_to_their_schema(schema, file):
    path = ROOT / ".github" / "ISSUE_TEMPLATE" / file
    command = [BIN / "check-jsonschema", "--builtin-schema", f"vendor.github-{schema}", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_hooks_are_valid_and_run_what_is_installed():
    config = ROOT / ".pre-commit-config.yaml"
    done = subprocess.run(
        [BIN / "pre-commit", "validate-config", config], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    programs = [
        hook["entry"].split()[0] for repo in yaml.safe_load(config.read_text())["repos"] for hook in repo["hooks"]
    ]
    assert {Path(program).name for program in programs} == {"ruff", "mypy"}
    assert all(program.startswith(".venv/bin/") and (BIN / Path(program).name).exists() for program in programs)


def test_the_index_names_every_document():
    text = (ROOT / "docs" / "README.md").read_text()
    others = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert others <= {link.partition("#")[0] for link, _ in LINK.findall(text)}


def test_what_the_readme_exports_is_accepted(tmp_path):
    """Each block of commands with its own `export NAME=value`."""
    blocks = re.findall(r"(?ms)^```\n(.*?)^```", (ROOT / "README.md").read_text())
    exports = [dict(re.findall(r'(?m)^export (\w+)="?([^"\n]*)"?$', block)) for block in blocks]
    models = [found["ASSISTANT_MODELS"] for found in exports if "ASSISTANT_MODELS" in found]
    assert len(models) == 2 and any("ollama_chat/" in text for text in models)
    for environment in filter(None, exports):
        done = subprocess.run(
            [sys.executable, "manage.py", "check", "--fail-level", "WARNING"], cwd=ROOT, capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "ASSISTANT_DATA_DIR": str(tmp_path), **environment}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (environment, done.stderr)


def test_the_moving_picture_moves_and_is_light():
    path = ROOT / "docs" / "images" / "moving.png"
    with Image.open(path) as picture:
        assert picture.n_frames > 20 and picture.info.get("loop") == 0
    assert path.stat().st_size < 1_500_000
    assert str(path.relative_to(ROOT)) in (ROOT / "README.md").read_text()


def test_the_map_names_each_room_and_nothing_that_is_gone():
    """docs/architecture.md: as many rooms as import-linter places, and each module that is named is there."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms, _, of_llm = text.partition("## Rooms")[2].partition("\n## ")[0].partition("`llm/` is a house")
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {room for layer in layers for room in layer.split(" | ")}
    named = set(re.findall(r"`([\w/]+)`", rooms)) - {"assistant/", "project/"}
    assert placed <= {name.rstrip("/") for name in named}
    here = {str(path.relative_to(ROOT / "assistant").with_suffix("")) for path in (ROOT / "assistant").rglob("*.py")}
    known = here | {name.rpartition("/")[2] for name in here} | {str(Path(name).parent) for name in here}
    assert [name for name in named if name.rstrip("/") not in known] == []
    assert [name for name in re.findall(r"`(\w+)`", of_llm) if f"llm/{name}" not in here | {"llm/stream"}] == []


@pytest.mark.parametrize(
    "room", ["management/commands", "sockets", "worker", "lifecycle", "presentation", "delivery"]
)
def test_the_map_names_each_module_of_the_rooms_that_it_shows_from_inside(room):
    text = (ROOT / "docs" / "architecture.md").read_text()
    [row] = [line for line in text.splitlines() if line.startswith("|") and f"`{room.partition('/')[0]}/`" in line]
    modules = {path.stem for path in (ROOT / "assistant" / room).glob("*.py")} - {"__init__"}
    assert modules - set(re.findall(r"`(?:\w+/)?(\w+)`", row)) == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_each_file_that_is_named_is_there(document):
    """`assistant/llm/money.py`, `tests/provider`, or without the first folder."""
    named = set(
        re.findall(r"`((?:[\w.]+/)*[\w]+\.(?:py|js|css|html|toml|yaml))`", CODE_BLOCK.sub("", document.read_text()))
    )
    files = {str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*")}
    files |= {path.name for path in ROOT.iterdir()}
    missing = [name for name in named if not any(file == name or file.endswith("/" + name) for file in files)]
    assert missing == []
