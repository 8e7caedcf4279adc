"""The run a newcomer sees first, to the satoshi. A change here is a change of the rules: say why in the CHANGELOG."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.remake import CONFIGS, summary

GOLDEN = Path(__file__).with_name("summaries.json")


@pytest.mark.parametrize("config", CONFIGS)
def test_summary_is_the_golden_one(config: str) -> None:
    """Remake with: python -m tests.golden.remake."""
    assert summary(config) == json.loads(GOLDEN.read_text())[config]
