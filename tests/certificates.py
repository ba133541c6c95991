"""Certificates that tests make for themselves, TLS in front of a server that speaks none, and what it
costs one that does."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.http import Connection
from tests.peers import listening, relay
from tests.process import ServerProcess


def make_certificate(directory: Path, name: str = "localhost", password: bytes | None = None) -> dict[str, str]:
    """Write a certificate that vouches for itself, and its key; return the settings that name them."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir(parents=True, exist_ok=True)
    files = {"tls_cert": str(directory / f"{name}.pem"), "tls_key": str(directory / f"{name}.key")}
    encryption: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    Path(files["tls_cert"]).write_bytes(certificate.public_bytes(Encoding.PEM))
    Path(files["tls_key"]).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return files


def arguments(files: dict[str, str]) -> list[str]:
    """Return the settings as they stand on the command line."""
    return ["--tls-cert", files["tls_cert"], "--tls-key", files["tls_key"]]


@contextlib.asynccontextmanager
async def tls_in_front(port: int, files: dict[str, str]):
    """Accept TLS on a port of this machine and pass what comes on to ``port``; gives the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files["tls_cert"], files["tls_key"])

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await relay(reader, writer, *await asyncio.open_connection("127.0.0.1", port))

    async with listening(pass_on, tls=context) as front:
        yield front


async def bytes_of_an_idle_connection(directory: Path, count: int, *options: str) -> float:
    """Return what a connection with TLS that has been answered and waits costs the real program, in resident memory."""
    files = make_certificate(directory)
    context = ssl.create_default_context(cafile=files["tls_cert"])
    with ServerProcess(directory / "data", *arguments(files), "--log-level", "error", *options) as server:
        connections: list[Connection] = []

        async def more(number: int) -> None:
            for _ in range(number):
                connection = await Connection(server.port, context=context).__aenter__()
                assert (await connection.request("GET", "/healthz")).status == 200
                connections.append(connection)

        # What the first ones cost is not theirs alone.
        await more(50)
        before = server.resident_bytes()
        await more(count)
        cost = (server.resident_bytes() - before) / count
        for connection in connections:
            connection.writer.transport.abort()
        server.stop()
    return cost
