"""The client for threads. Only calls live here; conversions are shared with aio.py."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
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
from guard_service.client.errors import Unavailable, error_from_call
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


class GuardClient:
    """Asks a moderation service; may be shared by threads."""

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 10.0,
        credentials: grpc.ChannelCredentials | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Connects at the first call. `timeout` is in seconds and covers the retries."""
        arguments = channel_options(options)
        self._timeout = timeout
        self._stubs = Stubs(
            grpc.secure_channel(target, credentials, arguments)
            if credentials
            else grpc.insecure_channel(target, arguments)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stubs.channel.close()

    def moderate(
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
        answer = self._call(self._stubs.moderation.Moderate, request, timeout)
        return moderation_from_wire(answer, request.request_id)

    def moderate_batch(
        self, requests: Iterable[RequestLike], *, timeout: float | None = None
    ) -> Iterator[BatchItem]:
        """Judge many on one stream, yielding each answer as it comes, in no promised order.

        `requests` is read in another thread, a few hundred ahead of the answers at most. A bad
        item gets its own error; an error of the stream is raised after all that arrived.
        """
        limits = self.server_info().limits
        ledger, places = Ledger(limits.max_conversation_bytes), threading.Semaphore(MAX_IN_FLIGHT)
        call = self._stubs.moderation.ModerateBatch(
            _send(requests, ledger, places), timeout=timeout
        )
        try:
            for answer in call:
                item = ledger.receive(answer)
                places.release()
                yield item
        except grpc.RpcError as error:
            raise error_from_call(error) from error
        finally:
            call.cancel()
            ledger.closed = True
            places.release()  # lets the thread in _send see it
        ledger.check_settled()

    def list_policies(self, *, timeout: float | None = None) -> tuple[Policy, ...]:
        pages = self._pages(self._stubs.moderation.ListPolicies, pb.ListPoliciesRequest(), timeout)
        return tuple(policy for page in pages for policy in policies_from_wire(page))

    def server_info(self, *, timeout: float | None = None) -> ServerInfo:
        request = pb.GetServerInfoRequest()
        return server_info_from_wire(
            self._call(self._stubs.moderation.GetServerInfo, request, timeout)
        )

    def list_review_items(
        self, *, page_size: int = 0, timeout: float | None = None
    ) -> Iterator[ReviewItem]:
        """All review items, newest first; asks for the next page as it is reached."""
        request = review_pb2.ListReviewItemsRequest(page_size=page_size)
        for page in self._pages(self._stubs.review.ListReviewItems, request, timeout):
            yield from review_items_from_wire(page)

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once the service is SERVING; DeadlineExceeded if it is not within `timeout`."""
        deadline = time.monotonic() + timeout
        while not self._sees_serving(deadline - time.monotonic()):
            pass  # the server went away while we watched: watch the next one

    def _sees_serving(self, timeout: float) -> bool:
        call = self._stubs.health.Watch(HEALTH_REQUEST, timeout=timeout, wait_for_ready=True)
        try:
            return any(is_serving(answer) for answer in call)
        except grpc.RpcError as error:
            failure = error_from_call(error)
            if isinstance(failure, Unavailable):
                return False
            raise failure from error
        finally:
            call.cancel()

    def _call(self, method: Any, request: Any, timeout: float | None) -> Any:
        try:
            return method(request, timeout=self._timeout if timeout is None else timeout)
        except grpc.RpcError as error:
            raise error_from_call(error) from error

    def _pages(self, method: Any, request: Any, timeout: float | None) -> Iterator[Any]:
        while True:
            page = self._call(method, request, timeout)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _send(
    requests: Iterable[RequestLike], ledger: Ledger, places: threading.Semaphore
) -> Iterator[pb.ModerateBatchRequest]:
    """Runs in gRPC's thread. Never raises: gRPC would log the error, and answers would be lost."""
    try:
        for request in requests:
            places.acquire()
            if ledger.closed:
                return
            yield ledger.send(request)
        ledger.end()
    except Exception as error:
        ledger.end(error)
