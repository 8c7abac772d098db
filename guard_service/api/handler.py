"""Wraps our methods as gRPC handlers: bytes are parsed inside, errors go through the one table.

gRPC's own deserialiser would run outside the handler and answer UNKNOWN, with the name of an
internal class, to bytes that do not parse.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from guard_service.access.principal import Principal
from guard_service.api.gate import check_caller, current_principal
from guard_service.api.request import parse
from guard_service.api.status import abort
from guard_service.sight.journey import watch_call

Request = TypeVar("Request", bound=Message)
Write = Callable[[Message], Awaitable[None]]
Context = Any  # grpc.aio.ServicerContext, whose type parameters say nothing here


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, until when on the event loop's clock, and with how many bytes."""

    principal: Principal
    peer: str
    deadline_s: float
    num_bytes: int = 0

    @property
    def share(self) -> str:
        """Whose places and turns the call takes: its tenant's, or its host's."""
        return self.principal.tenant or self.peer


def unary(
    kind: type[Request], method: Callable[[Request, Call], Awaitable[Message]]
) -> "grpc.RpcMethodHandler[bytes, Message]":
    name = _name(kind)

    async def handle(payload: bytes, context: Context) -> Message | None:
        with watch_call(name, context.invocation_metadata()):
            try:
                call = replace(_call(context), num_bytes=len(payload))
                return await method(parse(kind, payload), call)
            except Exception as error:
                await abort(context, error)
                return None

    return grpc.unary_unary_rpc_method_handler(handle, None, _serialize)


def stream(
    kind: type[Message], method: Callable[[AsyncIterator[bytes], Write, Call], Awaitable[None]]
) -> "grpc.RpcMethodHandler[bytes, Message]":
    """`method` gets unparsed requests, so that a bad one can be answered alone, and a `write`."""

    name = _name(kind)

    async def handle(payloads: AsyncIterator[bytes], context: Context) -> None:
        with watch_call(name, context.invocation_metadata()):
            try:
                await method(payloads, partial(_write, context), _call(context))
            except ExceptionGroup as group:  # of a stream's tasks, which answer their own errors
                await abort(context, group.exceptions[0])
            except Exception as error:
                await abort(context, error)

    return grpc.stream_stream_rpc_method_handler(handle, None, _serialize)


def feed(
    kind: type[Request], method: Callable[[Request, Call], AsyncGenerator[Message, None]]
) -> "grpc.RpcMethodHandler[bytes, Message]":
    """`method` yields answers, each to a caller who is still who they were."""
    name = _name(kind)

    async def handle(payload: bytes, context: Context) -> None:
        with watch_call(name, context.invocation_metadata()):
            try:
                async with aclosing(method(parse(kind, payload), _call(context))) as answers:
                    async for answer in answers:
                        await check_caller()
                        await _write(context, answer)
            except Exception as error:
                await abort(context, error)

    return grpc.unary_stream_rpc_method_handler(handle, None, _serialize)


async def _write(context: Context, message: Message) -> None:
    """It fails only when the client has gone, and then gRPC cancels us as well."""
    with suppress(Exception):
        await context.write(message)


def _name(kind: type[Message]) -> str:
    """The method's, which its request is named for."""
    return kind.DESCRIPTOR.name.removesuffix("Request")


def _call(context: Context) -> Call:
    seconds_left = context.time_remaining()
    now_s = asyncio.get_running_loop().time()
    peer = context.peer().rpartition(":")[0]  # a client's next connection has another port
    return Call(
        current_principal(), peer, math.inf if seconds_left is None else now_s + seconds_left
    )


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
