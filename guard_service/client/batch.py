"""The bookkeeping of one ModerateBatch stream: each request sent gets exactly one item back."""

from dataclasses import dataclass
from typing import Any

from guard_service.client.errors import (
    GuardError,
    InvalidRequest,
    error_from_status,
    refusal,
    unreadable,
)
from guard_service.client.message import RequestLike, request_from, request_id_of, request_to_wire
from guard_service.client.moderation import Moderation, moderation_from_wire
from guard_service.v1 import moderation_pb2 as pb

# Requests sent and not answered: twice what the server holds of one stream, so it never waits for
# us, and all that we ever read ahead of the answers.
MAX_IN_FLIGHT = 256


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


@dataclass(frozen=True, slots=True)
class _Sent:
    request_id: str
    refused: InvalidRequest | None


class Ledger:
    """What is on the stream and not answered yet. Knows nothing of threads or loops."""

    def __init__(self, max_conversation_bytes: int = 0) -> None:
        """`max_conversation_bytes` is the server's limit; 0 where it tells none."""
        self._max_bytes = max_conversation_bytes
        self.closed = False  # the stream has ended, nothing more is to be sent
        self._failure: Exception | None = None
        self._all_sent = False
        self._num_sent = 0
        self._open: dict[int, _Sent] = {}

    def send(self, value: RequestLike) -> pb.ModerateBatchRequest:
        """Note the next request and put it on the wire.

        One that we refuse ourselves travels as an empty request, which no server judges: so its
        error comes back in its place, and a stream of nothing but bad rows still moves.
        """
        sent, wire = _write(value, self._max_bytes)
        self._open[self._num_sent] = sent
        self._num_sent += 1
        return pb.ModerateBatchRequest(request=wire)

    def end(self, failure: Exception | None = None) -> None:
        """Nothing more will be sent, or the caller's iterable failed."""
        self._failure, self._all_sent = failure, failure is None

    def receive(self, answer: Any) -> BatchItem:
        """The item for an answer; ServerError if nothing waits for it."""
        sent = self._open.pop(answer.index, None)
        if sent is None:
            raise unreadable(f"the server answered request {answer.index}, which does not wait")
        return _read(answer, sent)

    def check_settled(self) -> None:
        """Raise what the caller's iterable raised, or ServerError if requests went unanswered."""
        if self._failure is not None:
            raise self._failure
        if self._open or not self._all_sent:
            raise unreadable(f"the stream ended with {len(self._open)} requests unanswered")


def _write(value: RequestLike, max_bytes: int) -> tuple[_Sent, pb.ModerateRequest]:
    try:
        wire = request_to_wire(request_from(value))
        _check_size(wire, max_bytes)
    except InvalidRequest as error:
        wire = pb.ModerateRequest(request_id=_id_of_refused(value))
        return _Sent(wire.request_id, error), wire
    return _Sent(wire.request_id, None), wire


def _check_size(wire: Any, max_bytes: int) -> None:
    """The server's own check, made here: gRPC ends the whole stream at a message far too large."""
    if not max_bytes or wire.ByteSize() <= max_bytes:
        return
    texts = [text for message in wire.messages for text in (message.content, message.name)]
    calls = [call for message in wire.messages for call in message.tool_calls]
    texts += [text for call in calls for text in (call.name, call.arguments_json)]
    if (num_bytes := sum(len(text.encode()) for text in texts)) > max_bytes:
        problem = f"{num_bytes} UTF-8 bytes, at most {max_bytes} are judged"
        raise refusal("messages", problem, "CONVERSATION_TOO_LONG")


def _id_of_refused(value: Any) -> str:
    try:
        return request_id_of(value)
    except InvalidRequest:
        return request_id_of(None)


def _read(answer: Any, sent: _Sent) -> BatchItem:
    if sent.refused is not None:
        return BatchItem(answer.index, sent.request_id, error=sent.refused)
    try:
        if answer.WhichOneof("result") == "error":
            raise error_from_status(answer.error)
        moderation = moderation_from_wire(answer.response, sent.request_id)
    except GuardError as error:
        return BatchItem(answer.index, sent.request_id, error=error)
    return BatchItem(answer.index, sent.request_id, moderation)
