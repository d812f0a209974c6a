"""What was found, injection by injection: kept in a file, told in a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.faults.plan import Kind


class ViolationKind(StrEnum):
    """Classes of violations; the first four are columns of the table."""

    LOST = "lost"
    DUPLICATED = "doubled"
    SURVIVOR = "survivor"
    WRONG_THREAD = "untrue thread"
    END = "end"
    AUDIT = "audit"
    TRANSCRIPT = "transcript"
    COST = "cost"
    WORK = "work"
    LEFTOVER = "leftover"
    SLACK = "Slack complains"
    CRASH = "crash"
    HARNESS = "harness"


# Numbers tried for each injection wanted, where the machine lets only few be done.
_MAX_TRIES = 3
COLUMNS = (
    ViolationKind.LOST,
    ViolationKind.DUPLICATED,
    ViolationKind.SURVIVOR,
    ViolationKind.WRONG_THREAD,
)


@dataclass(frozen=True)
class Violation:
    """One broken promise.

    Attributes:
        about: The run or the task, as far as it is about one.
    """

    kind: ViolationKind
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.about}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class InjectionResult:
    """What came of one injection.

    Attributes:
        endings: The final status or stop reason of each run, with its attempts.
        skipped: Why it was not done; empty if it was.
        result_delays: Seconds from the end of each run to its result in Slack.
    """

    seed: int
    number: int
    kind: Kind
    description: str
    runs: int
    seconds: float
    endings: Sequence[str] = ()
    violations: Sequence[Violation] = ()
    notes: Sequence[str] = ()
    skipped: str = ""
    result_delays: Sequence[float] = ()

    @property
    def summary(self) -> str:
        """For the screen."""
        word = "VIOLATED" if self.violations else "skipped" if self.skipped else "ok"
        endings_text = ", ".join(self.endings) or "nothing"
        lines = [
            (
                f"[{self.number:4}] {word:8} {self.seconds:5.1f} s  {self.description}"
                f" -> {endings_text}{f' (not done: {self.skipped})' if self.skipped else ''}"
            )
        ]
        lines += [f"         ! {violation}" for violation in self.violations]
        lines += [f"         . {note}" for note in self.notes]
        return "\n".join(lines)


@dataclass
class Progress:
    """The file of verdicts: one line of JSON each, only added to."""

    path: Path
    verdicts: dict[int, InjectionResult] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, *, seed: int) -> Progress:
        """Read what an earlier call of the same seed wrote."""
        progress = cls(path)
        if path.exists():
            for line in path.read_text().splitlines():
                told = json.loads(line)
                # Of a kind that is no more: to be done again, as what its number now means.
                if told["seed"] == seed and told["kind"] in set(Kind):
                    verdict = _read(told)
                    progress.verdicts[verdict.number] = verdict
        return progress

    def is_done(self, number: int) -> bool:
        """Whether this injection was tried and really happened."""
        verdict = self.verdicts.get(number)
        return verdict is not None and not verdict.skipped

    def is_skipped(self, number: int) -> bool:
        """Whether it was tried, and there was nothing that it could be done to."""
        return number in self.verdicts and not self.is_done(number)

    def selected_numbers(self, wanted: int) -> list[int]:
        """The first numbers of which so many were done, or may be; not endlessly many."""
        numbers: list[int] = []
        skipped = 0
        for number in range(_MAX_TRIES * wanted):
            if len(numbers) - skipped == wanted:
                break
            numbers.append(number)
            skipped += self.is_skipped(number)
        return numbers

    def add(self, verdict: InjectionResult) -> None:
        """Keep a verdict."""
        self.verdicts[verdict.number] = verdict
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(verdict), default=str) + "\n")


def _read(line: dict[str, object]) -> InjectionResult:
    violations = tuple(
        Violation(ViolationKind(one["kind"]), one["about"], one["text"])
        for one in line.pop("violations")  # type: ignore[attr-defined]
    )
    line |= {name: tuple(line[name]) for name in ("endings", "notes", "result_delays")}  # type: ignore[arg-type]
    line["kind"] = Kind(str(line["kind"]))
    return InjectionResult(**line, violations=violations)  # type: ignore[arg-type]


def results_table(verdicts: Iterable[InjectionResult]) -> str:
    """Verdicts by kind, as Markdown."""
    all_results = list(verdicts)
    heads = ["fault", "injections", "runs", *(f"{wrong}" for wrong in COLUMNS), "other"]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for kind in Kind:
        of_kind = [one for one in all_results if one.kind is kind]
        if of_kind:
            lines.append(_table_row(kind, of_kind))
    lines.append(_table_row("**all**", all_results))
    return "\n".join(lines)


def delay_summary(verdicts: Iterable[InjectionResult]) -> str:
    """How soon people were told of the ends, in words; empty if nothing ended."""
    late = sorted(seconds for one in verdicts for seconds in one.result_delays)
    if not late:
        return ""
    middle, nearly = late[len(late) // 2], late[min(len(late) * 99 // 100, len(late) - 1)]
    return (
        f"results of {len(late)} runs stood in Slack after their ends: median {middle:.1f} s, "
        f"p99 {nearly:.1f} s, longest {late[-1]:.1f} s"
    )


def _table_row(name: str, verdicts: Sequence[InjectionResult]) -> str:
    done = [one for one in verdicts if not one.skipped and one.kind is not Kind.AFTER]
    counts = Counter(wrong.kind for one in verdicts for wrong in one.violations)
    other = sum(counts.values()) - sum(counts[wrong] for wrong in COLUMNS)
    skipped = sum(bool(one.skipped) for one in verdicts)
    injections = f"{len(done)}" + (f" (+{skipped} skipped)" if skipped else "")
    cells = [injections, sum(one.runs for one in done), *(counts[w] for w in COLUMNS), other]
    return f"| {name} | " + " | ".join(str(figure) for figure in cells) + " |"
