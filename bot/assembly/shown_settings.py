"""All settings of a process in words, with where each comes from; secrets are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from pydantic import BaseModel, SecretStr

from bot.assembly.config.table import Table
from bot.assembly.environment_settings import EnvironmentSettings, SlackSettings
from bot.assembly.own_secrets import secrets_in_address
from bot.assembly.settings import Settings
from bot.web.settings_values import SettingsGroup, ShownSetting
from bot.words.times import duration

_SET, _NOT_SET = "set", "not set"
# Of every program, not of this one.
_OTHERS = frozenset({"PATH", "HOME"})
_TITLES: Mapping[str, str] = {
    "database": "Database",
    "slack": "Slack",
    "agent": "Agent",
    "proxy": "Proxies",
    "node": "This process",
}
_SHORTEST_SECRET = 4


def shown_settings(settings: Settings) -> tuple[SettingsGroup, ...]:
    """The settings in groups: first the environment, then the tables of signalbox.toml.  Pure."""
    groups = [
        SettingsGroup(
            title=f"{title} (environment)",
            settings=list(_of_environment(getattr(settings, name))),
        )
        for name, title in _TITLES.items()
    ]
    config = settings.config
    for name in type(config).model_fields:
        table = getattr(config, name)
        is_given = name in config.model_fields_set
        if table is None:
            rows = [ShownSetting(name=name, value=_NOT_SET, source="default", is_default=True)]
        else:
            rows = list(_of_table(table, "", is_given=is_given))
        groups.append(SettingsGroup(title=f"[{name}]", settings=rows))
    secrets = [one.get_secret_value() for one in settings.secrets]
    secrets = [one for one in secrets if len(one) >= _SHORTEST_SECRET]
    return tuple(
        SettingsGroup(
            title=group.title, settings=[_without(secrets, one) for one in group.settings]
        )
        for group in groups
    )


def _of_environment(group: EnvironmentSettings) -> Iterator[ShownSetting]:
    for name, field in type(group).model_fields.items():
        variable = field.alias or name
        if variable in _OTHERS or (isinstance(group, SlackSettings) and "PROXY" in variable):
            continue
        is_set = name in group.model_fields_set
        yield ShownSetting(
            name=variable,
            value=_words(getattr(group, name)),
            source=f"environment variable {variable}" if is_set else "default",
            is_default=not is_set,
        )


def _of_table(table: Table, prefix: str, *, is_given: bool) -> Iterator[ShownSetting]:
    for name in type(table).model_fields:
        value = getattr(table, name)
        is_set = is_given and name in table.model_fields_set
        key = f"{prefix}{name}"
        if isinstance(value, Table):
            yield from _of_table(value, f"{key}.", is_given=is_set)
        elif isinstance(value, tuple) and value and all(isinstance(one, Table) for one in value):
            for number, one in enumerate(value, start=1):
                yield from _of_table(one, f"{key} {number}: ", is_given=is_set)
        else:
            yield ShownSetting(
                name=key,
                value=_words(value),
                source="signalbox.toml" if is_set else "default",
                is_default=not is_set,
            )


def _words(value: Any) -> str:
    """A value in words.  Pure."""
    if value is None:
        return _NOT_SET
    if isinstance(value, SecretStr):
        return _SET if value.get_secret_value() else _NOT_SET
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        return duration(value) if value else "0 s"
    if isinstance(value, Enum):
        return value.name.lower() if isinstance(value.value, int) else str(value.value)
    if isinstance(value, str):
        return value if not secrets_in_address(value) else f"{_SET} (with a password)"
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(key)}: {_words(one)}" for key, one in value.items()) or "none"
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(_words(one) for one in value)) or "none"
    if isinstance(value, tuple | list):
        return ", ".join(_words(one) for one in value) or "none"
    return _of_object(value)


def _of_object(value: Any) -> str:
    """A value with fields, by those that are set; one with words of its own says them."""
    has_own_words = "__str__" in vars(type(value))
    if isinstance(value, BaseModel):
        pairs = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif is_dataclass(value) and not has_own_words:
        pairs = [(field.name, getattr(value, field.name)) for field in fields(value)]
    else:
        return str(value)
    said = [(name.replace("_", " "), _words(one)) for name, one in pairs if one not in (None, ())]
    return ", ".join(f"{name} {words}" for name, words in said)


def _without(secrets: list[str], one: ShownSetting) -> ShownSetting:
    """The same setting; a value that has a secret in it is not said."""
    if not any(secret in one.value for secret in secrets):
        return one
    return ShownSetting(name=one.name, value=_SET, source=one.source, is_default=one.is_default)
