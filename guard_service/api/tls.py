"""TLS for the port. A reload reaches the next connection; those that stand go on undisturbed."""

from collections.abc import Callable

import grpc

from guard_service.access.tls import Tls


def server_credentials(first: Tls, current: Callable[[], Tls | None]) -> grpc.ServerCredentials:
    """Credentials that follow `current`, which gRPC's threads call at each handshake."""
    served = first

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal served
        tls = current()
        if tls is None or tls is served:
            return None  # no change
        served = tls
        return _configuration(tls)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(first),
        fetch,  # type: ignore[arg-type]  # the stubs do not know None
        require_client_authentication=first.client_ca is not None,
    )


def _configuration(tls: Tls) -> grpc.ServerCertificateConfiguration:
    pairs = [(tls.key, tls.certificate)]
    return grpc.ssl_server_certificate_configuration(pairs, tls.client_ca)
