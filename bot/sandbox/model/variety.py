"""Scripts of every length, size and shape a run can have."""

from __future__ import annotations

import re

from bot.sandbox.model.conversation import without_directives
from bot.sandbox.model.plan import PlanStep, create_plan, todo_write, update_plan
from bot.sandbox.model.script import (
    Conversation,
    Script,
    Tokens,
    ToolCall,
    Turn,
    bash,
    play_in_order,
    strip_tags,
    write,
)

_THIRDS = (
    PlanStep("First third", "Working on the first third"),
    PlanStep("Second third", "Working on the second third"),
    PlanStep("Last third", "Working on the last third"),
)
_HUGE_OUTPUT_BYTES = 3_000_000
_HUGE_ANSWER_CHARS = 300_000
_EXCERPT_CHARS = 200


def _long(conversation: Conversation) -> Turn:
    total = conversation.int_directive("turns", 60)
    if conversation.position >= total:
        done = sum(r.name == "Bash" and not r.is_error for r in conversation.results)
        return Turn(
            text=f"## Summary\n\n{done} of {total} commands ran without an error. "
            "Each was one turn of the agent with one use of a tool, one after the other, as "
            "asked; nothing else was touched, and no file was changed. "
            "There is nothing left to do."
        )
    number = conversation.position + 1
    return Turn(text=f"Turn {number}.", calls=(bash(f"echo turn {number} of {total}", "Count"),))


def _marathon(conversation: Conversation) -> Turn:
    """More turns than most limits allow; each number is written to `progress.txt` once."""
    total = conversation.int_directive("turns", 45)
    if conversation.position == 0:
        return Turn(text=f"{total} small pieces, in three parts.", calls=create_plan(_THIRDS))
    number = conversation.position
    if number > total:
        return _marathon_report(conversation, total)
    third, offset = divmod((number - 1) * len(_THIRDS), total)
    calls: tuple[ToolCall, ...] = (
        bash(f"echo 'piece {number} of {total}' | tee -a progress.txt", f"Piece {number}"),
    )
    if offset < len(_THIRDS):
        calls = (*update_plan(conversation, _THIRDS, done=third), *calls)
    if number == total:
        calls = (*calls, *update_plan(conversation, _THIRDS, done=len(_THIRDS)))
    return Turn(text=f"Piece {number}.", calls=calls)


def _marathon_report(conversation: Conversation, total: int) -> Turn:
    done = sum(r.name == "Bash" and not r.is_error for r in conversation.results)
    return Turn(
        text=f"## Summary\n\n{done} of {total} pieces are done, in order, and each left its "
        "line in `progress.txt`. If the work was stopped on the way by a limit, it went on with "
        "the next piece afterwards: no piece was begun twice, and none was left out. Nothing was "
        "committed; the file is in the work tree."
    )


