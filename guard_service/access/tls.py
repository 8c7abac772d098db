"""The server's certificate and key, and whose clients it trusts; read whole or refused."""

import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate

from guard_service.errors import AccessInvalid


@dataclass(frozen=True, slots=True)
class Tls:
    certificate: bytes  # PEM, with its chain
    key: bytes = field(repr=False)
    client_ca: bytes | None = None  # every client must then have a certificate of it


def read_tls(certificate: Path, key: Path, client_ca: Path | None) -> Tls:
    """The files' content; AccessInvalid where they do not belong together."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password="")  # never asks on a terminal
        if client_ca:
            context.load_verify_locations(client_ca)
        ca = client_ca.read_bytes() if client_ca else None
        return Tls(certificate.read_bytes(), key.read_bytes(), ca)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        problem = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not PEM"
        raise AccessInvalid(f"tls_certificate, tls_key, tls_client_ca: {problem}") from None


@lru_cache(maxsize=1024)
def expires_s(pem: bytes) -> float:
    """When a certificate ends, in seconds of the epoch: a connection may live longer."""
    return load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
