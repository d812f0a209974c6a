"""Scripts of every length, size and shape a run can have."""

from __future__ import annotations

import re

from bot.sandbox.model.conversation import without_directives
from bot.sandbox.model.plan import PlanStep, announce, mark, todo
from bot.sandbox.model.script import (
    Scene,
    Script,
    Tokens,
    ToolCall,
    Turn,
    bash,
    in_order,
    plain,
    write,
)

_THIRDS = (
    PlanStep("First third", "Working on the first third"),
    PlanStep("Second third", "Working on the second third"),
    PlanStep("Last third", "Working on the last third"),
)
_HUGE_OUTPUT_BYTES = 3_000_000
_HUGE_ANSWER_CHARS = 300_000
_RESULT_SHARE = 200


def _long(scene: Scene) -> Turn:
    total = scene.number("turns", 60)
    if scene.position >= total:
        done = sum(r.name == "Bash" and not r.is_error for r in scene.results)
        return Turn(
            text=f"## Summary\n\n{done} of {total} commands ran without an error. "
            "Each was one turn of the agent with one use of a tool, one after the other, as "
            "asked; nothing else was touched, and no file was changed. "
            "There is nothing left to do."
        )
    number = scene.position + 1
    return Turn(text=f"Turn {number}.", calls=(bash(f"echo turn {number} of {total}", "Count"),))


def _marathon(scene: Scene) -> Turn:
    """More turns than most limits allow; `progress.txt` gets each number exactly once."""
    total = scene.number("turns", 45)
    if scene.position == 0:
        return Turn(text=f"{total} small pieces, in three parts.", calls=announce(_THIRDS))
    number = scene.position
    if number > total:
        return _marathon_report(scene, total)
    third, place = divmod((number - 1) * len(_THIRDS), total)
    calls: tuple[ToolCall, ...] = (
        bash(f"echo 'piece {number} of {total}' | tee -a progress.txt", f"Piece {number}"),
    )
    if place < len(_THIRDS):
        calls = (*mark(scene, _THIRDS, done=third), *calls)
    if number == total:
        calls = (*calls, *mark(scene, _THIRDS, done=len(_THIRDS)))
    return Turn(text=f"Piece {number}.", calls=calls)


def _marathon_report(scene: Scene, total: int) -> Turn:
    done = sum(r.name == "Bash" and not r.is_error for r in scene.results)
    return Turn(
        text=f"## Summary\n\n{done} of {total} pieces are done, in order, and each left its "
        "line in `progress.txt`. If the work was stopped on the way by a limit, it went on with "
        "the next piece afterwards: no piece was begun twice, and none was left out. Nothing was "
        "committed; the file is in the work tree."
    )


