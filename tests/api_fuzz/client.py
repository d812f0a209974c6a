"""The client of the campaign: requests that schemathesis makes of the OpenAPI document.

It is a program of its own, because the library changes Hypothesis for its whole process.  It reads
an `Order` from standard input, and writes what became of it to standard output, both as JSON.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.control import SkipTest
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.result import Result as Loaded
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Every request has the token; what a wrong one gets is tested elsewhere.
_CONFIG = {"generation": {"with-security-parameters": False}}
_MAX_SHOWN = 20
_ANSWER_SECONDS = 60.0
# The stream of a run that goes on has no end.
_STREAM_SECONDS = 2.0
# A value that names something is put in its place so often; anything else finds little.
_KNOWN_SHARE = 0.5
_MAX_ROUNDS = 50


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to do.

    Attributes:
        url: The server's address.
        token: Of an admin.
        known: Values that name something, by the name of a parameter of a path or a body.
        count: The number of cases.
        seed: The same order with the same seed makes the same requests.
    """

    url: str
    token: str
    known: dict[str, list[str]]
    count: int
    seed: int


@dataclass
class Result:
    """What became of an order.

    Attributes:
        cases: The number of requests that were answered.
        by_operation: The same for each operation.
        statuses: The number of answers by status.
        failures: What was wrong, with the command that repeats it; the first ones.
        failed: The number of all failures.
    """

    cases: int = 0
    failed: int = 0
    by_operation: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def _valid(loaded: Loaded[Any, Any]) -> Any:
    """An operation of the document; every one of ours is valid."""
    if not isinstance(loaded, Ok):
        raise loaded.err()
    return loaded.ok()


def run(order: Order) -> Result:
    """Send about the same number of requests to each operation, valid and invalid in turn."""
    result = Result()
    chance = random.Random(order.seed)
    with requests.Session() as session:
        # No proxy of the environment.
        session.trust_env = False
        session.headers["x-api-key"] = order.token
        answer = session.get(f"{order.url}/api/v1/openapi.json", timeout=_ANSWER_SECONDS)
        schema = schemathesis.openapi.from_dict(
            answer.json(), config=schemathesis.Config.from_dict(_CONFIG)
        )
        operations = [_valid(one) for one in schema.get_all_operations()]
        for round_number in range(_MAX_ROUNDS):
            left = order.count - result.cases
            if left <= 0:
                break
            share = -(-left // (2 * len(operations)))
            for operation in operations:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    cases = operation.as_strategy(generation_mode=mode)
                    number = order.seed * _MAX_ROUNDS + round_number
                    count = min(share, order.count - result.cases)
                    if count > 0:
                        _send(cases, order, session, chance, result, count=count, number=number)
    return result


def _send(
    cases: Any,
    order: Order,
    session: requests.Session,
    chance: random.Random,
    result: Result,
    *,
    count: int,
    number: int,
) -> None:
    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def send(case: Case[Any]) -> None:
        if result.cases < order.count:
            _put_known_values(case, order.known, chance)
            _check(case, order.url, session, result)

    try:
        send()
    except (SkipTest, Unsatisfiable):
        # Nothing can be wrong with some requests.
        return


def _put_known_values(case: Case[Any], known: dict[str, list[str]], chance: random.Random) -> None:
    for values in (case.path_parameters, case.body):
        if isinstance(values, dict):
            for name in values.keys() & known.keys():
                if chance.random() < _KNOWN_SHARE:
                    values[name] = chance.choice(known[name])


def _check(case: Case[Any], url: str, session: requests.Session, result: Result) -> None:
    is_stream = case.operation.path.endswith("/stream")
    seconds = _STREAM_SECONDS if is_stream else _ANSWER_SECONDS
    response = case.call(base_url=url, session=session, timeout=seconds)
    result.cases += 1
    result.by_operation[case.operation.label] += 1
    result.statuses[str(response.status_code)] += 1
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as found:
        result.failed += 1
        if len(result.failures) < _MAX_SHOWN:
            words = "; ".join(f"{one.title}: {one.message}" for one in found.exceptions)
            body = response.content[:300].decode(errors="replace")
            command = case.as_curl_command(base_url=url)
            result.failures.append(f"{words}\n  {command}\n  {response.status_code} {body}")


if __name__ == "__main__":
    json.dump(vars(run(Order(**json.load(sys.stdin)))), sys.stdout)
