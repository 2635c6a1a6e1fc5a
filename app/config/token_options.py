"""The options for tokens (JWT), with which clients of protocol v2 authenticate. Specification: docs/jwt.md."""

from __future__ import annotations

from dataclasses import dataclass

from .client_options import ClientOptions
from .options import must_match, option, url_or_empty

PUBLIC_KEY_OR_EMPTY = must_match(
    r"(\s*-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s\\]+-----END PUBLIC KEY-----(\s|\\n)*)?",
    "Must be a public key in PEM, which begins with -----BEGIN PUBLIC KEY-----, or empty.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOptions(ClientOptions):
    """Options that determine which tokens are valid, in addition to the options of channels and clients."""

    token_hmac_secret_key: str = option(
        "",
        "Key that signs the tokens (JWT) of clients that use protocol v2, with HS256, HS384 or HS512; must differ from "
        "`secret`.",
        secret=True,
        reload=True,
    )
    token_hmac_previous_secret_key: str = option(
        "",
        "Previous value of `token_hmac_secret_key`; tokens that were signed with it are still accepted.",
        secret=True,
        reload=True,
    )
    token_rsa_public_key: str = option(
        "",
        "Public key in PEM that verifies tokens signed with RS256, RS384 or RS512.",
        check=PUBLIC_KEY_OR_EMPTY,
        reload=True,
    )
    token_ecdsa_public_key: str = option(
        "",
        "Public key in PEM that verifies tokens signed with ES256, ES384 or ES512, depending on its curve.",
        check=PUBLIC_KEY_OR_EMPTY,
        reload=True,
    )
    token_jwks_public_endpoint: str = option(
        "",
        "URL of a JSON Web Key Set with public keys (RSA, ECDSA, EdDSA), for tokens that contain the ID of their key.",
        check=url_or_empty,
        reload=True,
    )
    token_audience: str = option(
        "", "Audience (`aud`) that tokens must be for; empty accepts all of them.", reload=True
    )
    token_issuer: str = option("", "Issuer (`iss`) that tokens must come from; empty accepts all of them.", reload=True)

    @property
    def checks_tokens(self) -> bool:
        """Whether a key is set for the tokens of clients of protocol v2."""
        return bool(
            self.token_hmac_secret_key
            or self.token_rsa_public_key
            or self.token_ecdsa_public_key
            or self.token_jwks_public_endpoint
        )
