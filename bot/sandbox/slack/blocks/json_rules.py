"""Small rules for JSON values, and functions that combine them.  Pure.

A rule gets the value, its JSON pointer and the list to which it adds its errors.  The texts
of the errors follow Slack's own.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Rule = Callable[[Any, str, list[str]], None]


def add_error(errors: list[str], pointer: str, what: str) -> None:
    """Add an error in Slack's form."""
    errors.append(f"{what} [json-pointer:{pointer}]")


def string(maximum: int, *, minimum: int = 0, pattern: str | None = None) -> Rule:
    """A string with a length within bounds and, if given, a pattern."""
    regex = re.compile(pattern) if pattern else None

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, str):
            add_error(errors, pointer, "must provide a string")
        elif len(value) > maximum:
            add_error(errors, pointer, f"must be less than {maximum + 1} characters")
        elif len(value) < minimum:
            add_error(errors, pointer, f"must be more than {minimum - 1} characters")
        elif regex and not regex.fullmatch(value):
            add_error(errors, pointer, "string does not match its format")

    return rule


def boolean(value: Any, pointer: str, errors: list[str]) -> None:
    """True or false."""
    if not isinstance(value, bool):
        add_error(errors, pointer, "must provide a boolean")


def number(minimum: float = float("-inf"), maximum: float = float("inf")) -> Rule:
    """A number within bounds."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            add_error(errors, pointer, "must provide a number")
        elif not minimum <= value <= maximum:
            add_error(errors, pointer, f"must be between {minimum:g} and {maximum:g}")

    return rule


def one_of(*allowed: str | int) -> Rule:
    """One of these values."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if value not in allowed or isinstance(value, bool):
            shown = ", ".join(map(str, allowed))
            add_error(errors, pointer, f"invalid value: {value!r}, must be one of {shown}")

    return rule


def array(item_rule: Rule, maximum: int, *, minimum: int = 0) -> Rule:
    """A list with a number of items within bounds, each of which follows one rule."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, list):
            add_error(errors, pointer, "must provide an array")
            return
        if len(value) > maximum:
            add_error(errors, pointer, f"no more than {maximum} items allowed")
        if len(value) < minimum:
            add_error(errors, pointer, f"no fewer than {minimum} items allowed")
        for index, item in enumerate(value):
            item_rule(item, f"{pointer}/{index}", errors)

    return rule


def object_with(
    required: Mapping[str, Rule],
    optional: Mapping[str, Rule] | None = None,
    *,
    at_least_one_of: tuple[str, ...] = (),
) -> Rule:
    """An object with these fields and no others.

    Args:
        required: Fields it must have.
        optional: Fields it may have.
        at_least_one_of: Optional fields of which at least one is required.
    """
    all_rules = {**required, **(optional or {})}

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, dict):
            add_error(errors, pointer, "must provide an object")
            return
        for name in required:
            if value.get(name) is None:
                add_error(errors, pointer, f"missing required field: {name}")
        if at_least_one_of and all(value.get(name) is None for name in at_least_one_of):
            add_error(errors, pointer, f"must define one of: {', '.join(at_least_one_of)}")
        for name, item in value.items():
            if name not in all_rules:
                add_error(errors, pointer, f"invalid additional property: {name}")
            elif item is not None:
                all_rules[name](item, f"{pointer}/{name}", errors)

    return rule


def by_type(rules: Mapping[str, Rule]) -> Rule:
    """An object whose `type` selects the rule to follow."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, dict):
            add_error(errors, pointer, "must provide an object")
        elif (kind := value.get("type")) is None:
            add_error(errors, pointer, "missing required field: type")
        elif not isinstance(kind, str) or kind not in rules:
            add_error(errors, f"{pointer}/type", f"unsupported type: {kind}")
        else:
            rules[kind](value, pointer, errors)

    return rule


def type_is(name: str) -> Rule:
    """The `type` field of an object."""
    return one_of(name)


def lazy(get_rule: Callable[[], Rule]) -> Rule:
    """A rule that is defined later in a module."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        get_rule()(value, pointer, errors)

    return rule
