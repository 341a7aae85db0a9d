"""The tables, and where they are written to."""

from __future__ import annotations

import re
from pathlib import Path

from chaos.kinds import Kind
from chaos.ledger import percentile
from chaos.verdict import Verdict

BEGIN, END = "<!-- chaos:begin -->", "<!-- chaos:end -->"


def markdown(verdict: Verdict, heading: str, circumstances: str) -> str:
    return f"### {heading}\n\n{circumstances}\n\n{_counts(verdict)}\n\n{_times(verdict)}\n"


def _counts(verdict: Verdict) -> str:
    failed = ", ".join(f"{count} {code}" for code, count in verdict.failed.most_common())
    calls, again = verdict.calls.total() - verdict.calls["again"], verdict.calls["again"]
    living, abandoned = len(verdict.false_recoveries), verdict.failed["abandoned"]
    lines = [
        f"{verdict.asked} questions: {verdict.succeeded} answers whole, {verdict.recovered} of them interrupted and "
        f"recovered; {verdict.failed.total()} failed with a sentence{f' ({failed})' if failed else ''}.",
        f"{calls} calls of tools: {verdict.calls['interrupted']} interrupted and not run again, {again} harmless ones run "
        "again.",
        f"**Lost: {len(verdict.lost)}. Doubled: {len(verdict.doubled)}. Stuck: {len(verdict.stuck)}.** "
        f"Shown wrongly to a viewer: {len(verdict.wrong)}.",
        f"Taken over from a dead worker: {verdict.takeovers - living}, from a living one: {living}.",
    ]
    if verdict.given_up:
        lines.append(f"Answers that ended their workers: {verdict.given_up} given up; of the others {abandoned}.")
    return "\n".join(f"- {line}" for line in lines)


def _times(verdict: Verdict) -> str:
    lines = [
        "| what was ended | times | answers hit | goes on after: p50 | p95 | max |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in Kind:
        if verdict.kills[kind]:
            counts = f"{verdict.kills[kind]} | {verdict.hit[kind]}"
            lines.append(f"| {kind} | {counts} | {_spread(verdict.seconds.get(kind, []))} |")
            if kind in verdict.after_ready:
                lines.append(f"| ... counted from `Ready` | | | {_spread(verdict.after_ready[kind])} |")
    lines.append(f"| (nothing: a question's first claim) | | {len(verdict.starts)} | {_spread(verdict.starts)} |")
    return "\n".join(lines)


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "- | - | -"
    values = percentile(seconds, 0.5), percentile(seconds, 0.95), max(seconds)
    return " | ".join(f"{value:.1f} s" for value in values)


def complaints(verdict: Verdict) -> str:
    lines = []
    for name in ("lost", "doubled", "stuck", "wrong", "false_recoveries"):
        lines += [f"{name}: {what}" for what in getattr(verdict, name)]
    return "\n".join(lines)


def write(document: Path, text: str) -> None:
    """Puts a section between the document's markers, in the place of the one with the same heading if there is one."""
    before, _, rest = document.read_text().partition(BEGIN)
    held, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{document} has no {BEGIN} ... {END}.")
    sections = {
        section.partition("\n")[0]: section for section in re.split(r"(?m)^(?=### )", held) if section.strip()
    }
    sections[text.partition("\n")[0]] = text
    body = "\n".join(section.strip() + "\n" for section in sections.values())
    document.write_text(f"{before}{BEGIN}\n{body}{END}{after}")
