"""The client of people who work the review queue, for threads."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

import grpc

from guard_service.client.answer import ReviewItem
from guard_service.client.errors import Unavailable, error_from_call
from guard_service.client.feed import FeedEvent, feed_event
from guard_service.client.message import Message, Role, ToolCall
from guard_service.client.sync import GuardClient
from guard_service.client.wire import from_wire
from guard_service.v1 import moderation_pb2, review_pb2

_PAUSE_S = 1.0  # between two servers of a feed that is followed


class Outcome(Enum):
    """What a human says of the model's decision."""

    UPHELD = "upheld"
    OVERTURNED = "overturned"


@dataclass(frozen=True, slots=True)
class Claim:
    """An item that is the caller's until `lease_until`; messages only where they are kept."""

    item: ReviewItem
    token: int
    lease_until: datetime
    messages: tuple[Message, ...] = field(repr=False)


class ReviewClient(GuardClient):
    """Each call that changes something carries an id of its own, so that retries do it once."""

    def __init__(self, target: str, *, reviewer: str = "", **options: Any) -> None:
        """`reviewer` is for servers that ask for no credentials; others know who calls."""
        super().__init__(target, **options)
        self._reviewer = reviewer

    def claim(
        self, *, categories: Sequence[str] = (), languages: Sequence[str] = (), lease_s: int = 0
    ) -> Claim | None:
        """The item that most needs this reviewer; None where nothing waits for them."""
        answer = self._review(
            "ClaimReviewItem",
            self._once(categories=categories, languages=languages, lease_s=lease_s),
        )
        return _claim(answer.claim) if answer.HasField("claim") else None

    def renew(self, item_id: str, token: int, *, lease_s: int = 0) -> Claim:
        """Hold it from now on again; Conflict where the lease has ended."""
        fields = {"reviewer": self._reviewer, "item_id": item_id, "token": token}
        return _claim(self._review("RenewClaim", fields | {"lease_s": lease_s}).claim)

    def release(self, item_id: str, token: int) -> None:
        self._review("ReleaseReviewItem", self._once(item_id=item_id, token=token))

    def resolve(
        self, item_id: str, token: int, outcome: Outcome, *, codes: Sequence[str] = ()
    ) -> None:
        """Say what it is; Conflict where the lease has ended, and then nothing is kept."""
        wire = f"OUTCOME_{outcome.name}"
        fields = self._once(item_id=item_id, token=token, outcome=wire, codes=codes)
        self._review("ResolveReviewItem", fields)

    def appeal(self, item_id: str) -> None:
        """Have somebody else look again, once; Conflict where the item is not resolved."""
        self._review("AppealReviewItem", self._once(item_id=item_id))

    def mark_golden(self, item_id: str) -> None:
        """Show this resolved item to all reviewers, to measure them."""
        self._review("MarkGoldenItem", {"item_id": item_id})

    def feed(
        self, cursor: str = "", *, follow: bool = False, tenant: str = ""
    ) -> Iterator[FeedEvent]:
        """What happened after the cursor, oldest first; without one, from the oldest that is kept.

        Ends where there is no more. With `follow` it waits for more, and goes on where it was after
        a server has gone; InvalidRequest (CURSOR_UNKNOWN) where what comes next is no longer kept.
        """
        while True:
            try:
                for answer in self._watch(cursor, tenant):
                    cursor = answer.cursor
                    if answer.event:
                        yield feed_event(answer.event, cursor)
                    elif not follow:
                        return
            except Unavailable:
                if not follow:
                    raise
                time.sleep(_PAUSE_S)

    def _watch(self, cursor: str, tenant: str) -> Iterator[Any]:
        request = review_pb2.WatchReviewFeedRequest(cursor=cursor, tenant=tenant)
        method = self._stubs.review.WatchReviewFeed
        call = method(request, metadata=self._connection.metadata())
        try:
            yield from call
        except grpc.RpcError as error:
            raise error_from_call(error) from error
        finally:
            call.cancel()

    def _once(self, **fields: Any) -> Mapping[str, Any]:
        return fields | {"reviewer": self._reviewer, "request_id": uuid.uuid4().hex}

    def _review(self, method: str, fields: Mapping[str, Any]) -> Any:
        request = getattr(review_pb2, f"{method}Request")(**fields)
        return self._call(getattr(self._stubs.review, method), request)


def _claim(wire: Any) -> Claim:
    return from_wire(Claim, wire, messages=tuple(map(_message, wire.messages)))


def _message(wire: moderation_pb2.Message) -> Message:
    role = Role[moderation_pb2.Role.Name(wire.role).removeprefix("ROLE_")]
    calls = tuple(ToolCall(call.name, call.arguments_json) for call in wire.tool_calls)
    return Message(role, wire.content, calls, wire.name)
