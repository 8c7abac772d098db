import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from guard_service.v1 import moderation_pb2 as _moderation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_UPHELD: _ClassVar[Outcome]
    OUTCOME_OVERTURNED: _ClassVar[Outcome]

class ReviewReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVIEW_REASON_UNSPECIFIED: _ClassVar[ReviewReason]
    REVIEW_REASON_BLOCKED: _ClassVar[ReviewReason]
    REVIEW_REASON_UNCERTAIN: _ClassVar[ReviewReason]
    REVIEW_REASON_FLAGGED: _ClassVar[ReviewReason]
    REVIEW_REASON_SAMPLED: _ClassVar[ReviewReason]
    REVIEW_REASON_TEXT_SIGN: _ClassVar[ReviewReason]
    REVIEW_REASON_UNAVAILABLE: _ClassVar[ReviewReason]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_UPHELD: Outcome
OUTCOME_OVERTURNED: Outcome
REVIEW_REASON_UNSPECIFIED: ReviewReason
REVIEW_REASON_BLOCKED: ReviewReason
REVIEW_REASON_UNCERTAIN: ReviewReason
REVIEW_REASON_FLAGGED: ReviewReason
REVIEW_REASON_SAMPLED: ReviewReason
REVIEW_REASON_TEXT_SIGN: ReviewReason
REVIEW_REASON_UNAVAILABLE: ReviewReason

class ReviewItem(_message.Message):
    __slots__ = ("id", "request_id", "created_at", "reason", "action", "judged_role", "unsafe_score", "codes", "policy", "policy_version", "model", "conversation_digest", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    JUDGED_ROLE_FIELD_NUMBER: _ClassVar[int]
    UNSAFE_SCORE_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    id: str
    request_id: str
    created_at: _timestamp_pb2.Timestamp
    reason: ReviewReason
    action: _moderation_pb2.Action
    judged_role: _moderation_pb2.Role
    unsafe_score: float
    codes: _containers.RepeatedScalarFieldContainer[str]
    policy: str
    policy_version: str
    model: str
    conversation_digest: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., request_id: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[_Union[ReviewReason, str]] = ..., action: _Optional[_Union[_moderation_pb2.Action, str]] = ..., judged_role: _Optional[_Union[_moderation_pb2.Role, str]] = ..., unsafe_score: _Optional[float] = ..., codes: _Optional[_Iterable[str]] = ..., policy: _Optional[str] = ..., policy_version: _Optional[str] = ..., model: _Optional[str] = ..., conversation_digest: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ListReviewItemsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReviewItemsResponse(_message.Message):
    __slots__ = ("items", "next_page_token")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ReviewItem]
    next_page_token: str
    def __init__(self, items: _Optional[_Iterable[_Union[ReviewItem, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetReviewItemRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetReviewItemResponse(_message.Message):
    __slots__ = ("item", "outcome", "appealed", "resolutions")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    APPEALED_FIELD_NUMBER: _ClassVar[int]
    RESOLUTIONS_FIELD_NUMBER: _ClassVar[int]
    item: ReviewItem
    outcome: Outcome
    appealed: bool
    resolutions: _containers.RepeatedCompositeFieldContainer[Resolution]
    def __init__(self, item: _Optional[_Union[ReviewItem, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., appealed: bool = ..., resolutions: _Optional[_Iterable[_Union[Resolution, _Mapping]]] = ...) -> None: ...

class Resolution(_message.Message):
    __slots__ = ("reviewer", "outcome", "codes", "resolved_at")
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_AT_FIELD_NUMBER: _ClassVar[int]
    reviewer: str
    outcome: Outcome
    codes: _containers.RepeatedScalarFieldContainer[str]
    resolved_at: _timestamp_pb2.Timestamp
    def __init__(self, reviewer: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., codes: _Optional[_Iterable[str]] = ..., resolved_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ClaimReviewItemRequest(_message.Message):
    __slots__ = ("request_id", "reviewer", "categories", "languages", "lease_s", "tenant")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    reviewer: str
    categories: _containers.RepeatedScalarFieldContainer[str]
    languages: _containers.RepeatedScalarFieldContainer[str]
    lease_s: int
    tenant: str
    def __init__(self, request_id: _Optional[str] = ..., reviewer: _Optional[str] = ..., categories: _Optional[_Iterable[str]] = ..., languages: _Optional[_Iterable[str]] = ..., lease_s: _Optional[int] = ..., tenant: _Optional[str] = ...) -> None: ...

class ClaimReviewItemResponse(_message.Message):
    __slots__ = ("claim",)
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    claim: Claim
    def __init__(self, claim: _Optional[_Union[Claim, _Mapping]] = ...) -> None: ...

class Claim(_message.Message):
    __slots__ = ("item", "token", "lease_until", "messages")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    item: ReviewItem
    token: int
    lease_until: _timestamp_pb2.Timestamp
    messages: _containers.RepeatedCompositeFieldContainer[_moderation_pb2.Message]
    def __init__(self, item: _Optional[_Union[ReviewItem, _Mapping]] = ..., token: _Optional[int] = ..., lease_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., messages: _Optional[_Iterable[_Union[_moderation_pb2.Message, _Mapping]]] = ...) -> None: ...

class RenewClaimRequest(_message.Message):
    __slots__ = ("item_id", "token", "reviewer", "lease_s")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    token: int
    reviewer: str
    lease_s: int
    def __init__(self, item_id: _Optional[str] = ..., token: _Optional[int] = ..., reviewer: _Optional[str] = ..., lease_s: _Optional[int] = ...) -> None: ...

class RenewClaimResponse(_message.Message):
    __slots__ = ("claim",)
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    claim: Claim
    def __init__(self, claim: _Optional[_Union[Claim, _Mapping]] = ...) -> None: ...

class ReleaseReviewItemRequest(_message.Message):
    __slots__ = ("request_id", "item_id", "token", "reviewer")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    item_id: str
    token: int
    reviewer: str
    def __init__(self, request_id: _Optional[str] = ..., item_id: _Optional[str] = ..., token: _Optional[int] = ..., reviewer: _Optional[str] = ...) -> None: ...

class ReleaseReviewItemResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResolveReviewItemRequest(_message.Message):
    __slots__ = ("request_id", "item_id", "token", "reviewer", "outcome", "codes")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    item_id: str
    token: int
    reviewer: str
    outcome: Outcome
    codes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_id: _Optional[str] = ..., item_id: _Optional[str] = ..., token: _Optional[int] = ..., reviewer: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., codes: _Optional[_Iterable[str]] = ...) -> None: ...

class ResolveReviewItemResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AppealReviewItemRequest(_message.Message):
    __slots__ = ("request_id", "item_id", "reviewer")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    item_id: str
    reviewer: str
    def __init__(self, request_id: _Optional[str] = ..., item_id: _Optional[str] = ..., reviewer: _Optional[str] = ...) -> None: ...

class AppealReviewItemResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MarkGoldenItemRequest(_message.Message):
    __slots__ = ("item_id",)
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    def __init__(self, item_id: _Optional[str] = ...) -> None: ...

class MarkGoldenItemResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchReviewFeedRequest(_message.Message):
    __slots__ = ("cursor", "tenant")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    tenant: str
    def __init__(self, cursor: _Optional[str] = ..., tenant: _Optional[str] = ...) -> None: ...

class WatchReviewFeedResponse(_message.Message):
    __slots__ = ("cursor", "event")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    event: str
    def __init__(self, cursor: _Optional[str] = ..., event: _Optional[str] = ...) -> None: ...
