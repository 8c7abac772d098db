"""Wraps our methods as gRPC handlers: bytes are parsed inside, errors go through the one table.

gRPC's own deserialiser would run outside the handler and answer UNKNOWN, with the name of an
internal class, to bytes that do not parse.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from guard_service.api.request import parse
from guard_service.api.status import abort

Request = TypeVar("Request", bound=Message)
Write = Callable[[Message], Awaitable[None]]
Context = Any  # grpc.aio.ServicerContext, whose type parameters say nothing here


def unary(
    kind: type[Request], method: Callable[[Request], Awaitable[Message]]
) -> "grpc.RpcMethodHandler[bytes, Message]":
    async def handle(payload: bytes, context: Context) -> Message | None:
        try:
            return await method(parse(kind, payload))
        except Exception as error:
            await abort(context, error)
            return None

    return grpc.unary_unary_rpc_method_handler(handle, None, _serialize)


def stream(
    method: Callable[[AsyncIterator[bytes], Write], Awaitable[None]],
) -> "grpc.RpcMethodHandler[bytes, Message]":
    """`method` gets unparsed requests, so that a bad one can be answered alone, and a `write`."""

    async def handle(payloads: AsyncIterator[bytes], context: Context) -> None:
        async def write(message: Message) -> None:
            # It fails only when the client has gone, and then gRPC cancels us as well.
            with suppress(Exception):
                await context.write(message)

        try:
            await method(payloads, write)
        except Exception as error:
            await abort(context, error)

    return grpc.stream_stream_rpc_method_handler(handle, None, _serialize)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
