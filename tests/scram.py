"""The client's side of a login with SCRAM-SHA-256 (RFC 5802), for the minimal pooler."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct

MECHANISM = b"SCRAM-SHA-256"
_NONCE = "anything"
_FIRST = f"n=,r={_NONCE}"


def first_message() -> bytes:
    """The client's first message, as Postgres's SASLInitialResponse."""
    response = f"n,,{_FIRST}".encode()
    return _message(MECHANISM + b"\0" + struct.pack("!I", len(response)) + response)


def final_message(server_first: bytes, password: str) -> bytes:
    """The client's proof that it knows the password, as Postgres's SASLResponse."""
    challenge = dict(part.split("=", 1) for part in server_first.decode().split(","))
    salt = base64.b64decode(challenge["s"])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, int(challenge["i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    without_proof = f"c=biws,r={challenge['r']}"
    signed = f"{_FIRST},{server_first.decode()},{without_proof}".encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
    proof = bytes(key ^ sign for key, sign in zip(client_key, signature, strict=True))
    return _message(f"{without_proof},p={base64.b64encode(proof).decode()}".encode())


def _message(content: bytes) -> bytes:
    return b"p" + struct.pack("!I", len(content) + 4) + content
