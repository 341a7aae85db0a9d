"""Long answers of several kinds."""

from __future__ import annotations


def long_texts(size: int) -> dict[str, str]:
    """The kinds of long answers, each of `size` characters."""

    def repeated(line: str, head: str = "") -> str:
        lines, length, number = [head], len(head), 0
        while length < size:
            lines.append(line.format(n=number))
            length, number = length + len(lines[-1]), number + 1
        return "".join(lines)

    return {
        "prose": repeated(
            "Paragraph {n} with **bold** words, `code` and a [link](https://example.org/{n}), and more text.\n\n"
        ),
        "one block of code": repeated("    value_{n} = compute({n}, 'text')  # a comment\n", "```python\n"),
        "one table": repeated("| row {n} | {n} | some **text** in it |\n", "| a | b | c |\n| - | -: | - |\n"),
        "one list": repeated("- item {n} with **bold** words and `code` in it\n"),
    }
