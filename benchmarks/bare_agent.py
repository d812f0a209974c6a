"""The baseline of runs: the same agent, options and script on the bare SDK client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import run
from typing import cast
from uuid import uuid4

from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient

from bot.sandbox.model.server import API_KEY
from core.agent.definitions.catalog import load_catalog
from core.agent.options import build_options, prepare_state
from core.agent.protocol import Launch, TranscriptStore
from core.agent.transcript_buffer import TranscriptBuffer


def bare_options(
    folder: Path, model_url: str, *, run_marker: str, max_turns: int
) -> ClaudeAgentOptions:
    """Signalbox's options for an `implement` run, without its launcher and its session store."""
    workspace = folder / "workspace"
    workspace.mkdir(parents=True)
    run(["git", "init", "-q", str(workspace)], check=True, timeout=30)
    launch = Launch(
        run_id=run_marker,
        session_id=uuid4(),
        resume=False,
        prompt="",
        prompt_uuid=uuid4(),
        definition=load_catalog().get("implement"),
        model=None,
        max_turns=max_turns,
        budget_usd=None,
        cwd=workspace,
        state_dir=folder / "state",
        credentials={"ANTHROPIC_API_KEY": API_KEY, "ANTHROPIC_BASE_URL": model_url},
    )
    prepare_state(launch)
    # Without git history in the system prompt, like Signalbox's own options.
    no_history = TranscriptBuffer(cast("TranscriptStore", None), session_id=launch.session_id)
    options = build_options(launch, no_history, stderr=lambda _: None)
    return replace(options, cli_path=None, session_store=None)


@asynccontextmanager
async def bare_client(options: ClaudeAgentOptions) -> AsyncIterator[ClaudeSDKClient]:
    """The SDK's client, open."""
    async with ClaudeSDKClient(options) as client:
        yield client
