"""What the scripted model writes: small python modules with tests that really run."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from string import Template

_STOPWORDS = (
    "a an and are as at be by can for from in into is it make new of on or our please so some "
    "that the their this to up use we with write you your"
)
# The first word of a task mostly says what to do, not what it is about.
_VERBS = (
    "add build change clean create debug design do document extend fix handle implement improve "
    "introduce investigate refactor remove rename repair review ship support test update"
)
_IGNORED_WORDS = frozenset(f"{_STOPWORDS} {_VERBS}".split())
_SLUG_WORDS = 3
_SLUG_CHARS = 40


@dataclass(frozen=True)
class Draft:
    """A module and its test, both in the repository's root.

    Attributes:
        description: What the module does, in words that complete "It …".
        flawed: The module with a mistake its test finds.
        mistake: The wrong piece of `flawed`, unique in it; `remedy` is the right one.
    """

    module: str
    code: str
    test: str
    description: str
    flawed: str
    mistake: str
    remedy: str

    @property
    def path(self) -> str:
        """Path of the module."""
        return f"{self.module}.py"

    @property
    def test_path(self) -> str:
        """Path of the test."""
        return f"test_{self.module}.py"


def module_slug(task: str) -> str:
    """A module name from a task's words, never the name of a standard module."""
    words = re.findall(r"[a-z][a-z0-9]*", task.lower())
    significant = [word for word in words if word not in _IGNORED_WORDS]
    slug = "_".join(significant[:_SLUG_WORDS])[:_SLUG_CHARS].strip("_")
    if not slug:
        return "work_item"
    return f"{slug}_feature" if "_" not in slug or slug in sys.stdlib_module_names else slug


def draft_for(task: str, *, taken: str = "") -> Draft:
    """A draft that fits a task.

    Args:
        task: The task's text.
        taken: A listing of the directory; its names are not used again.
    """
    slug = module_slug(task)
    names = set(taken.split())
    module = slug
    number = 2
    while names & {f"{module}.py", f"test_{module}.py", module}:
        module, number = f"{slug}_{number}", number + 1
    pattern = next((p for words, p in _PATTERNS if words.search(task)), _CHECKLIST)
    code = Template(pattern.code).substitute(module=module)
    return Draft(
        module=module,
        code=code,
        test=Template(pattern.test).substitute(module=module),
        description=pattern.description,
        flawed=code.replace(pattern.remedy, pattern.mistake),
        mistake=pattern.mistake,
        remedy=pattern.remedy,
    )


@dataclass(frozen=True, kw_only=True)
class _Pattern:
    description: str
    code: str
    test: str
    mistake: str
    remedy: str


_BUCKET = _Pattern(
    description="limits how often something may happen: a token bucket that refills steadily",
    mistake="return min(self.capacity, self.tokens + elapsed)",
    remedy="return min(self.capacity, self.tokens + elapsed * self.rate)",
    code='''"""A token bucket: so many calls at once, and so many a second."""

from dataclasses import dataclass


@dataclass
class Bucket:
    """Allows `capacity` calls at once and `rate` a second in the long run."""

    capacity: float
    rate: float
    tokens: float = 0.0
    seen_at: float = 0.0

    def level(self, now: float) -> float:
        """Tokens available at `now` (seconds)."""
        elapsed = max(0.0, now - self.seen_at)
        return min(self.capacity, self.tokens + elapsed * self.rate)

    def allow(self, now: float) -> bool:
        """Take one token if there is one."""
        level = self.level(now)
        self.seen_at = now
        self.tokens = level - 1 if level >= 1 else level
        return level >= 1
''',
    test="""import unittest

from $module import Bucket


class BucketTest(unittest.TestCase):
    def test_allows_up_to_its_capacity_at_once(self):
        bucket = Bucket(capacity=2, rate=1, tokens=2)
        self.assertEqual([bucket.allow(0.0) for _ in range(3)], [True, True, False])

    def test_refills_at_its_rate(self):
        bucket = Bucket(capacity=5, rate=2)
        self.assertEqual(bucket.level(1.5), 3)

    def test_never_holds_more_than_its_capacity(self):
        bucket = Bucket(capacity=5, rate=2)
        self.assertEqual(bucket.level(100), 5)

    def test_refuses_when_empty(self):
        self.assertFalse(Bucket(capacity=1, rate=1).allow(0.0))


if __name__ == "__main__":
    unittest.main()
""",
)

