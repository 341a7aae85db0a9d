"""What came of it: every answer held against what the provider sent, and against what every viewer had."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from chaos.crowd import ROUNDS, TOOLS, Room
from chaos.kills import Kill
from chaos.kinds import Kind
from chaos.ledger import Ledger, Question, Sight
from chaos.stage import Stage, Stored
from tests.provider.valid import check_request

SLOW_SECONDS = 4.0
SETTLED_SECONDS = 0.2  # what arrives sooner after a kill may have been on its way before it

_TAKEN = re.compile(r"Answer (\S+) of session \S+ (?:recovered|abandoned) \(attempt (\d+), worker (\S+)\)")


@dataclass
class Verdict:
    asked: int = 0
    succeeded: int = 0
    interrupted: int = 0  # answers that needed more than one attempt
    recovered: int = 0  # of those: whole in the end
    failed: Counter[str] = field(default_factory=Counter)  # with a sentence, by code
    lost: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)  # of tools, by status; "again": runs after the first
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # shown to a viewer
    takeovers: int = 0
    given_up: int = 0  # answers that ended their workers
    false_recoveries: list[str] = field(default_factory=list)
    hit: Counter[Kind] = field(default_factory=Counter)
    kills: Counter[Kind] = field(default_factory=Counter)
    seconds: dict[Kind, list[float]] = field(default_factory=dict)  # from the kill to the first news of what it hit
    after_ready: dict[Kind, list[float]] = field(default_factory=dict)  # the same from Ready
    slow: list[str] = field(default_factory=list)  # for the log
    starts: list[float] = field(default_factory=list)  # from an answer's creation to its claim, as seen

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.stuck or self.wrong)


def judge(stage: Stage, rooms: list[Room], ledger: Ledger, kills: list[Kill]) -> Verdict:
    """Reads the database, the viewers, the model server's records and the log. Call it when all is quiet."""
    verdict = Verdict(asked=len(ledger.questions), wrong=list(ledger.wrong))
    stored = stage.messages()
    _judge_answers(verdict, stage, ledger, stored)
    _judge_viewers(verdict, rooms, stored)
    _judge_poison(verdict, stored, kills)
    _judge_tools(verdict, stage, stored)
    _judge_takeovers(verdict, stage, kills)
    _measure(verdict, ledger, kills)
    return verdict


def _judge_answers(verdict: Verdict, stage: Stage, ledger: Ledger, stored: list[Stored]) -> None:
    requests = Counter((r["model"], r["question"]) for r in stage.provider.requests())
    answers: dict[str, list[Stored]] = {}
    for message in stored:
        answers.setdefault(message.reply_to, []).append(message)
    by_client_id: dict[str, list[Stored]] = {}
    for message in stored:
        by_client_id.setdefault(message.client_id, []).append(message)
    for question in ledger.questions:
        kept = by_client_id.get(question.client_id, [])
        if not kept:
            verdict.lost.append(f"question {question.number} is not stored")
            continue
        if len(kept) > 1:
            verdict.doubled.append(f"question {question.number} is stored {len(kept)} times")
        found = answers.get(kept[0].id, [])
        if len(found) > 1:
            verdict.doubled.append(f"question {question.number} has {len(found)} answers")
        if not found:
            where = verdict.stuck if kept[0].status == "pending" else verdict.lost
            where.append(f"question {question.number} ({kept[0].id}, {kept[0].status}) has no answer")
            continue
        made = requests[question.model.removeprefix("openai/"), question.content]
        rounds = ROUNDS if "-tool=" in question.model else 0  # each is asked for once more than it is stored, at most
        if made > found[0].attempt + rounds:
            verdict.doubled.append(
                f"question {question.number} was asked {made} times in {found[0].attempt} attempts"
            )
        _judge_answer(verdict, question, found[0])


def _judge_answer(verdict: Verdict, question: Question, answer: Stored) -> None:
    name = f"answer {answer.id} to question {question.number} ({answer.status}, attempt {answer.attempt})"
    verdict.interrupted += answer.attempt > 1
    if answer.status in ("pending", "processing"):
        verdict.stuck.append(name)
        return
    if answer.status == "error":
        verdict.failed[answer.error_code] += 1
        if not (answer.error_code and answer.error_detail):
            verdict.lost.append(f"{name} failed without a sentence")
    elif answer.status == "success":
        verdict.succeeded += 1
        verdict.recovered += answer.attempt > 1
    if answer.status == "cancelled" or (answer.status == "success") == question.fails:
        verdict.lost.append(f"{name} should {'have failed' if question.fails else 'be whole'}: {answer.error_code}")
    elif answer.content != question.expected:
        wrong = verdict.doubled if is_doubled(answer.content, question.expected) else verdict.lost
        wrong.append(f"{name}: {len(answer.content)} characters instead of {len(question.expected)}")


def is_doubled(text: str, expected: str) -> bool:
    """Whether a text that isn't the expected one has something twice; else something of it is missing."""
    words = Counter(re.findall(r"w\d+\S*", text))
    return len(text) > len(expected) or any(count > 1 for count in words.values())


