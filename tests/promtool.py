"""Prometheus's own check of metrics and of alert rules."""

from __future__ import annotations

import shutil
import subprocess

import pytest

PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing")


def promtool(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program; its verdict is the exit code, its reasons are the output."""
    assert PROMTOOL is not None
    return subprocess.run(
        [PROMTOOL, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
