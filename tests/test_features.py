"""docs/features.md has each promise once, and promises.md names tests for it, each of which exists."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "features.md"
PROMISES = [f"{letter}{number}" for letter, count in zip("LHAGPXUM", (9, 10, 6, 6, 9, 5, 3, 7), strict=True)
            for number in range(1, count + 1)]  # fmt: skip


@cache
def names_in(file):
    tree = ast.parse((TESTS / f"{file}.py").read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_promise_is_told_once():
    points = re.split(r"(?m)^- ", DOCUMENT.read_text())[1:]
    ends = [re.search(r"\*\(([A-Z]\d+)\)\*\s*(## .+\s*)?\Z", point) for point in points]
    assert [end and end[1] for end in ends] == PROMISES


def test_each_promise_names_tests_that_exist():
    rows = re.findall(r"(?m)^\| ([A-Z]\d+) \| (.+) \|$", (TESTS / "promises.md").read_text())
    assert [promise for promise, _ in rows] == PROMISES
    for promise, cell in rows:
        tests = re.findall(r"`([\w/]+)::(\w+)`", cell)
        assert tests, promise
        missing = [f"{file}::{name}" for file, name in tests if name not in names_in(file)]
        assert not missing, (promise, missing)
