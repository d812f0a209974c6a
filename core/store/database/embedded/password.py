"""The password of the embedded Postgres, and the cluster's rule that demands it.

The password is in a file that only this process's user may read, in the format of libpq's password
files.  DSNs name the file, so no DSN contains the password, and a connection that is opened after
the password was replaced uses the new one.

The rule is the only line of the cluster's `pg_hba.conf`.  A comment beside it has a hash of the
password that was set: so one comparison shows whether the file fits the cluster.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import stat
from pathlib import Path

from core.private_files import read_private_file, write_private_file
from core.store.database.embedded.account import SystemUser

ROLE = "postgres"
_FILE_NAME = "pgpass"
_LINE = re.compile(rf"\*:\*:\*:{ROLE}:([0-9a-f]{{64}})")
_MARK = "# Written by Signalbox"
# Those of the server's own passwords.
_ITERATIONS = 4096
# libpq and asyncpg refuse a password file for which others have any permission.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def password_file(folder: Path) -> Path:
    """The path of the password file of a folder with a cluster."""
    return folder / _FILE_NAME


def load_password(folder: Path) -> str | None:
    """Read the password; `None` if its file is missing, unreadable, damaged or exposed."""
    path = password_file(folder)
    content = read_private_file(path)
    found = None if content is None else _LINE.fullmatch(content.strip())
    return found[1] if found else None


def is_exposed(folder: Path) -> bool:
    """Whether other users may read the password file; then the next start replaces the password."""
    path = password_file(folder)
    return path.exists() and bool(path.stat().st_mode & _OTHERS)


def create_password(folder: Path) -> str:
    """Store a new random password.

    Raises:
        OSError: If the file cannot be written.
    """
    password = secrets.token_hex(32)
    write_private_file(password_file(folder), f"*:*:*:{ROLE}:{password}\n")
    return password


def statement(password: str) -> str:
    """The SQL statement that sets the password.  It contains only the password's hash."""
    return f"ALTER ROLE {ROLE} PASSWORD '{_scram_verifier(password)}';\n"


def is_demanded(cluster: Path, password: str) -> bool:
    """Whether exactly this password is demanded of every connection."""
    return _read_rules(cluster) == _rules(password)


def has_password(cluster: Path) -> bool:
    """Whether a password is demanded: perhaps another one than the file's."""
    return _read_rules(cluster).startswith(_MARK)


def demand(cluster: Path, password: str, owner: SystemUser | None) -> None:
    """Demand the password of every connection, from the server's next start on.

    Args:
        cluster: The cluster's folder.
        password: The password, which was set already.
        owner: The account of the server; `None` is that of this process.
    """
    account = None if owner is None else (owner.uid, owner.gid)
    write_private_file(_rules_file(cluster), _rules(password), owner=account)


def _rules_file(cluster: Path) -> Path:
    return cluster / "pg_hba.conf"


def _read_rules(cluster: Path) -> str:
    return _rules_file(cluster).read_text(encoding="utf-8", errors="replace")


def _rules(password: str) -> str:
    # The password is random, so its hash does not help to guess it.
    fingerprint = hashlib.sha256(password.encode()).hexdigest()
    return (
        f"{_MARK} at the start, which undoes changes.  Password: sha256 {fingerprint}\n"
        "local all,replication all scram-sha-256\n"
    )


def _scram_verifier(password: str) -> str:
    """What Postgres stores of a password for SCRAM-SHA-256 (RFC 5803)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return (
        f"SCRAM-SHA-256${_ITERATIONS}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
