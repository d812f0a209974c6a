"""Small rules that a JSON value must follow, and how to put them together.  Pure.

A rule gets the value, the JSON pointer to it and the list its complaints go to.  The
complaints are worded like Slack's own.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Rule = Callable[[Any, str, list[str]], None]


def complain(errors: list[str], pointer: str, what: str) -> None:
    """Add a complaint in Slack's form."""
    errors.append(f"{what} [json-pointer:{pointer}]")


def string(most: int, *, least: int = 0, form: str | None = None) -> Rule:
    """A string of so many characters, maybe of a regular form."""
    pattern = re.compile(form) if form else None

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, str):
            complain(errors, pointer, "must provide a string")
        elif len(value) > most:
            complain(errors, pointer, f"must be less than {most + 1} characters")
        elif len(value) < least:
            complain(errors, pointer, f"must be more than {least - 1} characters")
        elif pattern and not pattern.fullmatch(value):
            complain(errors, pointer, "string does not match its format")

    return rule


def boolean(value: Any, pointer: str, errors: list[str]) -> None:
    """True or false."""
    if not isinstance(value, bool):
        complain(errors, pointer, "must provide a boolean")


def number(least: float = float("-inf"), most: float = float("inf")) -> Rule:
    """A number within bounds."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            complain(errors, pointer, "must provide a number")
        elif not least <= value <= most:
            complain(errors, pointer, f"must be between {least:g} and {most:g}")

    return rule


def one_of(*allowed: str | int) -> Rule:
    """One of these values."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if value not in allowed or isinstance(value, bool):
            shown = ", ".join(map(str, allowed))
            complain(errors, pointer, f"invalid value: {value!r}, must be one of {shown}")

    return rule


def listing(rule_of_item: Rule, most: int, *, least: int = 0) -> Rule:
    """A list of so many items, each following one rule."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, list):
            complain(errors, pointer, "must provide an array")
            return
        if len(value) > most:
            complain(errors, pointer, f"no more than {most} items allowed")
        if len(value) < least:
            complain(errors, pointer, f"no fewer than {least} items allowed")
        for index, item in enumerate(value):
            rule_of_item(item, f"{pointer}/{index}", errors)

    return rule


def shape(
    required: Mapping[str, Rule],
    optional: Mapping[str, Rule] | None = None,
    *,
    one_from: tuple[str, ...] = (),
) -> Rule:
    """An object with these fields and no others.

    Args:
        required: Fields it must have.
        optional: Fields it may have.
        one_from: Optional fields of which at least one must be there.
    """
    known = {**required, **(optional or {})}

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, dict):
            complain(errors, pointer, "must provide an object")
            return
        for name in required:
            if value.get(name) is None:
                complain(errors, pointer, f"missing required field: {name}")
        if one_from and all(value.get(name) is None for name in one_from):
            complain(errors, pointer, f"must define one of: {', '.join(one_from)}")
        for name, item in value.items():
            if name not in known:
                complain(errors, pointer, f"invalid additional property: {name}")
            elif item is not None:
                known[name](item, f"{pointer}/{name}", errors)

    return rule


def by_type(rules: Mapping[str, Rule]) -> Rule:
    """An object whose `type` says which rule it follows."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        if not isinstance(value, dict):
            complain(errors, pointer, "must provide an object")
        elif (kind := value.get("type")) is None:
            complain(errors, pointer, "missing required field: type")
        elif not isinstance(kind, str) or kind not in rules:
            complain(errors, f"{pointer}/type", f"unsupported type: {kind}")
        else:
            rules[kind](value, pointer, errors)

    return rule


def kind_of(name: str) -> Rule:
    """The `type` field of a shape."""
    return one_of(name)


def later(find: Callable[[], Rule]) -> Rule:
    """A rule that is defined further down."""

    def rule(value: Any, pointer: str, errors: list[str]) -> None:
        find()(value, pointer, errors)

    return rule
