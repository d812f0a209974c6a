"""The strict parser of a workflow definition: Markdown with YAML front matter.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import yaml

from core.agent.definitions.mcp_servers import with_texts
from core.agent.definitions.values import NAME, PARSERS, InvalidValue
from core.domain.errors import OpsError
from core.domain.failures.failure_class import FailureClass
from core.domain.failures.retry_policy import RetryPolicy
from core.domain.workflow import OnWorkerLost, WorkflowDefinition

_KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
_DELIMITER = "---"
_SERVERS = "mcp_servers"


class _TextLoader(yaml.SafeLoader):
    """Reads numbers, dates and truth values as the text that the file has: `1.10`, `0755`, `yes`.

    Arguments and environment variables of a program are texts.
    """


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class BadDefinition(OpsError):
    """A definition file is invalid.

    Attributes:
        file: The file's name, without its folder.
        key: The key in the front matter; `None` if the problem concerns the whole file.
    """

    code = "bad_definition"

    def __init__(self, file: str, key: str | None, problem: str) -> None:
        where = f"{file}, `{key}`" if key else file
        super().__init__(
            f"{where}: {problem}", user_message=f"Workflow definition {where}: {problem}."
        )
        self.file = file
        self.key = key


def parse_definition(file: str, text: str) -> WorkflowDefinition:
    """Parse the text of `<name>.md`.

    Raises:
        BadDefinition: If something in it is missing, unknown or out of bounds.
    """
    name = file.removesuffix(".md")
    if not NAME.match(name):
        raise BadDefinition(
            file, None, "is no good name; use small letters, digits and hyphens, like `review.md`"
        )
    front, body = _split_front_matter(file, text)
    values: dict[str, Any] = {}
    for key, value in front.items():
        parse = PARSERS.get(key)
        if parse is None:
            raise _unknown_key(file, key)
        try:
            values[key] = parse(value)
        except InvalidValue as invalid:
            raise BadDefinition(file, key, str(invalid)) from invalid
    if "description" not in values:
        raise BadDefinition(
            file, "description", "is missing; say in one line what the workflow does"
        )
    if not body:
        raise BadDefinition(
            file, None, "has no text after the front matter; write the agent's instructions there"
        )
    if name in values.get("aliases", ()):
        raise BadDefinition(file, "aliases", f"repeats the file's own name `{name}`; remove it")
    _check_worker_lost(file, values)
    return WorkflowDefinition(name=name, prompt=body, **values)


def _check_worker_lost(file: str, values: dict[str, Any]) -> None:
    """Let a rule for lost workers decide `on_worker_lost`; both must not contradict each other."""
    rule = values.get("retry", RetryPolicy()).rules.get(FailureClass.WORKER_LOST)
    if rule is None:
        return
    choice = OnWorkerLost.RESUME if rule.attempts else OnWorkerLost.FAIL
    if values.setdefault("on_worker_lost", choice) is not choice:
        raise BadDefinition(
            file, "retry", "its `worker_lost` contradicts `on_worker_lost`; keep one of them"
        )


def _split_front_matter(file: str, text: str) -> tuple[Mapping[str, Any], str]:
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != _DELIMITER:
        raise BadDefinition(
            file, None, "must begin with a line `---`, then `description: …`, then a line `---`"
        )
    end = next(
        (n for n, line in enumerate(lines[1:], start=1) if line.rstrip() == _DELIMITER), None
    )
    if end is None:
        raise BadDefinition(file, None, "has no second line `---` to end the front matter")
    text = "\n".join(lines[1:end])
    try:
        front = yaml.safe_load(text)
        if isinstance(front, dict) and isinstance(front.get(_SERVERS), dict):
            # The loader is a safe one.
            texts = yaml.load(text, Loader=_TextLoader)  # noqa: S506
            front[_SERVERS] = with_texts(front[_SERVERS], texts[_SERVERS])
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark.line + 2 if error.problem_mark else 1  # after the first `---`
        raise BadDefinition(
            file, None, f"line {at} is not YAML ({error.problem}); write `key: value`"
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadDefinition(file, None, "front matter is not YAML; write `key: value`") from error
    if not isinstance(front, dict) or not all(isinstance(key, str) for key in front):
        raise BadDefinition(file, None, "front matter must be lines of `key: value`")
    return front, "\n".join(lines[end + 1 :]).strip()


def _unknown_key(file: str, key: str) -> BadDefinition:
    suggestions = get_close_matches(key, sorted(PARSERS), n=1)
    hint = f"; did you mean `{suggestions[0]}`?" if suggestions else ""
    return BadDefinition(
        file, key[:60], f"is not a known key{hint} Known: {', '.join(sorted(PARSERS))}"
    )
