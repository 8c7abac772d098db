"""Keys, tokens and certificates made for a test, good and bad."""

import datetime
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from guard_service.access.key import NewKey

ISSUER, AUDIENCE = "https://issuer.example", "guard"


def entry(key: NewKey, tenant: str = "acme", **more: Any) -> dict[str, Any]:
    return {"id": key.id, "name": "chat", "tenant": tenant, "sha256": key.sha256, **more}


def write_access(path: Path, *keys: Mapping[str, Any], **more: Any) -> Path:
    path.write_text(json.dumps({"keys": keys, **more}), encoding="utf-8")
    return path


class Signer:
    """An issuer of tokens with one key."""

    def __init__(self, kid: str = "1") -> None:
        self.kid = kid
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwk(self) -> dict[str, Any]:
        public = jwt.get_algorithm_by_name("ES256").to_jwk(self.key.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "alg": "ES256", "use": "sig"}

    def token(self, *, kid: str | None = None, **claims: Any) -> str:
        given: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "svc|1", "tenant": "acme"}
        given["exp"] = (
            time.time() + 4 * 3600
        )  # outlives a test run: some are made while it collects
        left = {name: value for name, value in (given | claims).items() if value is not None}
        return jwt.encode(left, self.key, "ES256", headers={"kid": kid or self.kid})


def write_jwks(path: Path, *signers: Signer) -> Path:
    path.write_text(json.dumps({"keys": [signer.jwk for signer in signers]}), encoding="utf-8")
    return path


class Pki:
    """A certificate authority, and what it issues as PEM files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._ca = folder, trustme.CA()
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))

    def server(self, name: str = "server") -> tuple[Path, Path]:
        return self.client(name, dns=["localhost"])

    def client(
        self, name: str, *uris: str, dns: list[str] | None = None, ends_in_s: float = 3600
    ) -> tuple[Path, Path]:
        """Certificate and key with these names; trustme itself makes none with a URI."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
        issuer = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        signing = serialization.load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        assert isinstance(signing, ec.EllipticCurvePrivateKey)
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names += [x509.DNSName(each) for each in dns or ()]
        built = x509.CertificateBuilder(
            issuer_name=issuer.subject,
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=1),
            not_valid_after=now + datetime.timedelta(seconds=ends_in_s),
        )
        if names:
            built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = built.sign(signing, hashes.SHA256())
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files
