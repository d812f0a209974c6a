"""Wrong settings in plain words: values that do not fit, and names that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bot.assembly.config.bad_setting import BadSetting

PREFIX = "SIGNALBOX_"
# How alike two names must be for one to be offered for the other, from 0 to 1.
_LIKENESS = 0.5


def first_problem(error: ValidationError, tables: type[BaseModel]) -> BadSetting:
    """The first problem of settings, in one line.

    Args:
        error: What pydantic found.
        tables: The class that was read.
    """
    found = error.errors(include_url=False, include_input=False)[0]
    location = tuple(str(part) for part in found["loc"])
    name = ".".join(location) or "setting"
    if found["type"] == "extra_forbidden":
        known = _names_at(tables, location[:-1])
        return BadSetting(name, f"is not known; {_suggestion(location[-1], known)}")
    return BadSetting(name, _words(found, _field_at(tables, location)))


def unknown_variables(names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """A line for each name that looks like a setting of Signalbox and is none.

    Args:
        names: The names of variables that are set; names are read in any case.
        known: The names that exist.
    """
    # Without the beginning that all share, which would make any two of them alike.
    exact = [name.removeprefix(PREFIX) for name in sorted(known) if name.startswith(PREFIX)]
    return tuple(
        f"{name} is not known and has no effect; {_suggestion(rest, exact, prefix=PREFIX)}"
        for name in sorted(names)
        if name.upper().startswith(PREFIX)
        and (rest := name.upper().removeprefix(PREFIX)) not in exact
    )


def _suggestion(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=_LIKENESS)
    return f"did you mean {prefix}{nearest[0]}?" if nearest else "remove it or check the spelling"


def _words(found: ErrorDetails, field: FieldInfo | None) -> str:
    kind = found["type"]
    if kind == "value_error":
        return found["msg"].removeprefix("Value error, ")
    if kind == "enum":
        return f"must be one of {found['ctx']['expected']}".replace(" or ", ", ")
    if kind.startswith(_NUMBER_PROBLEMS) and field is not None:
        return _number(field)
    words = _BY_TYPE.get(kind)
    return words(found) if words else found["msg"][:1].lower() + found["msg"][1:]


_NUMBER_PROBLEMS = ("int_", "float_", "greater_than", "less_than", "finite_number")
_A_LIST: Callable[[ErrorDetails], str] = lambda _: 'must be a list like ["…"]'  # noqa: E731
_BY_TYPE: Mapping[str, Callable[[ErrorDetails], str]] = MappingProxyType(
    {
        "tuple_type": _A_LIST,
        "list_type": _A_LIST,
        "frozen_set_type": _A_LIST,
        "string_type": lambda _: 'must be text between quotes, like "…"',
        "path_type": lambda _: 'must be a path between quotes, like "/srv"',
        "bool_type": lambda _: "must be true or false",
        "bool_parsing": lambda _: "must be true or false",
        "model_type": lambda found: f"must be a table: write [{found['loc'][-1]}] above its keys",
    }
)


def _number(field: FieldInfo) -> str:
    """The numbers that a field accepts: `must be a whole number from 1 to 256`."""
    kind = "a number" if float in _types(field) else "a whole number"
    low = next((_whole(rule.ge) for rule in field.metadata if isinstance(rule, Ge)), None)
    high = next((_whole(rule.le) for rule in field.metadata if isinstance(rule, Le)), None)
    if low is not None and high is not None:
        return f"must be {kind} from {low} to {high}"
    return f"must be {kind} of at least {low}" if low is not None else f"must be {kind}"


def _whole(limit: object) -> object:
    return int(limit) if isinstance(limit, float) else limit


def _types(field: FieldInfo) -> tuple[Any, ...]:
    """The types of a field, without the union that makes it optional."""
    annotation = field.annotation
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)


def _field_at(tables: type[BaseModel], location: tuple[str, ...]) -> FieldInfo | None:
    """The field at this place; `None` inside a list, or if there is none."""
    model = _table_at(tables, location[:-1])
    if model is None or not location:
        return None
    return next(
        (
            field
            for name, field in model.model_fields.items()
            if location[-1] in (name, field.alias)
        ),
        None,
    )


def _names_at(tables: type[BaseModel], location: tuple[str, ...]) -> tuple[str, ...]:
    model = _table_at(tables, location)
    return tuple(model.model_fields) if model else ()


def _table_at(tables: type[BaseModel], location: tuple[str, ...]) -> type[BaseModel] | None:
    model = tables
    for name in location:
        field = model.model_fields.get(name)
        inner = [
            kind
            for kind in (_types(field) if field else ())
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        if not inner:
            return None
        model = inner[0]
    return model
