"""Realistic credentials, made when a test runs: no file of this repository contains one."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Mapping

_ALPHABETS = {
    "alnum": string.ascii_letters + string.digits,
    "upper": string.ascii_uppercase + string.digits,
    "lower": string.ascii_lowercase + string.digits,
    "hex": "0123456789abcdef",
    "word": string.ascii_letters + string.digits + "_-",
    "base64": string.ascii_letters + string.digits + "+/",
    "digits": string.digits,
}
PEM_WIDTH = 64


class Credentials:
    """Credentials that are the same for the same seed."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def text(self, length: int, kind: str = "alnum") -> str:
        """Random characters with a digit, of which the outer ones are letters or digits."""
        alphabet = _ALPHABETS[kind]
        made = self._random.choices(alphabet, k=length)
        made[0] = self._random.choice([c for c in alphabet if c.isalnum()])
        made[-1] = self._random.choice([c for c in alphabet if c.isalnum()])
        made[length // 2] = self._random.choice(string.digits)
        return "".join(made)

    def key_lines(self, count: int = 8, width: int = PEM_WIDTH) -> list[str]:
        """The body of a private key, of which the last line is shorter."""
        return [*(self.text(width, "base64") for _ in range(count)), self.text(42, "base64") + "=="]

    def pem(self, kind: str = "RSA PRIVATE KEY", *, width: int = PEM_WIDTH) -> str:
        """A private key in PEM."""
        edge = "-" * 5
        lines = [
            f"{edge}BEGIN {kind}{edge}",
            *self.key_lines(width=width),
            f"{edge}END {kind}{edge}",
        ]
        return "\n".join(lines)

    def by_format(self) -> Mapping[str, str]:
        """One credential of each format that is recognised wherever it stands."""
        t = self.text
        ids = f"{t(12, 'digits')}-{t(12, 'digits')}"
        jwt_head, jwt_body = (
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in (
                {"alg": "HS256", "typ": "JWT"},
                {"sub": t(12, "digits"), "iat": 1700000000},
            )
        )
        return {
            "slack bot": f"xox{'b'}-{ids}-{t(24)}",
            "slack user": f"xox{'p'}-{ids}-{t(13, 'digits')}-{t(32, 'hex')}",
            "slack legacy workspace": f"xox{'a'}-2-{t(12, 'digits')}-{t(32, 'hex')}",
            "slack refresh": f"xox{'r'}-{t(12, 'digits')}-{t(32)}",
            "slack legacy": f"xox{'s'}-{ids}-{t(12, 'digits')}-{t(10, 'hex')}",
            "slack old": f"xox{'o'}-{ids}-{t(12, 'digits')}-{t(10, 'hex')}",
            "slack browser": f"xox{'c'}-{ids}-{t(12, 'digits')}-{t(64, 'hex')}",
            "slack cookie": f"xox{'d'}-{t(30)}%2B{t(40)}%2F{t(30)}%3D",
            "slack rotated refresh": f"xox{'e'}-1-{t(146)}",
            "slack rotated bot": f"xoxe.xox{'b'}-1-{t(166)}",
            "slack rotated user": f"xoxe.xox{'p'}-1-{t(166)}",
            "slack app": f"xapp{'-'}1-A{t(10, 'upper')}-{t(13, 'digits')}-{t(64, 'hex')}",
            "slack workflow": f"xwfp{'-'}{t(12, 'digits')}-{t(12, 'digits')}-{t(32)}",
            "aws key id": f"AK{'IA'}{t(16, 'upper')}",
            "aws temporary key id": f"AS{'IA'}{t(16, 'upper')}",
            "anthropic": f"sk{'-ant'}-api03-{t(93, 'word')}AA",
            "anthropic oauth": f"sk{'-ant'}-oat01-{t(86, 'word')}",
            "openai": f"sk{'-'}{t(20)}T3BlbkFJ{t(20)}",
            "openai project": f"sk{'-proj'}-{t(74, 'word')}T3BlbkFJ{t(74, 'word')}",
            "openrouter": f"sk{'-or'}-v1-{t(64, 'hex')}",
            "github": f"gh{'p'}_{t(36)}",
            "github oauth": f"gh{'o'}_{t(36)}",
            "github user": f"gh{'u'}_{t(36)}",
            "github app": f"gh{'s'}_{t(36)}",
            "github refresh": f"gh{'r'}_{t(76)}",
            "github fine-grained": f"github_{'pat'}_{t(22)}_{t(59)}",
            "gitlab": f"gl{'pat'}-{t(20, 'word')}",
            "gitlab routable": f"gl{'pat'}-{t(36, 'word')}.0{t(1, 'digits')}.{t(9, 'lower')}",
            "gitlab runner": f"gl{'rt'}-t1_{t(24, 'word')}",
            "gitlab job": f"gl{'cbt'}-64_{t(20, 'word')}",
            "gitlab trigger": f"gl{'ptt'}-{t(40, 'hex')}",
            "stripe": f"sk{'_live'}_{t(24)}",
            "stripe test": f"sk{'_test'}_{t(99)}",
            "stripe restricted": f"rk{'_live'}_{t(24)}",
            "stripe webhook": f"wh{'sec'}_{t(32)}",
            "npm": f"np{'m'}_{t(36)}",
            "pypi": f"py{'pi'}-AgEIcHlwaS5vcmc{t(150, 'word')}",
            "hugging face": f"h{'f'}_{t(34)}",
            "sendgrid": f"S{'G'}.{t(22, 'word')}.{t(43, 'word')}",
            "google api": f"AI{'za'}{t(35, 'word')}",
            "google client secret": f"GOC{'SPX'}-{t(28, 'word')}",
            "google access": f"ya{'29'}.{t(120, 'word')}",
            "google refresh": f"1/{'/0'}{t(60, 'word')}",
            "azure storage": f"{t(86, 'base64')}==",
            "azure client secret": f"{t(3)}8{'Q'}~{t(34)}",
            "twilio": f"S{'K'}{t(32, 'hex')}",
            "jwt": f"{jwt_head}.{jwt_body}.{t(43, 'word')}",
            "jwt without signature": f"{jwt_head}.{jwt_body}.",
            "digitalocean": f"do{'p'}_v1_{t(64, 'hex')}",
            "databricks": f"da{'pi'}{t(32, 'hex')}",
            "shopify": f"sh{'pat'}_{t(32, 'hex')}",
            "vault": f"hv{'s'}.{t(95, 'word')}",
            "docker": f"dckr_{'pat'}_{t(27, 'word')}",
            "grafana": f"gl{'sa'}_{t(32)}_{t(8, 'hex')}",
            "telegram": f"{t(10, 'digits')}:{'AA'}{t(33, 'word')}",
        }

    def addresses(self) -> Mapping[str, tuple[str, str]]:
        """Addresses with a credential: the address, and the part that must not stay."""
        t = self.text
        plain, odd = t(16), f"{t(6)}@{t(4)}/{t(6)}"
        path = f"T{t(10, 'upper')}/B{t(10, 'upper')}/{t(24)}"
        hooks = "hooks." + "slack.com"
        signature = t(43, "base64").replace("+", "%2B").replace("/", "%2F") + "%3D"
        return {
            "https": (f"https://me:{plain}@git.example.com/team/repo.git", plain),
            "token only": (f"https://{t(40)}@git.example.com/team/repo.git", ""),
            "postgres": (f"postgresql://app:{plain}@db.internal:5432/app?sslmode=require", plain),
            "sign and slash": (f"postgres://app:{odd}@db/app", odd),
            "slash": (f"https://app:{t(5)}/{plain}@example.com/x", plain),
            "sqlalchemy": (f"postgresql+asyncpg://app:{odd}@127.0.0.1/app", odd),
            "mysql": (f"mysql://root:{plain}@localhost:3306/shop", plain),
            "mongo": (f"mongodb+srv://admin:{plain}@cluster0.abcde.mongodb.net/?w=majority", plain),
            "redis without user": (f"redis://:{plain}@cache:6379/0", plain),
            "amqp": (f"amqps://guest:{odd}@rabbit:5671/vhost", odd),
            "slack webhook": (f"https://{hooks}/services/{path}", path),
            "slack workflow": (f"https://{hooks}/workflows/{path}", path),
            "slack trigger": (f"https://{hooks}/triggers/E{t(10, 'upper')}/{t(13, 'digits')}/{t(32, 'hex')}", "/E"),  # noqa: E501
            "slack response": (f"https://{hooks}/commands/T{t(10, 'upper')}/{t(13, 'digits')}/{t(24)}", "/T"),  # noqa: E501
            "discord webhook": (f"https://discord.com/api/webhooks/{t(18, 'digits')}/{plain * 4}", plain),  # noqa: E501
            "azure sas": (
                f"https://acme.blob.core.windows.net/c/f?sv=2022-11-02&se=2026-01-01&sig={signature}",
                signature,
            ),
            "query": (f"https://api.example.com/v1/items?access_token={plain}&page=2", plain),
        }  # fmt: skip

    def assignments(self) -> Mapping[str, tuple[str, str]]:
        """Lines that assign a secret: the line, and the secret."""
        t = self.text
        key, word, odd = t(40, "base64"), "hunter" + "22", "S3cr3t!" + t(6)
        azure = f"{t(86, 'base64')}=="
        pair = base64.b64encode(f"ada:{odd}".encode()).decode()
        return {
            "environment": (f"DB_PASSWORD={odd}", odd),
            "environment, words": ("PGPASSWORD=" + "swordfish", "swordfish"),
            "export": (f"export API_TOKEN={t(32)}", ""),
            "aws file": (f"aws_secret_access_key = {key}", key),
            "aws environment": (f"AWS_SECRET_ACCESS_KEY={key}", key),
            "aws session": (f"aws_session_token={key}{key}", key),
            "aws json": (f'  "SecretAccessKey": "{key}",', key),
            "python": (f'    password = "{word}"', word),
            "python argument": (f"connect(host, password='{odd}', port=1)", odd),
            "python annotation": (f'password: str = "{odd}"', odd),
            "typescript": (f"const apiKey: string = '{t(32)}';", ""),
            "json": (f'{{"user": "ada", "password": "{word}", "port": 1}}', word),
            "json in json": (f'{{"body": "{{\\"password\\": \\"{odd}\\"}}"}}', odd),
            "yaml": (f"  password: {word}", word),
            "yaml quoted": (f"client_secret: '{t(32)}'", ""),
            "toml": (f'api_key = "{t(32)}"', ""),
            "ini": (f"passwd = {odd}", odd),
            "properties": (f"spring.datasource.password={odd}", odd),
            "option": (f"mytool --user ada --password {odd} --verbose", odd),
            "option with =": (f"mytool --token={t(32)} run", ""),
            "docker option": (f"docker run -e MYSQL_ROOT_PASSWORD={odd} mysql", odd),
            "kubernetes": (f"        - name: DB_PASSWORD\n          value: {odd}", odd),
            "compose": (f'      - "POSTGRES_PASSWORD={odd}"', odd),
            "xml": (f"<server><password>{odd}</password></server>", odd),
            "npmrc": (f"//registry.npmjs.org/:_authToken={t(36)}", ""),
            "npmrc legacy": (f"_auth={pair}", pair),
            "connection string": (f"Server=tcp:db;Database=app;User ID=ada;Password={odd};Encrypt=True", odd),  # noqa: E501
            "storage string": (
                f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={azure};EndpointSuffix=x",
                azure,
            ),
            "service bus": (f"Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey={t(43, 'base64')}=", ""),  # noqa: E501
            "libpq": (f"host=db user=ada password={odd} dbname=app", odd),
            "form": (f"username=ada&password={odd}&remember=1", odd),
            "ruby": (f"  :password => '{odd}',", odd),
            "go": (f'secret := "{t(32)}"', ""),
            "header": (f"X-Api-Key: {t(32)}", ""),
            "bearer": (f"Authorization: Bearer {t(40)}", ""),
            "bearer in curl": (f"curl -H 'Authorization: Bearer {t(40)}' https://x.example", ""),
            "bearer in python": (f'headers={{"Authorization": "Bearer {t(40)}"}}', ""),
            "basic": (f"Authorization: Basic {pair}", pair),
            "basic in a log": (f"> authorization: basic {pair}", pair),
            "curl user": (f"curl -u ada:{odd} https://x.example/", odd),
            "slack signing": (f"SLACK_SIGNING_SECRET={t(32, 'hex')}", ""),
            "twilio": (f"TWILIO_AUTH_TOKEN={t(32, 'hex')}", ""),
            "log": (f"2026-01-01 10:00:00 INFO login user=ada password={word} ok", word),
            "google file": (f'"private_key_id": "{t(40, "hex")}",', ""),
            "heroku": (f"HEROKU_API_KEY={t(8, 'hex')}-{t(4, 'hex')}-{t(4, 'hex')}-{t(12, 'hex')}", ""),  # noqa: E501
        }  # fmt: skip
