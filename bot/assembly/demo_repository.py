"""The repository that the demo offers for `--repo`; other local paths are not cloned."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from core.workspace.command import Git
from core.workspace.settings import git_environment

_LIMIT = timedelta(seconds=30)
_FILES = {
    "README.md": "# Hello\n\nA small program to work on.\n",
    "hello.py": 'def greet(name: str) -> str:\n    return f"Hello, {name}"\n',
}


def make_demo_repository(path: Path) -> None:
    """Create a git repository with one commit on `main`.

    Raises:
        WorkspaceError: If git is missing or fails.
    """
    path.mkdir(parents=True)
    for name, content in _FILES.items():
        (path / name).write_text(content)
    git = Git(environment=git_environment(), timeout=_LIMIT, global_config=None)
    git.run("init", "--quiet", "--template=", "--initial-branch=main", cwd=path)
    git.run("add", "--all", cwd=path)
    git.run(
        "-c", "user.name=Signalbox", "-c", "user.email=signalbox@localhost",
        "-c", "commit.gpgSign=false", "commit", "--quiet", "--message=Begin",
        cwd=path,
    )  # fmt: skip