def _huge(conversation: Conversation) -> Turn:
    if conversation.position == 0:
        command = f"python3 -c \"print('0123456789' * {_HUGE_OUTPUT_BYTES // 10})\""
        return Turn(text="A lot of output.", calls=(bash(command, "Print 3 MB"),))
    received_chars = len(conversation.results[-1].text) if conversation.results else 0
    line = "All work and no play makes a long answer. "
    body = line * (_HUGE_ANSWER_CHARS // len(line))
    return Turn(text=f"## Summary\n\n{received_chars:,} characters came back.\n\n{body}")


def _question(conversation: Conversation) -> Turn:
    if conversation.position == 0:
        options = [
            {"label": "PostgreSQL", "description": "One more service, and real transactions"},
            {"label": "SQLite", "description": "A file, and one writer at a time"},
        ]
        arguments = {
            "questions": [
                {
                    "question": "Which database should this use?",
                    "header": "Database",
                    "options": options,
                    "multiSelect": False,
                }
            ]
        }
        return Turn(
            text="One thing to decide first.", calls=(ToolCall("AskUserQuestion", arguments),)
        )
    reply = strip_tags(conversation.results[-1].text) if conversation.results else "nothing"
    return Turn(
        text="## Summary\n\nI asked which database this should use. What came back: "
        f"“{reply[:_EXCERPT_CHARS]}”. "
        "I changed nothing yet: the choice decides the shape of the tables, the tests and the "
        "way the service is started. With it settled the rest is straightforward work."
    )


def _subagent(conversation: Conversation) -> Turn:
    if conversation.position == 0:
        arguments = {
            "description": "Survey the files",
            "prompt": "[scenario: helper] Survey the files of this repository.",
            "subagent_type": "general-purpose",
        }
        return Turn(text="A helper can survey the files.", calls=(ToolCall("Task", arguments),))
    reply = strip_tags(conversation.results[-1].text) if conversation.results else "nothing"
    report = re.search(r"There are \d+ entries", reply)
    reply = report[0] if report else reply
    return Turn(
        text=f"## Summary\n\nThe helper answered: “{reply[:_EXCERPT_CHARS]}”. "
        "It worked in a conversation of its own with its own tools, and only its report came "
        "back here. Nothing was changed in the repository, and nothing is left to do for this "
        "task."
    )


def _helper(conversation: Conversation) -> Turn:
    if conversation.position == 0:
        return Turn(text="Surveying.", calls=(bash("ls -A | wc -l", "Count the files"),))
    return Turn(text=f"There are {conversation.results[-1].text.strip()} entries in the directory.")


_TODO_WRITE_STEPS = (
    PlanStep("Look around", "Looking around"),
    PlanStep("Think it over", "Thinking it over"),
)


def _todo_write_plan(done: int) -> Turn:
    return Turn(text="Updating the list.", calls=(todo_write(_TODO_WRITE_STEPS, done=done),))


def _todo_write_report(conversation: Conversation) -> Turn:
    refused = sum(r.is_error for r in conversation.results)
    how = "was refused by the program" if refused else "was kept"
    return Turn(
        text=f"## Summary\n\nThe plan in the older dialect (TodoWrite) {how}: "
        f"{len(conversation.results)} "
        f"calls, {refused} refused. I looked around and thought it over, and changed nothing. "
        "The list had two steps, sent whole with every call, as older programs expect it."
    )


_WORDS = "Grüße, 世界! Привет — مرحبا, שלום, नमस्ते 🎉🚂 <script>&amp; *bold* `code` @channel"


def _unicode(conversation: Conversation) -> Turn:
    if conversation.position == 0:
        return Turn(text=_WORDS, calls=(write("grüße-世界 🎉.txt", f"{_WORDS}\n"),))
    if conversation.position == 1:
        return Turn(text="読んでみます。", calls=(bash("cat ./gr*.txt", "読む 📖"),))
    reply = conversation.results[-1].text if conversation.results else ""
    return Turn(
        text="## "
        f"Summary\n\n{_WORDS}\n\n{without_directives(conversation.task)[:_EXCERPT_CHARS]}\n\n"
        f"Gelesen: {reply[:_EXCERPT_CHARS]}\n\n"
        "すべての文字は一つも失われませんでした。 Все буквы на месте. كل الحروف في مكانها. "
        "Alle Zeichen sind erhalten geblieben, auch die seltenen, und die Datei liegt bereit."
    )


def _expensive_turns(conversation: Conversation) -> Turn:
    """Turns that claim many output tokens: at $5 to $25 a million each costs $0.20 to $1."""
    usage = Tokens(
        input=2_000,
        output=conversation.int_directive("tokens", 40_000, maximum=200_000),
        cache_read=0,
    )
    total = conversation.int_directive("turns", 40)
    if conversation.position >= total:
        return Turn(
            text=f"## Summary\n\nAll {total} expensive turns are done. Each of them was said to "
            "have written tens of thousands of tokens, so that a budget is reached soon; the "
            "tools themselves only printed one line each and changed nothing here.",
            tokens=usage,
        )
    number = conversation.position + 1
    return Turn(
        text=f"Expensive turn {number}.",
        calls=(bash(f"echo expensive turn {number}", "Spend"),),
        tokens=usage,
    )


def _review(conversation: Conversation) -> Turn:
    """A review by an agent that may not write."""
    if conversation.position == 0:
        if "Bash" in conversation.tools:
            command = "git log --oneline -n 5 2>&1; ls -A | head -n 50"
            return Turn(text="Reading what is here.", calls=(bash(command, "Look around"),))
        read = ToolCall("Read", {"file_path": "README.md"})
        return Turn(text="Reading what is here.", calls=(read,))
    reply = conversation.results[-1] if conversation.results else None
    seen = f"{len(reply.text.splitlines())} lines" if reply and not reply.is_error else "nothing"
    return Turn(
        text="## Summary\n\n"
        f"Task: {without_directives(conversation.task)[:300]}\n\n"
        f"- What I could look at: {seen}.\n- Changed: nothing; I have no tools to write with.\n\n"
        "I read the repository as far as the tools allow and found nothing that has to be "
        "stopped. A closer look needs the part of the code that is meant."
    )


VARIETY_SCRIPTS: tuple[Script, ...] = (
    Script(name="long", description="N quick tool turns ([turns: 60])", play=_long),
    Script(
        name="max-turns",
        description="more turns than the limit ([turns: 45]); a continue goes on exactly there",
        play=_marathon,
    ),
    Script(name="huge", description="3 MB of tool output, an answer of 300 kB", play=_huge),
    Script(name="question", description="asks the person with AskUserQuestion", play=_question),
    Script(name="subagent", description="lets a helper do a part", play=_subagent),
    Script(name="helper", description="what that helper does", play=_helper),
    Script(
        name="todo",
        description="a plan in the older dialect (TodoWrite)",
        play=play_in_order(
            _todo_write_plan(0), _todo_write_plan(1), _todo_write_plan(2), _todo_write_report
        ),
    ),
    Script(name="unicode", description="text of many scripts, and emoji", play=_unicode),
    Script(
        name="budget", description="turns that cost a lot ([tokens: 40000])", play=_expensive_turns
    ),
    Script(
        name="review", description="only looks; plays for agents that may not write", play=_review
    ),
)
