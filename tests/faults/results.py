"""The results of injections: stored in a file, reported in a table."""

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


# Numbers to try for each requested injection, on machines that allow only few kinds.
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
        about: The run or the task concerned, if any.
    """

    kind: ViolationKind
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.about}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class InjectionResult:
    """The result of one injection.

    Attributes:
        endings: The final status or stop reason of each run, with its attempts.
        skipped: The reason why it was not made; empty if it was.
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
        """The text to print."""
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
    """The file of results: one line of JSON each, only appended to."""

    path: Path
    results: dict[int, InjectionResult] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, *, seed: int) -> Progress:
        """Read the results that an earlier call with the same seed wrote."""
        progress = cls(path)
        if path.exists():
            for line in path.read_text().splitlines():
                document = json.loads(line)
                # Drop results of former kinds: their numbers mean something else now.
                if document["seed"] == seed and document["kind"] in set(Kind):
                    result = _read(document)
                    progress.results[result.number] = result
        return progress

    def is_done(self, number: int) -> bool:
        """Whether this injection was made."""
        result = self.results.get(number)
        return result is not None and not result.skipped

    def is_skipped(self, number: int) -> bool:
        """Whether it was tried but had no victim."""
        return number in self.results and not self.is_done(number)

    def selected_numbers(self, wanted: int) -> list[int]:
        """The first numbers with this many made or possible injections; the list is bounded."""
        numbers: list[int] = []
        skipped = 0
        for number in range(_MAX_TRIES * wanted):
            if len(numbers) - skipped == wanted:
                break
            numbers.append(number)
            skipped += self.is_skipped(number)
        return numbers

    def add(self, result: InjectionResult) -> None:
        """Store a result."""
        self.results[result.number] = result
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(result), default=str) + "\n")


def _read(line: dict[str, object]) -> InjectionResult:
    violations = tuple(
        Violation(ViolationKind(one["kind"]), one["about"], one["text"])
        for one in line.pop("violations")  # type: ignore[attr-defined]
    )
    line |= {name: tuple(line[name]) for name in ("endings", "notes", "result_delays")}  # type: ignore[arg-type]
    line["kind"] = Kind(str(line["kind"]))
    return InjectionResult(**line, violations=violations)  # type: ignore[arg-type]


def results_table(results: Iterable[InjectionResult]) -> str:
    """Results by kind, as a Markdown table."""
    all_results = list(results)
    heads = ["fault", "injections", "runs", *(f"{wrong}" for wrong in COLUMNS), "other"]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for kind in Kind:
        of_kind = [one for one in all_results if one.kind is kind]
        if of_kind:
            lines.append(_table_row(kind, of_kind))
    lines.append(_table_row("**all**", all_results))
    return "\n".join(lines)


def delay_summary(results: Iterable[InjectionResult]) -> str:
    """How soon results were in Slack after the ends of runs; empty if nothing ended."""
    late = sorted(seconds for one in results for seconds in one.result_delays)
    if not late:
        return ""
    middle, nearly = late[len(late) // 2], late[min(len(late) * 99 // 100, len(late) - 1)]
    return (
        f"results of {len(late)} runs were in Slack after their ends: median {middle:.1f} s, "
        f"p99 {nearly:.1f} s, longest {late[-1]:.1f} s"
    )


def _table_row(name: str, results: Sequence[InjectionResult]) -> str:
    done = [one for one in results if not one.skipped and one.kind is not Kind.AFTER]
    counts = Counter(wrong.kind for one in results for wrong in one.violations)
    other = sum(counts.values()) - sum(counts[wrong] for wrong in COLUMNS)
    skipped = sum(bool(one.skipped) for one in results)
    injections = f"{len(done)}" + (f" (+{skipped} skipped)" if skipped else "")
    cells = [injections, sum(one.runs for one in done), *(counts[w] for w in COLUMNS), other]
    return f"| {name} | " + " | ".join(str(cell) for cell in cells) + " |"
