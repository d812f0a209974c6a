"""What only looks like a credential is not redacted: code, placeholders, ordinary words."""

from __future__ import annotations

import os
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.domain.redact import RULES, redact

MIN_LINES = 200_000
# Credentials that were put into sources to be seen: examples of an address with a password, and
# the token of a manual.  Redacting them is right; they are counted apart.
REVIEWED = (
    "scott:tiger@",
    "user:pass@",
    "user:password@",
    "username:password@",
    "eyJhbGciOiJIUzI1Ni",
)


@pytest.mark.parametrize(
    "line",
    [
        "password=$PASSWORD",
        "password=${DB_PASSWORD:-}",
        "password: ${{ secrets.DB_PASSWORD }}",
        "password=<your password>",
        "password=None",
        "password = getpass()",
        "password = getpass.getpass('Password: ')",
        "password=os.environ['DB_PASSWORD2']",
        "token: str",
        "token: str | None = None",
        "def login(user: str, password: str, token2: Token) -> None:",
        "self.password = password",
        "connect(password=password2, token=self.token1)",
        "token = tokens[0]",
        "token = next(self.tokens)",
        "secret = data['secret']",
        "secrets.token_hex(16)",
        'parser.add_argument("--password", help="the password")',
        "--password PASSWORD   the password to use",
        "usage: tool --token TOKEN --api-key KEY",
        "use --password to set it",
        '"password": "password"',
        "'token': 'access_token',",
        '"type": "string", "password": "Enter your password 2 times"',
        "API_KEY=your-api-key-123",
        "API_KEY=changeme",
        "SLACK_BOT_TOKEN=xoxb-your-token-here",
        "SLACK_BOT_TOKEN=xoxb-...",
        "export TOKEN=...",
        "password: ********",
        "password=xxxxxxxx",
        "password: '{{ vault_password }}'",
        "password: !vault |",
        "PASSWORD_FILE=/run/secrets/db_password",
        "POSTGRES_PASSWORD=/run/secrets/db_password",
        "Authorization: Bearer <token>",
        "Authorization: Bearer $TOKEN",
        "Authorization: Bearer ${TOKEN}",
        'f"Bearer {token}"',
        "Authorization: Basic <credentials>",
        "Basic authentication is supported",
        "a token identifier_of_something_long",
        "https://user:$PASSWORD@host/",
        "https://${USER}:${PASSWORD}@host/",
        "https://<user>:<password>@host/",
        "ssh://git@github.com/acme/app.git",
        "git+ssh://git@github.com/acme/app.git",
        "https://registry.example:4873/@scope/package",
        "https://medium.com/@author/post",
        "https://example.com/search?q=me@example.com",
        "http://localhost:8080/users/a@b.example",
        "postgresql://localhost:5432/app",
        "git@github.com:acme/app.git",
        "task-management-and-something-else-long",
        "sk-loading-spinner-container-inner",
        "disk-encryption-of-volumes-0123456789",
        "keyboard: qwerty1234567",
        "max_tokens=4096",
        "token_type: bearer1234567890",
        "primary_key=True",
        "key = 'abcdef123456'",
        "if line == '-----BEGIN PRIVATE KEY-----':",
        "the line -----BEGIN RSA PRIVATE KEY----- begins it; read on, there is more to say.",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "123e4567-e89b-12d3-a456-426614174000",
        "hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    ],
)
def test_code_and_placeholders_stay(line: str) -> None:
    assert redact(line) == line
    assert redact(f"first\n    {line}\nlast") == f"first\n    {line}\nlast"


def sources() -> Iterator[Path]:
    """What is installed with any Python: its library, and packages with their documentation."""
    for root in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")):
        for folder, names, files in os.walk(root):
            names[:] = sorted(
                name for name in names if name not in ("__pycache__", "site-packages", "idlelib")
            )
            for name in sorted(files):
                if name.endswith((".py", ".pyi", ".txt", ".md", ".rst", "METADATA")):
                    yield Path(folder, name)


def changed_lines(before: str, after: str) -> list[str]:
    return list((Counter(before.splitlines()) - Counter(after.splitlines())).elements())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fewer_than_one_line_of_code_in_ten_thousand_is_redacted() -> None:
    total, reviewed, hits = 0, 0, Counter[str]()
    alarms: list[str] = []
    # Every eighth file, which is still enough, and takes seconds.
    for path in list(sources())[::8]:
        text = path.read_text(errors="replace")
        if len(text) > 1_000_000:
            continue
        total += len(text.splitlines())
        if redact(text) == text:
            continue
        for rule in RULES:
            for line in changed_lines(text, rule.apply(text)):
                if any(known in line for known in REVIEWED):
                    reviewed += 1
                else:
                    hits[rule.name] += 1
                    alarms.append(f"{rule.name}: {path.name}: {line.strip()[:120]}")

    report = f"{sum(hits.values())} of {total} lines ({dict(hits)}), {reviewed} examples besides"
    print(report, *alarms, sep="\n")  # noqa: T201 - the figure, with `pytest -rP`
    assert total >= MIN_LINES
    assert sum(hits.values()) * 10_000 < total, report
