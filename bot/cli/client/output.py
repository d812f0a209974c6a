"""What commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import io
import shutil
import sys

import typer

_NARROWEST = 40


def prepare_output() -> None:
    """Keep a character that the terminal's encoding lacks from ending a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def say(text: str) -> None:
    """Print a result, at once also into a pipe."""
    typer.echo(text)


def note(text: str) -> None:
    """Tell the person something that is no result."""
    typer.echo(text, err=True)


def output_width() -> int:
    """The cells of a line: the terminal's, or 80 in a pipe."""
    return max(shutil.get_terminal_size().columns, _NARROWEST)
