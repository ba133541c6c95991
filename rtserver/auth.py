"""From a bearer token to who it is: JSON Web Tokens (RFC 7519), verified locally (DESIGN 4.1).

Two kinds of keys: a secret of this data directory (HS256), or the public keys of an identity provider (RS256, ES256)
as a JWKS file or URL (RFC 7517).  No token and no key ever stands in a message.
"""

from __future__ import annotations

import asyncio
import enum
import json
import logging
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import jwt
from tornado.httpclient import AsyncHTTPClient

from rtserver.errors import ConfigRefused, DataDirectoryRefused, InvalidToken, TokenExpired
from rtserver.publication import is_name

log = logging.getLogger(__name__)

SECRET_NAME = "secret"
# RFC 7518 section 3.2: a key at least as long as the hash.
MIN_SECRET_BYTES = 32
MAX_CACHED_TOKENS = 10_000
JWKS_ALGORITHMS = ("RS256", "ES256")
# An unknown key id makes us look again, but whoever sends made-up ids must not make us hammer the provider.
JWKS_COOLDOWN_SECONDS = 30
JWKS_TIMEOUT_SECONDS = 10
_MAX_JWKS_BYTES = 1 << 20


class Role(enum.StrEnum):
    PARTICIPANT = "participant"
    SERVICE = "service"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request; ``expires_at`` in seconds since 1970."""

    subject: str
    role: Role
    expires_at: float
    is_participant: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_participant", self.role is Role.PARTICIPANT)


class Keys(Protocol):
    """Where verification keys come from."""

    algorithms: tuple[str, ...]

    async def start(self) -> None:
        """Look for keys for the first time.  Raises `ConfigRefused` where looking again would not help."""

    def find(self, key_id: str | None) -> Any | None:
        """Return the key, or None if it is not known."""

    async def refresh(self) -> bool:
        """Look for new keys; True if there are other keys now."""


class SecretKeys:
    """The one secret of a data directory."""

    algorithms: tuple[str, ...] = ("HS256",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    async def start(self) -> None:
        pass

    def find(self, key_id: str | None) -> Any | None:
        return self._secret

    async def refresh(self) -> bool:
        return False


class JwksKeys:
    """Public keys from a file or URL, read again when a token names one that is not among them."""

    algorithms: tuple[str, ...] = JWKS_ALGORITHMS

    def __init__(self, source: str) -> None:
        self._source = source
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._next_refresh_at = 0.0
        self._refreshing = asyncio.Lock()

    async def start(self) -> None:
        if is_url(self._source):
            await self.refresh()
            return
        try:
            self._keys = parse_jwks(await self._read())
        except (OSError, ConfigRefused) as error:
            # Unlike a provider that is away, a file does not get better by itself.
            raise ConfigRefused(f"jwks is {self._source!r}: {error}") from None
        self._next_refresh_at = time.monotonic() + JWKS_COOLDOWN_SECONDS

    def find(self, key_id: str | None) -> Any | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def refresh(self) -> bool:
        before = self._keys
        async with self._refreshing:
            if self._keys is not before:
                # Others who came with the new key were first; this one waited for the same look.
                return True
            if time.monotonic() < self._next_refresh_at:
                return False
            self._next_refresh_at = time.monotonic() + JWKS_COOLDOWN_SECONDS
            try:
                keys = parse_jwks(await self._read())
            except (OSError, ValueError, ConfigRefused) as error:
                log.warning("cannot read the keys at %s: %s", self._source, error)
                return False
            # By what they are, not by their ids alone: a provider may replace its one nameless key.
            has_changed = _public_keys(keys) != _public_keys(self._keys)
            if has_changed:
                self._keys = keys
            return has_changed

    async def _read(self) -> bytes:
        if not is_url(self._source):
            return Path(self._source).read_bytes()
        try:
            response = await AsyncHTTPClient().fetch(
                self._source, request_timeout=JWKS_TIMEOUT_SECONDS, follow_redirects=False
            )
        except Exception as error:
            # Whatever goes wrong on the way to the provider: the keys we have stay good.
            raise OSError(str(error)) from None
        if len(response.body) > _MAX_JWKS_BYTES:
            raise ValueError(f"the answer has {len(response.body)} bytes")
        return response.body


class Authenticator:
    """Verifies tokens; what it has verified it remembers until the token expires or the keys change."""

    def __init__(self, keys: Keys, audience: str | None, issuer: str | None) -> None:
        self._keys = keys
        self._audience = audience or None
        self._issuer = issuer or None
        self._verified: dict[str, Principal] = {}

    async def start(self) -> None:
        await self._keys.start()

    def known(self, token: str, now: float) -> Principal | None:
        """Return who holds ``token`` if that is remembered and still true at ``now``, in seconds since 1970."""
        principal = self._verified.get(token)
        return principal if principal is not None and principal.expires_at > now else None

    async def verify(self, token: str) -> Principal:
        """Return who holds ``token``.  Raises `InvalidToken` or `TokenExpired`."""
        principal = self._verified.get(token)
        if principal is None:
            principal = await self._verify(token)
            if len(self._verified) >= MAX_CACHED_TOKENS:
                # The oldest tenth: verifying again costs 40 us, remembering all would cost memory without bound.
                for old in list(self._verified)[: MAX_CACHED_TOKENS // 10]:
                    del self._verified[old]
            self._verified[token] = principal
        if principal.expires_at <= time.time():
            del self._verified[token]
            raise TokenExpired("the token has expired; get a new one")
        return principal

    async def _verify(self, token: str) -> Principal:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            raise InvalidToken("the bearer token is not a JSON Web Token") from None
        if header.get("alg") not in self._keys.algorithms:
            raise InvalidToken(f"the token's algorithm is not accepted; allowed: {', '.join(self._keys.algorithms)}")
        key_id = header.get("kid")
        claims = self._claims(token, self._keys.find(key_id))
        if claims is None and await self._keys.refresh():
            # The provider has new keys, under new ids or under the old ones; what the old ones signed ends with them.
            self._verified.clear()
            claims = self._claims(token, self._keys.find(key_id))
        if claims is None:
            raise InvalidToken("the token is signed with a key that is not known here")
        return self._principal(claims)

    def _claims(self, token: str, key: Any | None) -> dict[str, Any] | None:
        """Return what the token says, or None if it is not signed with this key."""
        if key is None:
            return None
        try:
            return jwt.decode(
                token,
                key,
                algorithms=list(self._keys.algorithms),
                audience=self._audience,
                issuer=self._issuer,
                # A token from a clock that is ahead of ours is good at once; an expired one is bad at once.
                options={
                    "require": ["exp", "sub"],
                    "verify_iat": False,
                    "verify_aud": self._audience is not None,
                },
            )
        except jwt.InvalidSignatureError:
            return None
        except jwt.ExpiredSignatureError:
            raise TokenExpired("the token has expired; get a new one") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise InvalidToken(f"the token was not accepted: {error}") from None

    def _principal(self, claims: dict[str, Any]) -> Principal:
        subject = claims["sub"]
        if not isinstance(subject, str) or not is_name(subject):
            raise InvalidToken("the token's sub is not 1 to 128 of A-Z a-z 0-9 . _ ~ @ : -")
        try:
            role = Role(claims.get("role", Role.PARTICIPANT))
        except ValueError:
            raise InvalidToken(f"the token's role is not one of {', '.join(Role)}") from None
        try:
            expires_at = float(claims["exp"])
        except OverflowError:
            raise InvalidToken("the token's exp is beyond all times") from None
        return Principal(subject, role, expires_at)


def is_url(source: str) -> bool:
    return source.startswith(("https://", "http://"))


def parse_jwks(body: bytes) -> dict[str | None, jwt.PyJWK]:
    """Return the usable keys of a JWKS document by key id; `ConfigRefused` if there is none."""
    try:
        entries = json.loads(body)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise ConfigRefused("the JWKS is not a JSON object with a list of 'keys'")
    keys: dict[str | None, jwt.PyJWK] = {}
    for entry in entries:
        try:
            key = jwt.PyJWK(entry)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue  # a kind of key we do not use: RFC 7517 section 5 says to ignore it
        if key.algorithm_name in JWKS_ALGORITHMS:
            keys[key.key_id] = key
    if not keys:
        raise ConfigRefused(f"the JWKS has no key for {' or '.join(JWKS_ALGORITHMS)}")
    return keys


def _public_keys(keys: dict[str | None, jwt.PyJWK]) -> dict[str | None, Any]:
    return {key_id: key.key for key_id, key in keys.items()}


def read_secret(directory: Path) -> bytes:
    """Return the secret of a data directory, making one on first use (mode 0600)."""
    path = directory / SECRET_NAME
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make_secret(path)
        # The text itself is the key, without a line end an editor may have added: what `cat` shows can be given to
        # whatever signs tokens for this server.
        secret = path.read_bytes().strip()
    except OSError as error:
        raise DataDirectoryRefused(f"cannot use {path}: {error.strerror}") from None
    if len(secret) < MIN_SECRET_BYTES:
        raise DataDirectoryRefused(f"{path} holds {len(secret)} bytes; a secret has at least {MIN_SECRET_BYTES}")
    return secret


def _make_secret(path: Path) -> None:
    """Write whole, then give it its name: a server and an `rtserver token` that start together agree on one."""
    temporary = path.with_name(f"{SECRET_NAME}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(MIN_SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def make_token(secret: bytes, subject: str, role: Role, ttl_seconds: int) -> str:
    """Return a token signed with the secret of a data directory."""
    now = int(time.time())
    claims = {"sub": subject, "role": str(role), "iat": now, "exp": now + ttl_seconds}
    return jwt.encode(claims, secret, algorithm="HS256")
