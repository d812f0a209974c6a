"""The short form of `make api-fuzz`, on the database of the tests."""

from __future__ import annotations

import pytest

from tests.api import ApiHarness
from tests.api_fuzz.campaign import run_campaign

CASES = 500
SEED = 12


@pytest.mark.sampled(5, group="campaigns")
async def test_every_answer_is_one_that_the_document_describes(api: ApiHarness) -> None:
    outcome = await run_campaign(api, count=CASES, seed=SEED)

    assert outcome.is_clean, (
        f"python -m tests.api_fuzz --seed {SEED} --count {CASES}\n" + "\n".join(outcome.lines())
    )
    assert outcome.client["cases"] == CASES
    assert len(outcome.client["by_operation"]) == len(api.table)
    statuses = outcome.client["statuses"]
    assert statuses["200"] > CASES / 10
    assert statuses["400"] > CASES / 10
