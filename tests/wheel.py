"""The product's wheel, and a fresh virtual environment that has it and nothing more than it asks for."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def build(folder: Path) -> Path:
    """The wheel, made in `folder` from a copy of what git knows, by the backend that is installed here."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("assistant", "project"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def fresh_environment(folder: Path, wheel: Path) -> Path:
    """The Python of a new virtual environment that has the wheel, and links to what it requires without any extra.

    Links to the packages that are installed here: what is tried is what is pinned, and no network is needed.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    subprocess.run([*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    [metadata] = site.glob("parley-*.dist-info")
    for package in _required(Distribution.at(metadata)).values():
        for file in package.files or ():
            if ".." in file.parts:  # a command's script
                continue
            link = site / file
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(Path(str(file.locate())).resolve())
    return python


def _required(package: Distribution) -> dict[str, Distribution]:
    """All that a package requires, and what that requires, by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(package, frozenset[str]())]
    while waiting:
        of, extras = waiting.pop()
        for line in of.requires or ():
            requirement = Requirement(line)
            wanted = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            marker = requirement.marker
            if wanted in seen or (marker and not any(marker.evaluate({"extra": extra}) for extra in ("", *extras))):
                continue
            seen.add(wanted)
            found[wanted[0]] = distribution(requirement.name)
            waiting.append((found[wanted[0]], wanted[1]))
    return found
