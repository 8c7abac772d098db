"""The bookkeeping of one ModerateBatch stream: each request sent gets exactly one item back."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from guard_service.client.answer import Moderation
from guard_service.client.errors import GuardError, InvalidRequest, error_from_status, unreadable
from guard_service.client.message import Messages, ModerationRequest, to_wire
from guard_service.client.wire import moderation_from_wire
from guard_service.v1 import moderation_pb2 as pb

# Requests sent and not answered: twice what the server holds of one stream, so it never waits for
# us, and all that we ever read ahead of the answers.
MAX_IN_FLIGHT = 256

# A request, or only its messages.
RequestLike: TypeAlias = ModerationRequest | Messages


@dataclass(frozen=True, slots=True)
class BatchItem:
    """The answer to one request of a batch: a moderation or the error that took its place."""

    index: int  # place of the request in what was given, from 0
    request_id: str
    moderation: Moderation | None = None
    error: GuardError | None = None

    def result(self) -> Moderation:
        """The moderation, or its error raised."""
        if self.moderation is None:
            raise self.error or unreadable("neither a moderation nor an error")
        return self.moderation


class Ledger:
    """What is on the stream and not answered yet. Knows nothing of threads or loops."""

    def __init__(self) -> None:
        # What is wrong if the stream ends now; None once everything is sent.
        self.failure: Exception | None = unreadable("the stream ended before all was sent")
        self._open: dict[int, BatchItem] = {}
        self._num_sent = 0

    def send(self, value: RequestLike) -> pb.ModerateBatchRequest:
        """Note the next request and put it on the wire.

        One that we refuse ourselves travels as an empty request, which no server judges: so its
        error comes back in its place, and a stream of nothing but bad rows still moves.
        """
        request = value if isinstance(value, ModerationRequest) else ModerationRequest(value)
        index, self._num_sent = self._num_sent, self._num_sent + 1
        try:
            wire = to_wire(request)
            self._open[index] = BatchItem(index, wire.request_id)
        except InvalidRequest as error:
            wire = pb.ModerateRequest()
            self._open[index] = BatchItem(index, request.request_id or "", error=error)
        return pb.ModerateBatchRequest(request=wire)

    def receive(self, answer: Any) -> BatchItem:
        """The item for an answer; ServerError if nothing waits for it."""
        item = self._open.pop(answer.index, None)
        if item is None:
            raise unreadable(f"the server answered request {answer.index}, which does not wait")
        if item.error is not None:
            return item
        if answer.WhichOneof("result") == "error":
            return replace(item, error=error_from_status(answer.error))
        try:
            return replace(item, moderation=moderation_from_wire(answer.response, item.request_id))
        except GuardError as error:
            return replace(item, error=error)

    def check_settled(self) -> None:
        """Raise what the caller's iterable raised, or ServerError if requests went unanswered."""
        if self.failure is not None:
            raise self.failure
        if self._open:
            raise unreadable(f"the stream ended with {len(self._open)} requests unanswered")
