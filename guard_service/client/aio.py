"""The client for asyncio. Only calls live here; all else is shared with sync.py."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from functools import cached_property
from typing import Any, Self, TypeAlias

import grpc

from guard_service.client.answer import Moderation, Policy, ReviewItem, ServerInfo
from guard_service.client.batch import MAX_IN_FLIGHT, BatchItem, Ledger, RequestLike
from guard_service.client.channel import Stubs
from guard_service.client.connection import Connection, Options, Tls, Token
from guard_service.client.errors import DeadlineExceeded, error_from_call, error_from_stream
from guard_service.client.message import Judge, Messages, ModerationRequest, OnUnavailable, to_wire
from guard_service.client.wire import from_wire, moderation_from_wire, policies_from_wire
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2

Requests: TypeAlias = Iterable[RequestLike] | AsyncIterable[RequestLike]


class AsyncGuardClient:
    """Asks a moderation service; belongs to the event loop of its first call."""

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 10.0,
        api_key: str | None = None,
        token: Token | None = None,
        tls: Tls | bool = False,
        allow_plaintext: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        options: Options = None,
    ) -> None:
        """Connects at the first call. `timeout` is in seconds and covers the retries.

        `api_key` or `token` proves who calls, and travels in the clear beyond loopback only with
        `allow_plaintext`. `tls=True` checks the server by public roots.
        """
        self._timeout = timeout
        self._connection = Connection(
            target, api_key, token, tls, allow_plaintext, credentials, options
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._stubs.channel.close()

    async def moderate(
        self,
        messages: Messages,
        *,
        policy: str = "",
        request_id: str | None = None,
        on_unavailable: OnUnavailable | None = None,
        labels: Mapping[str, str] | None = None,
        judge: Judge = Judge.LAST,
        timeout: float | None = None,
    ) -> Moderation:
        """Judge the last message, or all. Whatever keeps it from that raises a GuardError."""
        request = to_wire(
            ModerationRequest(messages, policy, request_id, on_unavailable, labels, judge)
        )
        answer = await self._call(self._stubs.moderation.Moderate, request, timeout)
        return moderation_from_wire(answer, request.request_id)

    async def moderate_batch(
        self, requests: Requests, *, timeout: float | None = None
    ) -> AsyncIterator[BatchItem]:
        """Judge many on one stream, as GuardClient.moderate_batch; reads `requests` in a task."""
        ledger, places = Ledger(), asyncio.Semaphore(MAX_IN_FLIGHT)
        sending = _send(requests, ledger, places)
        call = self._stubs.moderation.ModerateBatch(
            sending, timeout=timeout, metadata=self._connection.metadata()
        )
        try:
            async for answer in call:
                places.release()
                yield ledger.receive(answer)
        except grpc.RpcError as error:
            raise error_from_stream(error, call) from error
        finally:
            call.cancel()
            places.release()  # ends the task in _send: gRPC takes no more requests
        ledger.check_settled()

    async def list_policies(self) -> tuple[Policy, ...]:
        pages = self._pages(self._stubs.moderation.ListPolicies, pb.ListPoliciesRequest())
        return tuple([policy async for page in pages for policy in policies_from_wire(page)])

    async def server_info(self) -> ServerInfo:
        method = self._stubs.moderation.GetServerInfo
        return from_wire(ServerInfo, await self._call(method, pb.GetServerInfoRequest()))

    async def list_review_items(self, *, page_size: int = 0) -> AsyncIterator[ReviewItem]:
        """All review items, newest first; asks for the next page as it is reached."""
        request = review_pb2.ListReviewItemsRequest(page_size=page_size)
        async for page in self._pages(self._stubs.review.ListReviewItems, request):
            for item in page.items:
                yield from_wire(ReviewItem, item)

    async def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once the service is SERVING; DeadlineExceeded if it is not within `timeout`."""
        try:
            await asyncio.wait_for(self._stubs.channel.channel_ready(), timeout)
        except TimeoutError:
            raise DeadlineExceeded("no server was ready in time") from None

    @cached_property
    def _stubs(self) -> Stubs:
        # Not in __init__: a channel belongs to the loop it was made in, and clients are often made
        # before there is one.
        return Stubs(grpc.aio, self._connection)

    async def _call(self, method: Any, request: Any, timeout: float | None = None) -> Any:
        try:
            timeout = self._timeout if timeout is None else timeout
            return await method(request, timeout=timeout, metadata=self._connection.metadata())
        except grpc.RpcError as error:
            raise error_from_call(error) from error

    async def _pages(self, method: Any, request: Any) -> AsyncIterator[Any]:
        while True:
            page = await self._call(method, request)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return


async def _send(
    requests: Requests, ledger: Ledger, places: asyncio.Semaphore
) -> AsyncIterator[pb.ModerateBatchRequest]:
    """Runs in gRPC's task. Never raises: gRPC would cancel the stream and lose answers."""
    try:
        async for request in _each(requests):
            await places.acquire()
            yield ledger.send(request)
        ledger.failure = None
    except Exception as error:
        ledger.failure = error


async def _each(requests: Requests) -> AsyncIterator[RequestLike]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
