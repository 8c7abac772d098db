"""The client for threads. Only calls live here; all else is shared with aio.py."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import grpc

from guard_service.client.answer import Moderation, Policy, ReviewItem, ServerInfo
from guard_service.client.batch import MAX_IN_FLIGHT, BatchItem, Ledger, RequestLike
from guard_service.client.channel import Stubs
from guard_service.client.connection import Connection, Options, Tls, Token
from guard_service.client.errors import DeadlineExceeded, error_from_call
from guard_service.client.message import Judge, Messages, ModerationRequest, OnUnavailable, to_wire
from guard_service.client.wire import from_wire, moderation_from_wire, policies_from_wire
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2


class GuardClient:
    """Asks a moderation service; may be shared by threads."""

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
        self._stubs = Stubs(grpc, self._connection)

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
        judge: Judge = Judge.LAST,
        timeout: float | None = None,
    ) -> Moderation:
        """Judge the last message, or all. Whatever keeps it from that raises a GuardError."""
        request = to_wire(
            ModerationRequest(messages, policy, request_id, on_unavailable, labels, judge)
        )
        answer = self._call(self._stubs.moderation.Moderate, request, timeout)
        return moderation_from_wire(answer, request.request_id)

    def moderate_batch(
        self, requests: Iterable[RequestLike], *, timeout: float | None = None
    ) -> Iterator[BatchItem]:
        """Judge many on one stream, yielding each answer as it comes, in no promised order.

        `requests` is read in another thread, a few hundred ahead of the answers at most. A bad
        item gets its own error; an error of the stream is raised after all that arrived. Such is
        a request larger than the server's gRPC receives at all: InvalidRequest, for the stream.
        """
        ledger, places = Ledger(), threading.Semaphore(MAX_IN_FLIGHT)
        sending = _send(requests, ledger, places)
        call = self._stubs.moderation.ModerateBatch(
            sending, timeout=timeout, metadata=self._connection.metadata()
        )
        try:
            for answer in call:
                places.release()
                yield ledger.receive(answer)
        except grpc.RpcError as error:
            raise error_from_call(error) from error
        finally:
            call.cancel()
            places.release()  # ends the thread in _send: gRPC takes no more requests
        ledger.check_settled()

    def list_policies(self) -> tuple[Policy, ...]:
        pages = self._pages(self._stubs.moderation.ListPolicies, pb.ListPoliciesRequest())
        return tuple(policy for page in pages for policy in policies_from_wire(page))

    def server_info(self) -> ServerInfo:
        method = self._stubs.moderation.GetServerInfo
        return from_wire(ServerInfo, self._call(method, pb.GetServerInfoRequest()))

    def list_review_items(self, *, page_size: int = 0) -> Iterator[ReviewItem]:
        """All review items, newest first; asks for the next page as it is reached."""
        request = review_pb2.ListReviewItemsRequest(page_size=page_size)
        for page in self._pages(self._stubs.review.ListReviewItems, request):
            yield from (from_wire(ReviewItem, item) for item in page.items)

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once the service is SERVING; DeadlineExceeded if it is not within `timeout`."""
        ready = grpc.channel_ready_future(self._stubs.channel)
        try:
            ready.result(timeout)
        except grpc.FutureTimeoutError:
            ready.cancel()
            raise DeadlineExceeded("no server was ready in time") from None

    def _call(self, method: Any, request: Any, timeout: float | None = None) -> Any:
        try:
            timeout = self._timeout if timeout is None else timeout
            return method(request, timeout=timeout, metadata=self._connection.metadata())
        except grpc.RpcError as error:
            raise error_from_call(error) from error

    def _pages(self, method: Any, request: Any) -> Iterator[Any]:
        while True:
            page = self._call(method, request)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return


def _send(
    requests: Iterable[RequestLike], ledger: Ledger, places: threading.Semaphore
) -> Iterator[pb.ModerateBatchRequest]:
    """Runs in gRPC's thread. Never raises: gRPC would log the error, and answers would be lost."""
    try:
        for request in requests:
            places.acquire()
            yield ledger.send(request)
        ledger.failure = None
    except Exception as error:
        ledger.failure = error
