"""Keys of every kind for the tests of tokens, made once, and a server that publishes them as a key set."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.threaded_server import QuietHandler, ThreadedServer, closing, http_server

HMAC_KEY = "a key of 32 bytes or more, for HS256, HS384 and HS512, which need 64"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> str:
    """Return the public key in PEM."""
    return str(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def private_key(algorithm: str) -> Any:
    """Return the key that signs with an algorithm."""
    if algorithm.startswith("HS"):
        return HMAC_KEY
    if algorithm.startswith("RS"):
        return RSA_KEY
    return EC_KEYS.get(algorithm, ED_KEY)


def token(claims: Any, algorithm: str = "HS256", key: Any = None, **header: Any) -> str:
    """Return a token with any claims, made by the official library."""
    return jwt.encode(claims, private_key(algorithm) if key is None else key, algorithm, headers=header)


def jwk(algorithm: str, kid: str, **more: Any) -> dict[str, Any]:
    """Return the public key of an algorithm as a JSON Web Key."""
    public = private_key(algorithm).public_key()
    kind = RSAAlgorithm if algorithm.startswith("RS") else ECAlgorithm if algorithm in EC_KEYS else OKPAlgorithm
    return {**json.loads(kind.to_jwk(public)), "kid": kid, **more}


class KeyServer(ThreadedServer):
    """Publishes `keys`; counts the requests."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.status = 200
        self.body: bytes | None = None
        """What is sent in place of the keys."""
        self.requests = 0
        super().__init__(http_server(self._handler()))
        self.url = f"{self.address}/keys"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                server.requests += 1
                body = json.dumps({"keys": server.keys}).encode() if server.body is None else server.body
                self.answer(server.status, body, Location="/keys")

        return Handler


def key_server() -> AbstractContextManager[KeyServer]:
    """Provide a key server on a free port in a `with` block."""
    return closing(KeyServer())
