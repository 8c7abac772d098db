"""How a client proves who it is, and how its server does: keys, tokens, TLS."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from guard_service.client.errors import refusal
from guard_service.client.trace import trace_metadata

# A token, or what gives the one to send now: called for each call, and so to be quick.
Token: TypeAlias = str | Callable[[], str]
Options: TypeAlias = Mapping[str, Any] | None
PemFile: TypeAlias = str | PathLike[str]

_LOCAL = re.compile(r"unix:|(dns:///|ipv[46]:)?(localhost|127\.[\d.]+|\[::1\])(:\d+)?$")


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM. Without `ca` the server's certificate is checked by the roots of gRPC."""

    ca: PemFile | None = None
    certificate: PemFile | None = None  # our own and its key, for servers that ask for one
    key: PemFile | None = None
    server_name: str = ""  # in the server's certificate, if it is not the target's

    def credentials(self) -> grpc.ChannelCredentials:
        ca, key, certificate = map(_content, (self.ca, self.key, self.certificate))
        return grpc.ssl_channel_credentials(ca, key, certificate)


@dataclass(frozen=True, slots=True)
class Connection:
    """A server's address and what is shown there; refuses to show a secret to the network."""

    target: str
    api_key: str | None = field(default=None, repr=False)
    token: Token | None = field(default=None, repr=False)
    tls: Tls | bool = False
    allow_plaintext: bool = False
    credentials: grpc.ChannelCredentials | None = None
    options: Options = None

    def __post_init__(self) -> None:
        is_secret = self.api_key is not None or self.token is not None
        is_safe = self.tls or self.credentials or _LOCAL.match(self.target) or self.allow_plaintext
        if self.api_key is not None and self.token is not None:
            raise refusal("token", "give an API key or a token, not both")
        if self.tls and self.credentials:
            raise refusal("credentials", "give these or tls, not both")
        if is_secret and not is_safe:
            problem = "a key or token would travel in the clear: tls=True, or allow_plaintext=True"
            raise refusal("tls", problem)

    @property
    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        tls = Tls() if self.tls is True else self.tls
        return tls.credentials() if tls else self.credentials

    @property
    def channel_options(self) -> Options:
        name = self.tls.server_name if isinstance(self.tls, Tls) else ""
        ours = {"grpc.ssl_target_name_override": name} if name else {}
        return ours | dict(self.options or {})

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What the next call carries: the caller's trace, and what proves who we are."""
        secret = self.api_key or (self.token() if callable(self.token) else self.token)
        proof = (("authorization", f"Bearer {secret}"),) if secret else ()
        return (*trace_metadata(), *proof)


def _content(file: PemFile | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()