def _huge(scene: Scene) -> Turn:
    if scene.position == 0:
        command = f"python3 -c \"print('0123456789' * {_HUGE_OUTPUT_BYTES // 10})\""
        return Turn(text="A lot of output.", calls=(bash(command, "Print 3 MB"),))
    came = len(scene.results[-1].text) if scene.results else 0
    line = "All work and no play makes a long answer. "
    body = line * (_HUGE_ANSWER_CHARS // len(line))
    return Turn(text=f"## Summary\n\n{came:,} characters came back.\n\n{body}")


def _question(scene: Scene) -> Turn:
    if scene.position == 0:
        options = [
            {"label": "PostgreSQL", "description": "One more service, and real transactions"},
            {"label": "SQLite", "description": "A file, and one writer at a time"},
        ]
        asked = {
            "questions": [
                {
                    "question": "Which database should this use?",
                    "header": "Database",
                    "options": options,
                    "multiSelect": False,
                }
            ]
        }
        return Turn(text="One thing to decide first.", calls=(ToolCall("AskUserQuestion", asked),))
    said = plain(scene.results[-1].text) if scene.results else "nothing"
    return Turn(
        text="## Summary\n\nI asked which database this should use. What came back: "
        f"“{said[:_RESULT_SHARE]}”. "
        "I changed nothing yet: the choice decides the shape of the tables, the tests and the "
        "way the service is started. With it settled the rest is straightforward work."
    )


def _subagent(scene: Scene) -> Turn:
    if scene.position == 0:
        asked = {
            "description": "Survey the files",
            "prompt": "[scenario: helper] Survey the files of this repository.",
            "subagent_type": "general-purpose",
        }
        return Turn(text="A helper can survey the files.", calls=(ToolCall("Task", asked),))
    said = plain(scene.results[-1].text) if scene.results else "nothing"
    report = re.search(r"There are \d+ entries", said)
    said = report[0] if report else said
    return Turn(
        text=f"## Summary\n\nThe helper answered: “{said[:_RESULT_SHARE]}”. "
        "It worked in a conversation of its own with its own tools, and only its report came "
        "back here. Nothing was changed in the repository, and nothing is left to do for this "
        "task."
    )


def _helper(scene: Scene) -> Turn:
    if scene.position == 0:
        return Turn(text="Surveying.", calls=(bash("ls -A | wc -l", "Count the files"),))
    return Turn(text=f"There are {scene.results[-1].text.strip()} entries in the directory.")


_OLD_STEPS = (
    PlanStep("Look around", "Looking around"),
    PlanStep("Think it over", "Thinking it over"),
)


def _old_plan(done: int) -> Turn:
    return Turn(text="Updating the list.", calls=(todo(_OLD_STEPS, done=done),))


def _old_report(scene: Scene) -> Turn:
    refused = sum(r.is_error for r in scene.results)
    how = "was refused by the program" if refused else "was kept"
    return Turn(
        text=f"## Summary\n\nThe plan in the older dialect (TodoWrite) {how}: {len(scene.results)} "
        f"calls, {refused} refused. I looked around and thought it over, and changed nothing. "
        "The list had two steps, sent whole with every call, as older programs expect it."
    )


_WORDS = "Grüße, 世界! Привет — مرحبا, שלום, नमस्ते 🎉🚂 <script>&amp; *bold* `code` @channel"


def _unicode(scene: Scene) -> Turn:
    if scene.position == 0:
        return Turn(text=_WORDS, calls=(write("grüße-世界 🎉.txt", f"{_WORDS}\n"),))
    if scene.position == 1:
        return Turn(text="読んでみます。", calls=(bash("cat ./gr*.txt", "読む 📖"),))
    said = scene.results[-1].text if scene.results else ""
    return Turn(
        text=f"## Summary\n\n{_WORDS}\n\n{without_directives(scene.task)[:_RESULT_SHARE]}\n\n"
        f"Gelesen: {said[:_RESULT_SHARE]}\n\n"
        "すべての文字は一つも失われませんでした。 Все буквы на месте. كل الحروف في مكانها. "
        "Alle Zeichen sind erhalten geblieben, auch die seltenen, und die Datei liegt bereit."
    )


def _budget(scene: Scene) -> Turn:
    """Answers that are said to be long: at $5 to $25 a million each costs $0.20 to $1."""
    spent = Tokens(input=2_000, output=scene.number("tokens", 40_000, most=200_000), cache_read=0)
    total = scene.number("turns", 40)
    if scene.position >= total:
        return Turn(
            text=f"## Summary\n\nAll {total} expensive turns are done. Each of them was said to "
            "have written tens of thousands of tokens, so that a budget is reached soon; the "
            "tools themselves only printed one line each and changed nothing here.",
            tokens=spent,
        )
    number = scene.position + 1
    return Turn(
        text=f"Expensive turn {number}.",
        calls=(bash(f"echo expensive turn {number}", "Spend"),),
        tokens=spent,
    )


def _review(scene: Scene) -> Turn:
    """For an agent that may not write."""
    if scene.position == 0:
        if "Bash" in scene.tools:
            command = "git log --oneline -n 5 2>&1; ls -A | head -n 50"
            return Turn(text="Reading what is here.", calls=(bash(command, "Look around"),))
        read = ToolCall("Read", {"file_path": "README.md"})
        return Turn(text="Reading what is here.", calls=(read,))
    said = scene.results[-1] if scene.results else None
    seen = f"{len(said.text.splitlines())} lines" if said and not said.is_error else "nothing"
    return Turn(
        text="## Summary\n\n"
        f"Task: {without_directives(scene.task)[:300]}\n\n"
        f"- What I could look at: {seen}.\n- Changed: nothing; I have no tools to write with.\n\n"
        "I read the repository as far as the tools allow and found nothing that has to be "
        "stopped. A closer look needs the part of the code that is meant."
    )


VARIETY: tuple[Script, ...] = (
    Script(name="long", about="N quick tool turns ([turns: 60])", play=_long),
    Script(
        name="max-turns",
        about="more turns than the limit ([turns: 45]); a continue goes on exactly there",
        play=_marathon,
    ),
    Script(name="huge", about="3 MB of tool output, an answer of 300 kB", play=_huge),
    Script(name="question", about="asks the person with AskUserQuestion", play=_question),
    Script(name="subagent", about="lets a helper do a part", play=_subagent),
    Script(name="helper", about="what that helper does", play=_helper),
    Script(
        name="todo",
        about="a plan in the older dialect (TodoWrite)",
        play=in_order(_old_plan(0), _old_plan(1), _old_plan(2), _old_report),
    ),
    Script(name="unicode", about="text of many scripts, and emoji", play=_unicode),
    Script(name="budget", about="turns that cost a lot ([tokens: 40000])", play=_budget),
    Script(name="review", about="only looks; plays for agents that may not write", play=_review),
)
