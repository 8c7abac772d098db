"""What settings would leave open to strangers, refused before anything listens."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from guard_service.config import Settings, split_address

# A server that lives for one command of its own user, whatever the environment says.
PRIVATE: dict[str, Any] = {
    "access_file": None,
    "jwks": "",
    "tls_certificate": None,
    "tls_key": None,
    "tls_client_ca": None,
    "insecure": False,
    "requests_per_minute": 0,
    "tokens_per_minute": 0,
    "quota_redis_url": "",
    "console": "off",
    "review_keys_url": "",
}


def asks_for_credentials(settings: Settings) -> bool:
    return bool(settings.access_file or settings.jwks)


def exposure_problems(settings: Settings) -> Iterator[str]:
    asks, is_local = asks_for_credentials(settings), is_loopback(settings.host)
    if asks and settings.insecure:
        yield "insecure: contradicts access_file and jwks"
    if not (asks or is_local or settings.insecure):
        yield "host: beyond loopback set access_file (see guard keys new) or jwks, or --insecure"
    if asks and not (settings.tls_certificate or is_local or settings.allow_plaintext):
        yield (
            "tls_certificate: beyond loopback credentials would travel in the clear; set it and "
            "tls_key, or allow_plaintext where a proxy ends TLS"
        )
    if settings.console != "off":
        yield from _console_problems(settings)
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        yield "tls_certificate, tls_key: one without the other"
    if settings.tls_client_ca and not (settings.tls_certificate and settings.access_file):
        yield "tls_client_ca: needs tls_certificate, and access_file to say who a certificate is"
    if settings.jwks and not (settings.jwt_issuer and settings.jwt_audience):
        yield "jwks: needs jwt_issuer and jwt_audience"
    if settings.jwks.startswith("http:"):
        yield "jwks: a file or an https URL"


def _console_problems(settings: Settings) -> Iterator[str]:
    host, _ = split_address(settings.console)
    is_local, has_tls = is_loopback(host), bool(settings.tls_certificate)
    if not (is_local or has_tls or settings.allow_plaintext):
        yield "console: beyond loopback it needs tls_certificate, or allow_plaintext behind a proxy"
    is_any = host.strip("[]") in ("0.0.0.0", "::")
    if not settings.console_origin and (is_any or settings.allow_plaintext):
        yield "console_origin: say what browsers call the console, as https://review.example.org"
    if settings.console_origin.startswith("http:") and not is_local:
        yield "console_origin: beyond loopback only https"
    if settings.console_oidc_issuer:
        issuer = urlsplit(settings.console_oidc_issuer)
        if issuer.scheme != "https" and not is_loopback(issuer.hostname or ""):
            yield "console_oidc_issuer: an https URL"
        if not settings.console_oidc_client_id:
            yield "console_oidc_issuer: needs console_oidc_client_id"


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
