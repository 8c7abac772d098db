"""The client for asyncio. Only calls live here; conversions are shared with sync.py."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from functools import cached_property
from typing import Any, Self

import grpc

from guard_service.client.batch import MAX_IN_FLIGHT, BatchItem, Ledger
from guard_service.client.catalogue import (
    Policy,
    ReviewItem,
    ServerInfo,
    policies_from_wire,
    review_items_from_wire,
    server_info_from_wire,
)
from guard_service.client.channel import HEALTH_REQUEST, Stubs, channel_options, is_serving
from guard_service.client.errors import (
    DeadlineExceeded,
    GuardError,
    Unavailable,
    error_from_call,
)
from guard_service.client.message import (
    Messages,
    ModerationRequest,
    OnUnavailable,
    RequestLike,
    request_to_wire,
)
from guard_service.client.moderation import Moderation, moderation_from_wire
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2


class AsyncGuardClient:
    """Asks a moderation service; belongs to the event loop of its first call."""

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 10.0,
        credentials: grpc.ChannelCredentials | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Connects at the first call. `timeout` is in seconds and covers the retries."""
        self._target = target
        self._timeout = timeout
        self._credentials = credentials
        self._options = channel_options(options)

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
        timeout: float | None = None,
    ) -> Moderation:
        """Judge the last message. Whatever keeps it from being judged raises a GuardError."""
        request = request_to_wire(
            ModerationRequest(messages, policy, request_id, on_unavailable, labels)
        )
        answer = await self._call(self._stubs.moderation.Moderate, request, timeout)
        return moderation_from_wire(answer, request.request_id)

    async def moderate_batch(
        self,
        requests: Iterable[RequestLike] | AsyncIterable[RequestLike],
        *,
        timeout: float | None = None,
    ) -> AsyncIterator[BatchItem]:
        """Judge many on one stream, yielding each answer as it comes, in no promised order.

        `requests` is read a few hundred ahead of the answers at most. A bad item gets its own
        error; an error of the stream is raised after all that arrived.
        """
        limits = (await self.server_info()).limits
        ledger, places = Ledger(limits.max_conversation_bytes), asyncio.Semaphore(MAX_IN_FLIGHT)
        call = self._stubs.moderation.ModerateBatch(
            _send(requests, ledger, places), timeout=timeout
        )
        try:
            async for answer in call:
                item = ledger.receive(answer)
                places.release()
                yield item
        except grpc.RpcError as error:
            raise _stream_error(error, call) from error
        finally:
            call.cancel()
            ledger.closed = True
            places.release()  # lets the task in _send see it
        ledger.check_settled()

    async def list_policies(self, *, timeout: float | None = None) -> tuple[Policy, ...]:
        pages = self._pages(self._stubs.moderation.ListPolicies, pb.ListPoliciesRequest(), timeout)
        return tuple([policy async for page in pages for policy in policies_from_wire(page)])

    async def server_info(self, *, timeout: float | None = None) -> ServerInfo:
        request = pb.GetServerInfoRequest()
        answer = await self._call(self._stubs.moderation.GetServerInfo, request, timeout)
        return server_info_from_wire(answer)

    async def list_review_items(
        self, *, page_size: int = 0, timeout: float | None = None
    ) -> AsyncIterator[ReviewItem]:
        """All review items, newest first; asks for the next page as it is reached."""
        request = review_pb2.ListReviewItemsRequest(page_size=page_size)
        async for page in self._pages(self._stubs.review.ListReviewItems, request, timeout):
            for item in review_items_from_wire(page):
                yield item

    async def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once the service is SERVING; DeadlineExceeded if it is not within `timeout`."""
        deadline = time.monotonic() + timeout
        while not await self._sees_serving(deadline - time.monotonic()):
            pass  # the server went away while we watched: watch the next one

    async def _sees_serving(self, timeout: float) -> bool:
        call = self._stubs.health.Watch(HEALTH_REQUEST, timeout=timeout, wait_for_ready=True)
        try:
            async for answer in call:
                if is_serving(answer):
                    return True
            return False
        except grpc.RpcError as error:
            failure = error_from_call(error)
            if isinstance(failure, Unavailable):
                return False
            raise failure from error
        finally:
            call.cancel()

    async def _call(self, method: Any, request: Any, timeout: float | None) -> Any:
        try:
            return await method(request, timeout=self._timeout if timeout is None else timeout)
        except grpc.RpcError as error:
            raise error_from_call(error) from error

    async def _pages(self, method: Any, request: Any, timeout: float | None) -> AsyncIterator[Any]:
        while True:
            page = await self._call(method, request, timeout)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    @cached_property
    def _stubs(self) -> Stubs:
        # Not in __init__: a channel belongs to the loop it was made in, and clients are often made
        # before there is one.
        if self._credentials:
            channel = grpc.aio.secure_channel(self._target, self._credentials, self._options)
        else:
            channel = grpc.aio.insecure_channel(self._target, self._options)
        return Stubs(channel)


def _stream_error(error: grpc.RpcError, call: Any) -> GuardError:
    failure = error_from_call(error)
    if failure.message != "Internal error from Core":
        return failure
    # A write that fails while the stream ends hides how it ended: github.com/grpc/grpc/issues/36066
    seconds_left = call.time_remaining()
    if seconds_left is not None and seconds_left <= 0:
        return DeadlineExceeded()
    return Unavailable("the stream broke off, and gRPC lost the reason", reason="STATUS_LOST")


async def _send(
    requests: Iterable[RequestLike] | AsyncIterable[RequestLike],
    ledger: Ledger,
    places: asyncio.Semaphore,
) -> AsyncIterator[pb.ModerateBatchRequest]:
    """Runs in gRPC's task. Never raises: gRPC would cancel the stream and lose answers."""
    try:
        async for request in _each(requests):
            await places.acquire()
            if ledger.closed:
                return
            yield ledger.send(request)
        ledger.end()
    except Exception as error:
        ledger.end(error)


async def _each(
    requests: Iterable[RequestLike] | AsyncIterable[RequestLike],
) -> AsyncIterator[RequestLike]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