def _judge_tools(verdict: Verdict, stage: Stage, stored: list[Stored]) -> None:
    """No tool was run twice that must not be, every call has its one result, and the model server could read each request.

    The tools note the id of the call that they are run for.
    """
    runs = stage.tool_runs()
    ended = {message.id: message.status for message in stored if message.status not in ("pending", "processing")}
    of_answer: dict[str, dict[int, list[str]]] = {}
    for call in stage.calls():
        verdict.calls[call.status] += 1
        of_answer.setdefault(call.answer, {}).setdefault(call.round, []).append(call.name)
        name = f"the call of {call.name} {call.id} in round {call.round} of answer {call.answer} ({call.status})"
        is_idempotent, times = call.name == TOOLS[-1], runs.pop(call.id, 0)
        if call.answer in ended and call.status in ("pending", "running"):
            verdict.stuck.append(name)
        if times > 1 and is_idempotent:
            verdict.calls["again"] += times - 1
        elif times > 1:
            verdict.doubled.append(f"{name} was run {times} times")
        if call.status == "success" and not times:
            verdict.wrong.append(f"{name} was not run")
        if call.status == "interrupted" and is_idempotent:
            verdict.wrong.append(f"{name} could have been run again")
    verdict.wrong += [f"the tool call {call} was run and is not stored" for call in runs]
    for answer, rounds in of_answer.items():
        if ended.get(answer) == "success" and rounds != {number: list(TOOLS) for number in range(1, ROUNDS + 1)}:
            verdict.wrong.append(f"answer {answer} has the rounds {rounds}")
    for request in stage.provider.requests():
        try:
            check_request(request["body"])
        except AssertionError as error:
            verdict.wrong.append(f"a request for {request['model']} that no provider takes: {error}")


def _judge_viewers(verdict: Verdict, rooms: list[Room], stored: list[Stored]) -> None:
    for room in rooms:
        for message in stored:
            if message.session == room.session and message.role == "assistant":
                shown = room.viewer.view.messages.get(message.id)
                if shown is None or (shown["status"], shown["content"]) != (message.status, message.content):
                    has = shown and (shown["status"], shown["attempt"], shown["seq"], len(shown["content"]))
                    stands = (message.status, message.attempt, len(message.content))
                    verdict.wrong.append(f"answer {message.id}: a viewer has {has}, stored is {stands}")


def _judge_poison(verdict: Verdict, stored: list[Stored], kills: list[Kill]) -> None:
    """The answers that end their workers are given up. That no other is, the answers themselves tell."""
    ends = {message.id: (message.status, message.error_code) for message in stored}
    for kill in kills:
        if kill.poisoned and ends.get(kill.poisoned) == ("error", "abandoned"):
            verdict.given_up += 1
        elif kill.poisoned:
            verdict.lost.append(f"{kill.kind}: it ended as {ends.get(kill.poisoned)}")


def _judge_takeovers(verdict: Verdict, stage: Stage, kills: list[Kill]) -> None:
    """A takeover is false if nobody had killed or stopped the worker it was taken from."""
    ended = set().union(*(kill.workers for kill in kills)) if kills else set()
    if any(kill.poisoned for kill in kills):  # nobody but the product knows which workers these have ended
        ended |= stage.ended()
    for line in stage.product.said:
        if (found := _TAKEN.search(line)) and found[3] != "None":
            verdict.takeovers += 1
            if found[3] not in ended:
                verdict.false_recoveries.append(line.strip())


def _measure(verdict: Verdict, ledger: Ledger, kills: list[Kill]) -> None:
    last = {held.answer: kill for kill in sorted(kills, key=lambda kill: kill.at) for held in kill.hit}
    for kill in kills:
        verdict.kills[kill.kind] += 1
        verdict.hit[kill.kind] += len(kill.hit)
        for held in kill.hit:
            question = ledger.of_answer(held.answer)
            if question is None or _was_hit_again(question, kill, kills, last):
                continue
            news = _first_news(question, kill, held.attempt)
            if news is not None:
                verdict.seconds.setdefault(kill.kind, []).append(news.at - kill.at)
                if news.at - kill.at > SLOW_SECONDS:
                    verdict.slow.append(
                        f"{kill.kind}: answer {held.answer}, attempt {held.attempt}: {news.at - kill.at:.1f} s"
                    )
                if kill.ready_at:
                    verdict.after_ready.setdefault(kill.kind, []).append(max(0.0, news.at - kill.ready_at))
    for question in ledger.questions:
        claimed = next((sight.at for sight in question.sights if sight.attempt), None)
        if claimed is not None and not question.sights[0].attempt:
            verdict.starts.append(claimed - question.sights[0].at)
            if verdict.starts[-1] > SLOW_SECONDS:
                verdict.slow.append(f"first claim of answer {question.answer}: {verdict.starts[-1]:.1f} s")


def _first_news(question: Question, kill: Kill, attempt: int) -> Sight | None:
    """The first thing that a viewer saw of an answer after the kill that could not have been on its way before it.

    None where the answer ended in the moment of the kill: nothing of it was interrupted.
    """
    for sight in question.sights:
        if kill.kind.interrupts:
            if sight.attempt > attempt:
                return sight
        elif sight.at > kill.at + SETTLED_SECONDS and sight.is_beyond(kill.seen.get(question.answer)):
            return sight
    return None


def _was_hit_again(question: Question, kill: Kill, kills: list[Kill], last: dict[str, Kill]) -> bool:
    """Whether a later kill hit the answer before it had come back from this one: then that one's time counts."""
    if last[question.answer] is kill:
        return False
    attempt = next(held.attempt for held in kill.hit if held.answer == question.answer)
    news = _first_news(question, kill, attempt)
    later = [k.at for k in kills if k.at > kill.at and question.answer in k.seen]
    return bool(later) and (news is None or min(later) < news.at)
