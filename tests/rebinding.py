"""A program for a test: a host name that changes its address between check and use.

It runs in user, mount and network namespaces of its own, where it may say which addresses names
have, and own a public address.  It prints which commit git finds with and without the contact that
was checked, and the command for ssh.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from core.domain.reach.repositories import DEFAULT_POLICY
from core.workspace.command import Git
from core.workspace.repositories.contact import find_contact
from core.workspace.source import parse_source
from tests.git_server import git_server

PUBLIC = "8.8.8.8"


def main(folder: Path) -> None:
    """Check a name, change its address, and contact it."""
    hosts = folder / "hosts"
    hosts.write_text(f"{PUBLIC} public.example\n")
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"],
        ["mount", "--bind", str(hosts), "/etc/hosts"],
    ):
        subprocess.run(command, check=True)
    certificate = folder / "certificate.pem"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_SSL_CAINFO": str(certificate),
    }
    git = Git(environment=environment, timeout=timedelta(seconds=30), global_config=None)
    with (
        git_server(folder / "public", certificate, address=PUBLIC) as server,
        git_server(folder / "secret", certificate, port=server.port),
    ):
        url = f"https://public.example:{server.port}/api.git"
        contact = find_contact(git, parse_source(url), DEFAULT_POLICY, cwd=folder)
        ssh = find_contact(
            git, parse_source("ssh://git@public.example:2222/api"), DEFAULT_POLICY, cwd=folder
        )
        hosts.write_text("127.0.0.1 public.example\n")
        for answer in (
            contact.run(git, "ls-remote", contact.url, "HEAD", cwd=folder),
            git.run("ls-remote", contact.url, "HEAD", cwd=folder),
        ):
            print(answer.split()[0].decode())  # noqa: T201 - its result
        print(ssh.variables["GIT_SSH_COMMAND"])  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
