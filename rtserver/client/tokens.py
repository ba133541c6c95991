"""The token that requests carry: given once, or by a function that is asked for the next one before it is needed."""

from __future__ import annotations

import base64
import binascii
import inspect
from collections.abc import Awaitable, Callable

import msgspec

from rtserver.client.errors import ClientError, Misused, Unreachable
from rtserver.client.timing import Clock

# So long before a token expires the next one is asked for: a slow identity provider is no gap then.
RENEWAL_SECONDS = 60.0

TokenSource = str | Callable[[], str | Awaitable[str]] | None
_decode = msgspec.json.Decoder().decode


class Tokens:
    """``source`` is a token, a function that returns one (or an awaitable of one), or None for no token."""

    def __init__(self, source: TokenSource, clock: Clock) -> None:
        """Raises `Misused` for a token that a header cannot hold."""
        self._function = source if callable(source) else None
        self._token = checked(source) if isinstance(source, str) else None
        self._clock = clock

    async def headers(self) -> dict[str, str]:
        """Return what a request carries; raises `Unreachable` while the function fails, `Misused` for what it gave."""
        if self._function and (self._token is None or self.renewal_due_seconds() == 0):
            await self.renew()
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    async def renew(self) -> bool:
        """Ask for another token, after a 401 or before there is one; False where nobody can be asked."""
        if self._function is None:
            return False
        try:
            found = self._function()
            self._token = checked(await found if inspect.isawaitable(found) else found)
        except ClientError:
            raise
        except Exception as error:
            raise Unreachable(f"there is no token: {error}") from error
        return True

    def renewal_due_seconds(self) -> float | None:
        """Return in how many seconds another token is to be asked for; None if there is none to ask for."""
        expires_at = _expiry(self._token) if self._function and self._token else None
        if expires_at is None:
            return None
        return max(0.0, expires_at - RENEWAL_SECONDS - self._clock.now_us() / 1e6)


def checked(token: object) -> str:
    """Return a token without the white space around it, as files and variables have it.

    Raises `Misused` if a header cannot hold it: a line break inside would begin a header of its own.
    """
    if not isinstance(token, str):
        raise Misused(f"the token is no text: {type(token).__name__}")
    token = token.strip()
    for character in token:
        if not character.isascii() or not character.isprintable():
            raise Misused(f"the token holds {character!a}, which a header cannot hold")
    return token


def _expiry(token: str) -> float | None:
    """Return the claim ``exp``, unverified: it is the server that judges."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = _decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None
    found = claims.get("exp") if isinstance(claims, dict) else None
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None
