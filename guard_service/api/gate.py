"""The one interceptor: every call but health proves who it is, and a stream with every message."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc
from grpc_health.v1 import health

from guard_service.access.access import Access
from guard_service.access.principal import Credentials, Principal
from guard_service.access.tls import expires_s
from guard_service.api.status import abort
from guard_service.errors import GuardError, Unauthenticated

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]

_OPEN = f"/{health.SERVICE_NAME}/"

# Set for the task of each call. Without a gate there is none, and handlers fail: never open.
_principal: ContextVar[Principal] = ContextVar("principal")
_prove: ContextVar[Callable[[], Awaitable[None]]] = ContextVar("prove")


def current_principal() -> Principal:
    """Who makes the call that this task serves."""
    return _principal.get()


async def check_caller() -> None:
    """Unauthenticated once the caller's credential is no longer good, or is another's."""
    await _prove.get()()


class Gate(grpc.aio.ServerInterceptor):
    def __init__(self, access: Access) -> None:
        self._access = access

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN):
            return handler
        return self._guard(handler)

    def _guard(self, handler: Any) -> Any:
        """The same handler, for those alone who prove who they are."""
        requests = "stream" if handler.request_streaming else "unary"
        kind = f"{requests}_{'stream' if handler.response_streaming else 'unary'}"
        method = getattr(handler, kind)

        async def guarded(request: Any, context: Any) -> Any:
            try:
                credentials = _credentials(context)
                principal = await self._access.authenticate(credentials)
                _principal.set(principal)
                _prove.set(lambda: self._prove(credentials, principal))
                if handler.request_streaming:
                    request = self._watch(request, credentials, principal)
                return await _call(method, request, context)
            except GuardError as error:
                await abort(context, error)

        wrap = getattr(grpc, f"{kind}_rpc_method_handler")
        return wrap(guarded, handler.request_deserializer, handler.response_serializer)

    async def _watch(
        self, requests: AsyncIterator[Any], credentials: Credentials, principal: Principal
    ) -> AsyncIterator[Any]:
        """The requests while their sender is who it was; then Unauthenticated."""
        async for request in requests:
            await self._prove(credentials, principal)
            yield request

    async def _prove(self, credentials: Credentials, principal: Principal) -> None:
        if await self._access.authenticate(credentials) != principal:
            raise Unauthenticated


async def _call(method: Any, request: Any, context: Any) -> Any:
    """Call in whichever way the method answers: by value, by `context.write` or by yielding."""
    answer = method(request, context)
    if not inspect.isasyncgen(answer):
        return await answer
    async for response in answer:
        await context.write(response)
    return None


def _credentials(context: Any) -> Credentials:
    headers = [
        value for key, value in context.invocation_metadata() or () if key == "authorization"
    ]
    peer = context.auth_context()
    (pem,) = peer.get("x509_pem_cert") or (b"",)
    return Credentials(
        tuple(headers),
        tuple(uri.decode("ascii", "replace") for uri in peer.get("peer_uri", ())),
        expires_s(pem) if pem else 0.0,
    )
