"""Git repositories to work on."""

from __future__ import annotations

from pathlib import Path

from git import Repo


def repositories_beside(home: Path) -> str:
    """A table for signalbox.toml that allows the repositories in the folder of a home.

    `host.example` stands for a host that a test provides itself, with an `ssh` of its own.
    """
    return f'[repositories]\nhosts = ["*", "host.example"]\nlocal = ["{home.parent}"]\n'


def new_repository(path: Path, *, branch: str = "main") -> Path:
    """A repository with one commit on `main`, and optionally another branch from there."""
    repo = Repo.init(path, initial_branch="main")
    (path / "app.py").write_text("print('hello')\n")
    repo.index.add(["app.py"])
    repo.index.commit("Begin")
    if branch != "main":
        repo.create_head(branch)
    repo.close()
    return path
