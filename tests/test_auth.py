"""Tokens become principals or clear refusals, and no token and no key ever stands in a message."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from rtserver import auth
from rtserver.auth import (
    MIN_SECRET_BYTES,
    Authenticator,
    JwksKeys,
    Principal,
    Role,
    SecretKeys,
    make_token,
    parse_jwks,
    read_secret,
)
from rtserver.errors import ConfigRefused, DataDirectoryRefused, InvalidToken, TokenExpired, Unauthorized

SECRET = b"a secret of the data directory, long enough"
OTHER_SECRET = b"the secret of somebody else's data directory"
MISSING = object()


def signed(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return a token for alice, good for an hour; a claim that is `MISSING` is left out."""
    whole = {"sub": "alice", "exp": int(time.time()) + 3600} | claims
    whole = {name: value for name, value in whole.items() if value is not MISSING}
    return jwt.encode(whole, key, algorithm=algorithm, headers=headers)


def by_hand(header: Any, claims: Any, signature: bytes = b"x") -> str:
    """Return what looks like a token, put together without a library that would refuse to."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, signature])


def authenticator(keys: Any = None, audience: str | None = None, issuer: str | None = None) -> Authenticator:
    return Authenticator(keys or SecretKeys(SECRET), audience, issuer)


async def refused(token: str, by: Authenticator | None = None) -> Unauthorized:
    """Return why a token is refused; whatever it is, the message holds no part of the token and no secret."""
    with pytest.raises(InvalidToken) as error:
        await (by or authenticator()).verify(token)
    assert type(error.value) in (InvalidToken, TokenExpired)
    assert error.value.status == 401
    assert error.value.headers() == {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    assert_tells_no_secret(error.value.detail, token)
    return error.value


def assert_tells_no_secret(text: str, token: str) -> None:
    """P6."""
    for part in [token, *token.split(".")]:
        assert len(part) < 8 or part not in text
    for secret in (SECRET, OTHER_SECRET):
        assert secret.decode() not in text


# Good tokens


@pytest.mark.parametrize("role", Role)
async def test_good_token_says_who_and_what_role(io_loop, role):
    expires_at = int(time.time()) + 60

    principal = await authenticator().verify(signed(role=str(role), exp=expires_at))

    assert principal == Principal("alice", role, float(expires_at))
    assert principal.is_participant == (role is Role.PARTICIPANT)


async def test_token_without_a_role_is_a_participants():
    assert (await authenticator().verify(signed())).role is Role.PARTICIPANT


async def test_token_of_ours_is_accepted():
    token = make_token(SECRET, "alice", Role.SERVICE, 60)

    principal = await authenticator().verify(token)

    assert (principal.subject, principal.role) == ("alice", Role.SERVICE)
    assert principal.expires_at == pytest.approx(time.time() + 60, abs=5)


@pytest.mark.parametrize("subject", ["a", "A.b_c~d@e:f-9", "x" * 128])
async def test_subject_may_be_any_participant_id(subject):
    assert (await authenticator().verify(signed(sub=subject))).subject == subject


async def test_token_from_a_clock_ahead_of_ours_is_good_at_once():
    assert await authenticator().verify(signed(iat=int(time.time()) + 3600))


async def test_token_that_has_become_valid_is_accepted():
    assert await authenticator().verify(signed(nbf=int(time.time()) - 1))


async def test_audience_and_issuer_do_not_matter_where_none_is_asked_for():
    assert await authenticator().verify(signed(aud="x", iss="y"))
    assert await authenticator(audience="", issuer="").verify(signed(aud=["x"], iss="y"))


@pytest.mark.parametrize("audience", ["rtserver", ["rtserver"], ["other", "rtserver"]])
async def test_token_for_us_is_accepted(audience):
    by = authenticator(audience="rtserver", issuer="https://id.example")

    assert await by.verify(signed(aud=audience, iss="https://id.example"))


# Bad tokens


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "....",
        "é.é.é",
        "\0.\0.\0",
        " ",
        "eyJ!.e30.x",
        by_hand(b"5", {}),
        by_hand(b"[]", {}),
        by_hand(b"\xff\xfe", {}),
        by_hand(b"[" * 20_000, {}),
        by_hand(b'{"alg":"HS256","x":' + b"[" * 5000 + b"]" * 5000 + b"}", {}),
        by_hand(b'{"alg":"HS256","x":' + b"1" * 5000 + b"}", {}),
        by_hand({"alg": ["HS256"]}, {}),
        by_hand({"alg": "HS256", "kid": 5}, {}),
        by_hand({}, {}),
        "x" * 60_000,
        "." * 60_000,
    ],
    ids=range(21),
)
async def test_what_is_not_a_token_is_refused(token):
    """P7: and never breaks the parser."""
    await refused(token)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_random_bytes_for_header_and_claims_are_refused(header, claims):
    """P7."""
    asyncio.run(refused(by_hand(header, claims)))


async def test_text_that_cannot_be_encoded_is_refused():
    """P7: half a character, as undecodable bytes become."""
    await refused("\udc80.e30.x")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", None])
async def test_algorithms_other_than_ours_are_refused(algorithm):
    """P6: "none" first of all."""
    claims = {"sub": "alice", "exp": int(time.time()) + 60, "role": "admin"}
    for signature in (b"", b"x"):
        error = await refused(by_hand({"alg": algorithm, "typ": "JWT"}, claims, signature))
        assert "allowed: HS256" in error.detail or "not a JSON Web Token" in error.detail


async def test_unsigned_token_of_the_library_is_refused():
    """P6."""
    await refused(jwt.encode({"sub": "alice", "exp": int(time.time()) + 60}, None, algorithm="none"))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_right_secret_with_another_algorithm_is_refused(algorithm):
    key = SECRET * 2

    await refused(signed(key, algorithm), authenticator(SecretKeys(key)))


async def test_wrong_secret_is_refused():
    """P6."""
    assert type(await refused(signed(OTHER_SECRET))) is InvalidToken


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_token_that_was_changed_is_refused(part):
    """P6: header, claims or signature; here alice becomes an admin."""
    parts = signed().split(".")
    others = signed(role="admin", headers={"kid": "x"}).split(".")

    await refused(
        ".".join(other if n == part else own for n, (own, other) in enumerate(zip(parts, others, strict=True)))
    )


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": MISSING}, "exp"),
        ({"sub": MISSING}, "sub"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": []}, "exp"),
        ({"exp": {}}, "exp"),
        ({"sub": None}, "sub"),
        ({"sub": 5}, "sub|Subject"),
        ({"sub": ["alice"]}, "sub|Subject"),
        ({"sub": ""}, "sub"),
        ({"sub": "."}, "sub"),
        ({"sub": ".."}, "sub"),
        ({"sub": "a b"}, "sub"),
        ({"sub": "a/b"}, "sub"),
        ({"sub": "alice\n"}, "sub"),
        ({"sub": "älice"}, "sub"),
        ({"sub": "x" * 129}, "sub"),
        ({"role": "root"}, "role .* participant, service, admin"),
        ({"role": "Admin"}, "role"),
        ({"role": ""}, "role"),
        ({"role": None}, "role"),
        ({"role": ["admin"]}, "role"),
        ({"role": {}}, "role"),
        ({"role": 1}, "role"),
        ({"nbf": int(time.time()) + 3600}, "nbf"),
        ({"nbf": "x"}, "nbf"),
        ({"nbf": []}, "nbf"),
    ],
)
async def test_claims_that_are_missing_or_wrong_are_refused_and_named(claims, words):
    """P7."""
    error = await refused(signed(**claims))

    assert type(error) is InvalidToken
    assert re.search(words, error.detail)


async def test_expiry_beyond_all_numbers_is_refused():
    """P7: signed by a provider, but nonsense."""
    await refused(signed(exp=10**400))


@pytest.mark.parametrize(
    "payload", [b"[]", b"5", b"\xff", b"[" * 5000, b'{"sub":"a","exp":1e999}', b'{"sub":"a","exp":NaN}']
)
async def test_signed_nonsense_is_refused(payload):
    """P7."""
    await refused(jwt.PyJWS().encode(payload, SECRET, algorithm="HS256"))


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": MISSING, "iss": "https://id.example"}, "aud"),
        ({"aud": "other", "iss": "https://id.example"}, "[Aa]udience"),
        ({"aud": [], "iss": "https://id.example"}, "[Aa]udience|aud"),
        ({"aud": {"a": 1}, "iss": "https://id.example"}, "claim"),
        ({"aud": "rtserver", "iss": MISSING}, "iss"),
        ({"aud": "rtserver", "iss": "https://id.example/"}, "issuer"),
    ],
)
async def test_token_for_or_from_somebody_else_is_refused(claims, words):
    """P6."""
    error = await refused(signed(**claims), authenticator(audience="rtserver", issuer="https://id.example"))

    assert re.search(words, error.detail)


# Expiry


async def test_expired_token_is_told_from_an_invalid_one():
    error = await refused(signed(exp=int(time.time()) - 1))

    assert type(error) is TokenExpired
    assert error.slug == "token-expired"


class HandClock(SimpleNamespace):
    """The two clocks that `rtserver.auth` reads, moved by hand."""

    def __init__(self) -> None:
        super().__init__(now=time.time(), up=1000.0)

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.up


@pytest.fixture
def clock(monkeypatch):
    moved = HandClock()
    monkeypatch.setattr(auth, "time", moved)
    return moved


@pytest.mark.parametrize(("seconds", "is_good"), [(59, True), (60, False), (61, False)])
async def test_verified_token_ends_when_it_expires(clock, seconds, is_good):
    """P6: also one that is remembered."""
    by = authenticator()
    token = signed(exp=int(clock.now) + 60)
    clock.now = int(clock.now)
    await by.verify(token)
    clock.now += seconds

    if is_good:
        assert (await by.verify(token)).subject == "alice"
    else:
        for _ in range(2):
            assert type(await refused(token, by)) is TokenExpired


# Remembering


class CountingKeys(SecretKeys):
    """Keys that count how often a token was verified against them."""

    def __init__(self) -> None:
        super().__init__(SECRET)
        self.count = 0

    def find(self, key_id: str | None) -> Any:
        self.count += 1
        return super().find(key_id)


async def test_token_is_verified_once():
    keys = CountingKeys()
    by, token = authenticator(keys), signed()

    first = await by.verify(token)

    assert await by.verify(token) is first
    assert keys.count == 1


async def test_bad_token_is_not_remembered_as_good():
    """P6."""
    keys = CountingKeys()
    by, token = authenticator(keys), signed(OTHER_SECRET)

    for expected in (1, 2):
        await refused(token, by)
        assert keys.count == expected


@pytest.mark.parametrize(("count", "forgotten"), [(9, 0), (10, 0), (11, 1), (12, 2)])
async def test_so_many_tokens_are_remembered_and_no_more(monkeypatch, count, forgotten):
    """P4: n-1, n, n+1; the oldest tenth goes at a time."""
    monkeypatch.setattr(auth, "MAX_CACHED_TOKENS", 10)
    keys = CountingKeys()
    by = authenticator(keys)
    tokens = [signed(sub=f"p{n}") for n in range(count)]
    for token in tokens:
        await by.verify(token)
    assert keys.count == count

    for token in reversed(tokens[forgotten:]):
        await by.verify(token)
    assert keys.count == count, "the newest are remembered"
    for token in tokens[:forgotten]:
        await by.verify(token)
    assert keys.count == count + forgotten, "the oldest are not"


# The secret of a data directory


def test_secret_is_made_once_for_its_owner_only(tmp_path):
    """P6."""
    directory = tmp_path / "a" / "data"

    secret = read_secret(directory)

    assert len(secret) >= MIN_SECRET_BYTES == 32
    assert stat.S_IMODE((directory / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [path.name for path in directory.iterdir()] == ["secret"], "nothing half-written stays"
    assert read_secret(directory) == secret
    assert (directory / "secret").read_bytes() == secret, "what cat shows is the key"


def test_secret_is_private_whatever_the_umask(tmp_path):
    """P6."""
    before = os.umask(0)
    try:
        read_secret(tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_each_data_directory_has_a_secret_of_its_own(tmp_path):
    assert read_secret(tmp_path / "one") != read_secret(tmp_path / "other")


def test_secret_that_is_there_is_kept(tmp_path):
    (tmp_path / "secret").write_bytes(SECRET)

    assert read_secret(tmp_path) == SECRET
    assert (tmp_path / "secret").read_bytes() == SECRET


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b" \n"])
def test_line_end_of_an_editor_is_no_part_of_the_secret(tmp_path, ending):
    (tmp_path / "secret").write_bytes(SECRET + ending)

    assert read_secret(tmp_path) == SECRET


@pytest.mark.parametrize(("length", "is_good"), [(0, False), (1, False), (31, False), (32, True), (33, True)])
def test_secret_has_a_least_length(tmp_path, length, is_good):
    """P6: RFC 7518 section 3.2."""
    (tmp_path / "secret").write_bytes(b"s" * length)

    if is_good:
        assert read_secret(tmp_path) == b"s" * length
        return
    with pytest.raises(DataDirectoryRefused, match=f"holds {length} bytes; a secret has at least 32") as error:
        read_secret(tmp_path)
    assert "sss" not in str(error.value)
    assert (tmp_path / "secret").read_bytes() == b"s" * length


def test_line_ends_do_not_make_a_short_secret_long_enough(tmp_path):
    (tmp_path / "secret").write_bytes(b"s" * 31 + b"\n" * 10)

    with pytest.raises(DataDirectoryRefused, match="holds 31 bytes"):
        read_secret(tmp_path)


@pytest.mark.parametrize("obstacle", ["directory is a file", "secret is a directory"])
def test_directory_that_cannot_be_used_is_refused_with_one_line(tmp_path, obstacle):
    directory = tmp_path / "data"
    if obstacle == "directory is a file":
        directory.write_text("mine")
    else:
        (directory / "secret").mkdir(parents=True)

    with pytest.raises(DataDirectoryRefused, match="cannot use") as error:
        read_secret(directory)

    assert "\n" not in str(error.value)


def test_processes_that_start_together_agree_on_one_secret(tmp_path):
    """A server and an `rtserver token`, each on the first start."""
    program = (
        "import sys, pathlib; from rtserver.auth import read_secret; print(read_secret(pathlib.Path(sys.argv[1])))"
    )
    root = Path(__file__).parent.parent

    processes = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True, cwd=root)
        for _ in range(4)
    ]
    secrets = {process.communicate(timeout=60)[0] for process in processes}

    assert secrets == {f"{read_secret(tmp_path)}\n"}
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_token_of_ours_says_what_it_was_asked_to(clock):
    claims = jwt.decode(make_token(SECRET, "alice", Role.ADMIN, 90), options={"verify_signature": False})

    assert claims == {"sub": "alice", "role": "admin", "iat": int(clock.now), "exp": int(clock.now) + 90}


# The keys of an identity provider


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


def public(key: Any, **fields: Any) -> dict[str, Any]:
    """Return the public half as a JSON Web Key."""
    algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return json.loads(algorithm.to_jwk(key.public_key())) | fields


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def test_usable_keys_are_found_by_their_ids(rsa_key, ec_key):
    keys = parse_jwks(jwks(public(rsa_key, kid="r"), public(ec_key, kid="e", alg="ES256", use="sig")))

    assert {key_id: key.algorithm_name for key_id, key in keys.items()} == {"r": "RS256", "e": "ES256"}


def test_kinds_of_keys_that_we_do_not_use_are_ignored(rsa_key):
    """RFC 7517 section 5; a symmetric key in a public document first of all (P6)."""
    others = [
        {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).decode(), "kid": "o", "alg": "HS256"},
        {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).decode(), "kid": "r", "alg": "RS256"},
        {"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "k"},
        {"kty": "unheard-of", "kid": "u"},
        public(ec.generate_private_key(ec.SECP384R1()), kid="384"),
        public(rsa_key, kid="enc", alg="RSA-OAEP"),
        public(rsa_key, kid="512", alg="RS512"),
        {"kty": "RSA", "kid": "broken"},
        {"kty": "EC", "crv": "P-256", "x": 5, "y": 5, "kid": "broken"},
        {},
        5,
        None,
        "x",
        [],
    ]

    assert list(parse_jwks(json.dumps({"keys": [*others, public(rsa_key, kid="good")]}).encode())) == ["good"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"5",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b'{"keys": []}',
        b'{"keys": {}}',
        b'{"keys": "abc"}',
        b'{"keys": [{}]}',
    ],
)
def test_document_without_a_usable_key_is_refused(body):
    with pytest.raises(ConfigRefused, match="the JWKS "):
        parse_jwks(body)


@pytest.mark.parametrize("body", [b'{"keys": null}', b'{"keys": 5}', b'{"keys": true}', b"[" * 100_000], ids=range(4))
def test_document_of_an_odd_shape_is_refused_like_any_other(body):
    """P7: else a wrong answer of the provider becomes a 500 for everybody who presents a token."""
    with pytest.raises(ConfigRefused, match="the JWKS "):
        parse_jwks(body)


@pytest.fixture
def jwks_file(tmp_path):
    """Write a JWKS file and return its path."""

    def write(*keys: dict[str, Any]) -> str:
        (tmp_path / "jwks.json").write_bytes(jwks(*keys))
        return str(tmp_path / "jwks.json")

    return write


async def started(source: str, **options: Any) -> Authenticator:
    by = authenticator(JwksKeys(source), **options)
    await by.start()
    return by


@pytest.mark.parametrize("kind", ["rsa_key", "ec_key"])
async def test_tokens_are_verified_with_the_keys_of_a_file(jwks_file, request, kind):
    key = request.getfixturevalue(kind)
    algorithm = "RS256" if kind == "rsa_key" else "ES256"
    by = await started(jwks_file(public(key, kid="k1")))

    assert (await by.verify(signed(key, algorithm, {"kid": "k1"}, role="admin"))).role is Role.ADMIN


async def test_token_without_a_key_id_is_verified_with_the_only_key(jwks_file, ec_key, rsa_key):
    by = await started(jwks_file(public(ec_key, kid="k1")))
    assert await by.verify(signed(ec_key, "ES256"))

    by = await started(jwks_file(public(ec_key, kid="k1"), public(rsa_key, kid="k2")))
    assert "a key that is not known" in (await refused(signed(ec_key, "ES256"), by)).detail


async def test_token_of_another_key_under_a_known_id_is_refused(jwks_file, ec_key):
    """P6."""
    by = await started(jwks_file(public(ec_key, kid="k1")))

    await refused(signed(ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": "k1"}), by)


async def test_public_key_is_no_secret_for_hs256(jwks_file, rsa_key, ec_key):
    """P6: the old trick of signing with what everybody knows."""
    by = await started(jwks_file(public(rsa_key, kid="k1"), public(ec_key, kid="k2")))
    head, claims = {"alg": "HS256", "kid": "k1"}, {"sub": "alice", "exp": int(time.time()) + 60, "role": "admin"}
    content = by_hand(head, claims).rpartition(".")[0]
    for known in (
        rsa_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        jwks(public(rsa_key)),
    ):
        signature = hmac.digest(known, content.encode(), "sha256")
        token = by_hand(head, claims, signature)
        assert token.startswith(f"{content}.")
        assert "allowed: RS256, ES256" in (await refused(token, by)).detail


async def test_key_of_one_kind_does_not_verify_the_other_algorithm(jwks_file, rsa_key, ec_key):
    """P6."""
    by = await started(jwks_file(public(rsa_key, kid="r"), public(ec_key, kid="e")))

    await refused(signed(rsa_key, "RS256", {"kid": "e"}), by)
    await refused(signed(ec_key, "ES256", {"kid": "r"}), by)


async def test_key_embedded_in_the_token_or_named_by_it_is_not_believed(jwks_file, ec_key):
    """P6: jwk and jku headers."""
    attacker = ec.generate_private_key(ec.SECP256R1())
    by = await started(jwks_file(public(ec_key, kid="k1")))
    for header in ({"jwk": public(attacker)}, {"jku": "http://127.0.0.1:9/jwks"}, {"x5u": "http://127.0.0.1:9/"}):
        await refused(signed(attacker, "ES256", header | {"kid": "k1"}), by)
        await refused(signed(attacker, "ES256", header | {"kid": "k2"}), by)


async def test_file_is_read_again_when_a_token_names_a_new_key(jwks_file, ec_key, clock):
    source = jwks_file(public(ec_key, kid="old"))
    by = await started(source)
    new = ec.generate_private_key(ec.SECP256R1())
    clock.up += auth.JWKS_COOLDOWN_SECONDS
    jwks_file(public(ec_key, kid="old"), public(new, kid="new"))

    assert await by.verify(signed(new, "ES256", {"kid": "new"}))
    assert await by.verify(signed(ec_key, "ES256", {"kid": "old"}))


async def test_key_that_is_withdrawn_ends_the_tokens_that_were_remembered(jwks_file, ec_key, clock):
    """P6."""
    by = await started(jwks_file(public(ec_key, kid="old")))
    token = signed(ec_key, "ES256", {"kid": "old"})
    assert await by.verify(token)
    new = ec.generate_private_key(ec.SECP256R1())
    jwks_file(public(new, kid="new"))
    clock.up += auth.JWKS_COOLDOWN_SECONDS

    assert await by.verify(signed(new, "ES256", {"kid": "new"}))

    await refused(token, by)


async def test_another_key_under_the_same_id_is_another_key(jwks_file, ec_key, clock):
    """P6: a provider that keeps one nameless key and replaces it."""
    keys = JwksKeys(jwks_file(public(ec_key)))
    assert await keys.refresh()
    jwks_file(public(ec.generate_private_key(ec.SECP256R1())))
    clock.up += auth.JWKS_COOLDOWN_SECONDS

    assert await keys.refresh(), "there are other keys now"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"keys": []}', None])
async def test_keys_stay_good_when_the_file_has_become_bad(jwks_file, ec_key, clock, caplog, content):
    source = jwks_file(public(ec_key, kid="old"))
    by = await started(source)
    if content is None:
        Path(source).unlink()
    else:
        Path(source).write_bytes(content)
    clock.up += auth.JWKS_COOLDOWN_SECONDS

    await refused(signed(ec_key, "ES256", {"kid": "new"}), by)

    assert await by.verify(signed(ec_key, "ES256", {"kid": "old"}))
    assert f"cannot read the keys at {source}" in caplog.text


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"keys": []}'])
async def test_start_with_a_file_that_has_no_keys_is_refused(tmp_path, content):
    """A wrong configuration: unlike a provider that is away, a file will not get better by itself."""
    if content is not None:
        (tmp_path / "jwks.json").write_bytes(content)

    with pytest.raises(ConfigRefused):
        await started(str(tmp_path / "jwks.json"))


# From a URL


class Provider:
    """A real HTTP server that gives a JWKS; ``requests`` counts how often it was asked."""

    def __init__(self) -> None:
        self.requests = 0
        self.status = 200
        self.body = b""
        self.location = ""
        listening, self.port = bind_unused_port()
        provider = self

        class Handler(RequestHandler):
            def get(self) -> None:
                provider.requests += 1
                self.set_status(provider.status)
                if provider.location:
                    self.set_header("Location", provider.location)
                self.finish(provider.body)

        self.server = HTTPServer(Application([("/.*", Handler)], log_function=lambda handler: None))
        self.server.add_sockets([listening])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks"


@pytest.fixture
def provider(io_loop):
    async def start() -> Provider:
        return Provider()

    serving = io_loop.asyncio_loop.run_until_complete(start())
    yield serving
    serving.server.stop()
    io_loop.asyncio_loop.run_until_complete(serving.server.close_all_connections())


async def test_tokens_are_verified_with_the_keys_of_a_url(provider, ec_key, rsa_key):
    provider.body = jwks(public(ec_key, kid="e"), public(rsa_key, kid="r"))
    by = await started(provider.url)

    assert await by.verify(signed(ec_key, "ES256", {"kid": "e"}))
    assert await by.verify(signed(rsa_key, "RS256", {"kid": "r"}))
    assert provider.requests == 1


async def test_keys_are_fetched_again_when_a_token_names_a_new_one(provider, ec_key, clock):
    provider.body = jwks(public(ec_key, kid="old"))
    by = await started(provider.url)
    new = ec.generate_private_key(ec.SECP256R1())
    provider.body = jwks(public(new, kid="new"))
    clock.up += auth.JWKS_COOLDOWN_SECONDS

    assert await by.verify(signed(new, "ES256", {"kid": "new"}))

    assert provider.requests == 2
    await refused(signed(ec_key, "ES256", {"kid": "old"}), by)


@pytest.mark.parametrize(("seconds", "requests"), [(29.9, 1), (30, 2), (30.1, 2)])
async def test_made_up_key_ids_do_not_make_us_hammer_the_provider(provider, ec_key, clock, seconds, requests):
    """P4: once in thirty seconds, however many ask."""
    provider.body = jwks(public(ec_key, kid="k1"))
    by = await started(provider.url)
    clock.up += seconds

    for n in range(5):
        await refused(signed(ec_key, "ES256", {"kid": f"made-up-{n}"}), by)
    await asyncio.gather(*[refused(signed(ec_key, "ES256", {"kid": f"more-{n}"}), by) for n in range(5)])

    assert provider.requests == requests
    assert await by.verify(signed(ec_key, "ES256", {"kid": "k1"}))


async def test_everybody_who_comes_with_a_new_key_while_it_is_fetched_is_let_in(provider, ec_key, clock):
    """P7: a 401 would send them all to the login page whenever the provider renews its keys."""
    provider.body = jwks(public(ec_key, kid="old"))
    by = await started(provider.url)
    new = ec.generate_private_key(ec.SECP256R1())
    provider.body = jwks(public(new, kid="new"))
    clock.up += auth.JWKS_COOLDOWN_SECONDS
    tokens = [signed(new, "ES256", {"kid": "new"}, sub=f"p{n}") for n in range(5)]

    outcomes = await asyncio.gather(*[by.verify(token) for token in tokens], return_exceptions=True)

    assert [each for each in outcomes if not isinstance(each, Principal)] == []
    assert provider.requests == 2


@pytest.mark.parametrize("trouble", ["500", "404", "redirect", "not JSON", "no key", "too large", "gone"])
async def test_keys_stay_good_when_the_provider_is_in_trouble(provider, ec_key, clock, caplog, trouble):
    caplog.set_level(logging.DEBUG)
    good = jwks(public(ec_key, kid="old"), public(ec_key, kid="new"))
    provider.body = jwks(public(ec_key, kid="old"))
    by = await started(provider.url)
    provider.body = good
    match trouble:
        case "500" | "404":
            provider.status = int(trouble)
        case "redirect":
            provider.status, provider.location = 302, f"http://127.0.0.1:{provider.port}/elsewhere"
        case "not JSON":
            provider.body = b"<html>please log in</html>"
        case "no key":
            provider.body = b'{"keys": []}'
        case "too large":
            provider.body = good + b" " * (1 << 20)
        case "gone":
            provider.server.stop()
            await provider.server.close_all_connections()
    clock.up += auth.JWKS_COOLDOWN_SECONDS
    token = signed(ec_key, "ES256", {"kid": "new"})

    await refused(token, by)

    assert await by.verify(signed(ec_key, "ES256", {"kid": "old"}))
    assert f"cannot read the keys at {provider.url}" in caplog.text
    assert_tells_no_secret(caplog.text, token)


async def test_provider_that_comes_back_is_asked_again(provider, ec_key, clock):
    """Started while the provider is away: tokens are refused until it is there."""
    provider.status = 503
    by = await started(provider.url)
    token = signed(ec_key, "ES256", {"kid": "k1"})
    await refused(token, by)
    provider.status, provider.body = 200, jwks(public(ec_key, kid="k1"))
    clock.up += auth.JWKS_COOLDOWN_SECONDS

    assert await by.verify(token)


async def test_nothing_is_logged_of_the_tokens_that_come(caplog, ec_key):
    """P6: neither of good ones nor of bad ones, at any level."""
    caplog.set_level(logging.DEBUG)
    by = authenticator()
    tokens = [
        signed(),
        signed(exp=1),
        signed(OTHER_SECRET),
        signed(role="root"),
        by_hand({"alg": "none"}, {}),
        "garbage" * 5,
    ]

    for token in tokens:
        await asyncio.gather(by.verify(token), return_exceptions=True)

    for token in tokens:
        assert_tells_no_secret(caplog.text, token)
