"""From what review holds to the wire's messages. Decides nothing."""

from google.protobuf.timestamp_pb2 import Timestamp

from guard_service.api.reply import review_item_message, wire_name
from guard_service.conversation import Message
from guard_service.review.claim import Claim
from guard_service.review.item import Record, Resolution
from guard_service.v1 import moderation_pb2
from guard_service.v1 import review_pb2 as pb


def record_message(record: Record) -> pb.GetReviewItemResponse:
    return pb.GetReviewItemResponse(
        item=review_item_message(record.item),
        outcome=wire_name(record.outcome) if record.outcome else None,
        appealed=record.is_appealed,
        resolutions=[_resolution(each) for each in record.resolutions],
    )


def claim_message(claim: Claim) -> pb.Claim:
    conversation, until = claim.item.conversation, Timestamp()
    until.FromDatetime(claim.lease_until)
    return pb.Claim(
        item=review_item_message(claim.item),
        token=claim.token,
        lease_until=until,
        messages=[_message(each) for each in conversation.messages] if conversation else (),
    )


def feed_message(position: int, event: str = "") -> pb.WatchReviewFeedResponse:
    return pb.WatchReviewFeedResponse(cursor=str(position), event=event)


def _resolution(resolution: Resolution) -> pb.Resolution:
    at = Timestamp()
    at.FromDatetime(resolution.resolved_at)
    return pb.Resolution(
        reviewer=resolution.reviewer,
        outcome=wire_name(resolution.outcome),
        codes=resolution.codes,
        resolved_at=at,
    )


def _message(message: Message) -> moderation_pb2.Message:
    calls = [
        moderation_pb2.ToolCall(name=call.name, arguments_json=call.arguments_json)
        for call in message.tool_calls
    ]
    return moderation_pb2.Message(
        role=wire_name(message.role), content=message.content, tool_calls=calls, name=message.name
    )
