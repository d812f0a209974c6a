"""The `mcp_servers` of a definition: checked, and in the form that the agent program takes.  Pure.

The program drops a server that it does not understand (a `url` without a `type`, a number in `env`
or `args`) and says nothing.  So what it would drop is corrected here, or refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

# Longer names make names of tools that the model's API refuses.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PROGRAM_KEYS = ("command", "args", "env")
_REMOTE_KEYS = ("url", "headers")
# What the program itself accepts beside these.
_OTHER_KEYS = ("type", "timeout", "alwaysLoad", "headersHelper")
_TEXT_KEYS = (*_PROGRAM_KEYS, *_REMOTE_KEYS)
_REMOTE_TYPES = ("http", "sse")
_TYPE_ALIASES = {"streamable-http": "http", "streamable_http": "http", "streamablehttp": "http"}


class BadServer(Exception):
    """A server's definition cannot work; the text completes the `BadDefinition`."""


def with_texts(servers: Mapping[Any, Any], texts: Mapping[Any, Any]) -> dict[Any, Any]:
    """Take what a program gets as texts (arguments, variables, headers) from `texts`.

    Args:
        servers: As YAML reads them, with numbers and dates.
        texts: The same, all scalars being the texts that the file has.
    """
    return {
        name: {**server, **{key: text[key] for key in _TEXT_KEYS if key in text}}
        if isinstance(server, Mapping) and isinstance(text, Mapping)
        else server
        for (name, server), text in zip(servers.items(), texts.values(), strict=False)
    }


def normalise_servers(value: object) -> Mapping[str, Mapping[str, Any]]:
    """Check the servers, and return them as the agent program takes them.

    A remote server without a `type` gets `http`, or `sse` if its path ends with `/sse`.

    Raises:
        BadServer: If something in it is unknown or has the wrong shape.
    """
    if not isinstance(value, Mapping):
        raise BadServer("must map a server's name to its `command` or `url`")
    return {_checked_name(name): _server(str(name), server) for name, server in value.items()}


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.match(name):
        raise BadServer(
            f"`{str(name)[:40]}` is no good name for a server; use letters, digits, `_` and `-`, "
            "at most 40"
        )
    return name


def _server(name: str, server: object) -> Mapping[str, Any]:
    if not isinstance(server, Mapping):
        raise BadServer(f"`{name}` must map to `command` (a program) or `url`, one a line")
    known = (*_PROGRAM_KEYS, *_REMOTE_KEYS, *_OTHER_KEYS)
    for key in server:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise BadServer(f"`{name}` has an unknown key `{str(key)[:40]}`{hint}")
    if ("command" in server) == ("url" in server):
        raise BadServer(f"`{name}` needs either a `command` (a program) or a `url`")
    return _program(name, server) if "command" in server else _remote(name, server)


def _program(name: str, server: Mapping[str, Any]) -> Mapping[str, Any]:
    _refuse_keys(name, server, _REMOTE_KEYS, "a `command`")
    if server.get("type", "stdio") != "stdio":
        raise BadServer(f"`{name}` has a `command`, so its `type` can only be `stdio`")
    command = _text(f"`{name}`, `command`", server["command"])
    if not command.strip():
        raise BadServer(f"`{name}`, `command` is empty; name a program")
    if any(character.isspace() for character in command.strip()) and "/" not in command:
        raise BadServer(
            f"`{name}`, `command` is a program alone; write what follows as a list under `args`"
        )
    arguments = server.get("args") or []
    if not isinstance(arguments, list):
        raise BadServer(f"`{name}`, `args` must be a list, like `[serve, --port, 8080]`")
    found = {
        **_others(name, server),
        "command": command.strip(),
        "args": [_text(f"`{name}`, `args`", argument) for argument in arguments],
    }
    variables = _texts(name, "env", server)
    for variable in variables:
        if not _VARIABLE.match(variable):
            raise BadServer(f"`{name}`, `env`: `{variable[:40]}` is no name of a variable")
    return {**found, "env": variables} if variables else found


def _remote(name: str, server: Mapping[str, Any]) -> Mapping[str, Any]:
    _refuse_keys(name, server, _PROGRAM_KEYS, "a `url`")
    url = _text(f"`{name}`, `url`", server["url"]).strip()
    try:
        parts = urlsplit(url)
        # A port that is none raises `ValueError`.
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise BadServer(f"`{name}`, `url` must be a whole address, like `https://mcp.example/mcp`")
    default = "sse" if urlsplit(url).path.rstrip("/").endswith("/sse") else "http"
    kind = str(server.get("type") or default).lower()
    kind = _TYPE_ALIASES.get(kind, kind)
    if kind not in _REMOTE_TYPES:
        raise BadServer(f"`{name}`, `type` must be `http` or `sse` for a `url`")
    found = {**_others(name, server), "type": kind, "url": url}
    headers = _texts(name, "headers", server)
    return {**found, "headers": headers} if headers else found


def _others(name: str, server: Mapping[str, Any]) -> dict[str, Any]:
    timeout = server.get("timeout", 1)
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 1:
        raise BadServer(f"`{name}`, `timeout` must be a whole number of milliseconds")
    if not isinstance(server.get("alwaysLoad", True), bool):
        raise BadServer(f"`{name}`, `alwaysLoad` must be `true` or `false`")
    if not isinstance(server.get("headersHelper", ""), str):
        raise BadServer(f"`{name}`, `headersHelper` must be a command")
    return {key: server[key] for key in _OTHER_KEYS if key in server and key != "type"}


def _refuse_keys(
    name: str, server: Mapping[str, Any], keys: tuple[str, ...], with_what: str
) -> None:
    for key in keys:
        if key in server:
            raise BadServer(f"`{name}` has {with_what}, so it cannot have `{key}`")


def _texts(name: str, key: str, server: Mapping[str, Any]) -> dict[str, str]:
    given = server.get(key)
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BadServer(f"`{name}`, `{key}` must be lines of `NAME: value`")
    return {str(one): _text(f"`{name}`, `{key}`, `{one}`", value) for one, value in given.items()}


def _text(where: str, value: object) -> str:
    """A value as text; of YAML's other scalars, which its text has not kept, the usual form."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value is None:
        raise BadServer(f'{where} has no value; write `""` for an empty text')
    raise BadServer(f"{where} must be a text; put it in quotes")