_RETRY = _Pattern(
    description="tries again what fails for a while, with growing pauses",
    mistake="return min(self.longest, self.first * attempt)",
    remedy="return min(self.longest, self.first * 2 ** (attempt - 1))",
    code='''"""Try again what fails for a while, with pauses that double."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Backoff:
    """How often to try, and how long to wait between."""

    tries: int = 5
    first: float = 0.5
    longest: float = 30.0

    def pause(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1)."""
        return min(self.longest, self.first * 2 ** (attempt - 1))

    def call(self, action: Callable[[], T], sleep: Callable[[float], None]) -> T:
        """The first result of `action` that is not an OSError."""
        for attempt in range(1, self.tries):
            try:
                return action()
            except OSError:
                sleep(self.pause(attempt))
        return action()
''',
    test="""import unittest

from $module import Backoff


class BackoffTest(unittest.TestCase):
    def test_pauses_double_up_to_the_longest(self):
        backoff = Backoff(first=1, longest=5)
        self.assertEqual([backoff.pause(n) for n in (1, 2, 3, 4)], [1, 2, 4, 5])

    def test_returns_the_first_success(self):
        outcomes = [OSError(), OSError(), "done"]
        pauses = []

        def action():
            outcome = outcomes.pop(0)
            if isinstance(outcome, OSError):
                raise outcome
            return outcome

        self.assertEqual(Backoff(first=1).call(action, pauses.append), "done")
        self.assertEqual(len(pauses), 2)

    def test_gives_up_after_the_last_try(self):
        def action():
            raise OSError("still down")

        with self.assertRaises(OSError):
            Backoff(tries=3).call(action, lambda seconds: None)


if __name__ == "__main__":
    unittest.main()
""",
)

_CHECKLIST = _Pattern(
    description="reads a checklist and computes how much of it is done",
    mistake="return round(100 * self.done / max(len(self.items) + 1, 1))",
    remedy="return round(100 * self.done / max(len(self.items), 1))",
    code='''"""Read a Markdown checklist and compute how much of it is done."""

import re
from dataclasses import dataclass

LINE = re.compile(r"^\\s*[-*] \\[([ xX])\\] (.+?)\\s*$$", re.MULTILINE)


@dataclass(frozen=True)
class Checklist:
    """Items in order, each with whether it is ticked."""

    items: tuple[tuple[str, bool], ...]

    @property
    def done(self) -> int:
        """How many items are ticked."""
        return sum(ticked for _, ticked in self.items)

    @property
    def percent(self) -> int:
        """Share of ticked items; 0 for an empty list."""
        return round(100 * self.done / max(len(self.items), 1))


def parse(text: str) -> Checklist:
    """The checklist lines of a text; other lines are left out."""
    return Checklist(tuple((name, mark != " ") for mark, name in LINE.findall(text)))
''',
    test="""import unittest

from $module import parse


class ChecklistTest(unittest.TestCase):
    def test_reads_ticked_and_open_items(self):
        items = parse("- [x] one\\n* [ ] two\\n").items
        self.assertEqual(items, (("one", True), ("two", False)))

    def test_leaves_other_lines_out(self):
        self.assertEqual(parse("# Title\\n\\n- plain item\\n").items, ())

    def test_computes_how_much_is_done(self):
        self.assertEqual(parse("- [x] a\\n- [ ] b\\n").percent, 50)

    def test_an_empty_list_is_not_an_error(self):
        self.assertEqual(parse("").percent, 0)


if __name__ == "__main__":
    unittest.main()
""",
)

_PATTERNS = (
    (re.compile(r"(?i)\b(rate|limit|limiting|throttl\w*|quota)\b"), _BUCKET),
    (re.compile(r"(?i)\b(retr(y|ies)|backoff|flaky|resilien\w*)\b"), _RETRY),
)
