from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_USER: _ClassVar[Role]
    ROLE_ASSISTANT: _ClassVar[Role]
    ROLE_SYSTEM: _ClassVar[Role]
    ROLE_TOOL: _ClassVar[Role]

class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_UNSPECIFIED: _ClassVar[Action]
    ACTION_ALLOW: _ClassVar[Action]
    ACTION_BLOCK: _ClassVar[Action]

class Assessment(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ASSESSMENT_UNSPECIFIED: _ClassVar[Assessment]
    ASSESSMENT_COMPLETE: _ClassVar[Assessment]
    ASSESSMENT_PARTIAL: _ClassVar[Assessment]
    ASSESSMENT_UNAVAILABLE: _ClassVar[Assessment]

class OnUnavailable(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_UNAVAILABLE_UNSPECIFIED: _ClassVar[OnUnavailable]
    ON_UNAVAILABLE_ALLOW: _ClassVar[OnUnavailable]
    ON_UNAVAILABLE_BLOCK: _ClassVar[OnUnavailable]
    ON_UNAVAILABLE_ERROR: _ClassVar[OnUnavailable]

class HazardCategory(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HAZARD_CATEGORY_UNSPECIFIED: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_VIOLENT_CRIMES: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_NON_VIOLENT_CRIMES: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_SEX_RELATED_CRIMES: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_CHILD_SEXUAL_EXPLOITATION: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_DEFAMATION: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_SPECIALIZED_ADVICE: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_PRIVACY: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_INTELLECTUAL_PROPERTY: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_INDISCRIMINATE_WEAPONS: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_HATE: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_SUICIDE_AND_SELF_HARM: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_SEXUAL_CONTENT: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_ELECTIONS: _ClassVar[HazardCategory]
    HAZARD_CATEGORY_CODE_INTERPRETER_ABUSE: _ClassVar[HazardCategory]

class Judge(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JUDGE_UNSPECIFIED: _ClassVar[Judge]
    JUDGE_LAST: _ClassVar[Judge]
    JUDGE_ALL: _ClassVar[Judge]

class TextSign(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_SIGN_UNSPECIFIED: _ClassVar[TextSign]
    TEXT_SIGN_DELIMITER: _ClassVar[TextSign]
    TEXT_SIGN_ROLE: _ClassVar[TextSign]
    TEXT_SIGN_HIDDEN: _ClassVar[TextSign]
    TEXT_SIGN_BIDI: _ClassVar[TextSign]
    TEXT_SIGN_INVISIBLE: _ClassVar[TextSign]
    TEXT_SIGN_LOOKALIKE: _ClassVar[TextSign]
    TEXT_SIGN_UNSUPPORTED_LANGUAGE: _ClassVar[TextSign]
ROLE_UNSPECIFIED: Role
ROLE_USER: Role
ROLE_ASSISTANT: Role
ROLE_SYSTEM: Role
ROLE_TOOL: Role
ACTION_UNSPECIFIED: Action
ACTION_ALLOW: Action
ACTION_BLOCK: Action
ASSESSMENT_UNSPECIFIED: Assessment
ASSESSMENT_COMPLETE: Assessment
ASSESSMENT_PARTIAL: Assessment
ASSESSMENT_UNAVAILABLE: Assessment
ON_UNAVAILABLE_UNSPECIFIED: OnUnavailable
ON_UNAVAILABLE_ALLOW: OnUnavailable
ON_UNAVAILABLE_BLOCK: OnUnavailable
ON_UNAVAILABLE_ERROR: OnUnavailable
HAZARD_CATEGORY_UNSPECIFIED: HazardCategory
HAZARD_CATEGORY_VIOLENT_CRIMES: HazardCategory
HAZARD_CATEGORY_NON_VIOLENT_CRIMES: HazardCategory
HAZARD_CATEGORY_SEX_RELATED_CRIMES: HazardCategory
HAZARD_CATEGORY_CHILD_SEXUAL_EXPLOITATION: HazardCategory
HAZARD_CATEGORY_DEFAMATION: HazardCategory
HAZARD_CATEGORY_SPECIALIZED_ADVICE: HazardCategory
HAZARD_CATEGORY_PRIVACY: HazardCategory
HAZARD_CATEGORY_INTELLECTUAL_PROPERTY: HazardCategory
HAZARD_CATEGORY_INDISCRIMINATE_WEAPONS: HazardCategory
HAZARD_CATEGORY_HATE: HazardCategory
HAZARD_CATEGORY_SUICIDE_AND_SELF_HARM: HazardCategory
HAZARD_CATEGORY_SEXUAL_CONTENT: HazardCategory
HAZARD_CATEGORY_ELECTIONS: HazardCategory
HAZARD_CATEGORY_CODE_INTERPRETER_ABUSE: HazardCategory
JUDGE_UNSPECIFIED: Judge
JUDGE_LAST: Judge
JUDGE_ALL: Judge
TEXT_SIGN_UNSPECIFIED: TextSign
TEXT_SIGN_DELIMITER: TextSign
TEXT_SIGN_ROLE: TextSign
TEXT_SIGN_HIDDEN: TextSign
TEXT_SIGN_BIDI: TextSign
TEXT_SIGN_INVISIBLE: TextSign
TEXT_SIGN_LOOKALIKE: TextSign
TEXT_SIGN_UNSUPPORTED_LANGUAGE: TextSign

class ToolCall(_message.Message):
    __slots__ = ("name", "arguments_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    arguments_json: str
    def __init__(self, name: _Optional[str] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("role", "content", "tool_calls", "name")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    role: Role
    content: str
    tool_calls: _containers.RepeatedCompositeFieldContainer[ToolCall]
    name: str
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., content: _Optional[str] = ..., tool_calls: _Optional[_Iterable[_Union[ToolCall, _Mapping]]] = ..., name: _Optional[str] = ...) -> None: ...

class ModerateRequest(_message.Message):
    __slots__ = ("request_id", "messages", "policy", "on_unavailable", "labels", "judge", "include_readings")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    ON_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    JUDGE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_READINGS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    policy: str
    on_unavailable: OnUnavailable
    labels: _containers.ScalarMap[str, str]
    judge: Judge
    include_readings: bool
    def __init__(self, request_id: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ..., policy: _Optional[str] = ..., on_unavailable: _Optional[_Union[OnUnavailable, str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., judge: _Optional[_Union[Judge, str]] = ..., include_readings: bool = ...) -> None: ...

class CategoryScore(_message.Message):
    __slots__ = ("category", "code", "name", "score", "flagged")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    FLAGGED_FIELD_NUMBER: _ClassVar[int]
    category: HazardCategory
    code: str
    name: str
    score: float
    flagged: bool
    def __init__(self, category: _Optional[_Union[HazardCategory, str]] = ..., code: _Optional[str] = ..., name: _Optional[str] = ..., score: _Optional[float] = ..., flagged: bool = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("unsafe_score", "label_mass", "first_scores", "listed")
    UNSAFE_SCORE_FIELD_NUMBER: _ClassVar[int]
    LABEL_MASS_FIELD_NUMBER: _ClassVar[int]
    FIRST_SCORES_FIELD_NUMBER: _ClassVar[int]
    LISTED_FIELD_NUMBER: _ClassVar[int]
    unsafe_score: float
    label_mass: float
    first_scores: _containers.RepeatedScalarFieldContainer[float]
    listed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, unsafe_score: _Optional[float] = ..., label_mass: _Optional[float] = ..., first_scores: _Optional[_Iterable[float]] = ..., listed: _Optional[_Iterable[str]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("unsafe", "unsafe_score", "categories", "label_mass", "message", "cleaned")
    UNSAFE_FIELD_NUMBER: _ClassVar[int]
    UNSAFE_SCORE_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    LABEL_MASS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CLEANED_FIELD_NUMBER: _ClassVar[int]
    unsafe: bool
    unsafe_score: float
    categories: _containers.RepeatedCompositeFieldContainer[CategoryScore]
    label_mass: float
    message: int
    cleaned: bool
    def __init__(self, unsafe: bool = ..., unsafe_score: _Optional[float] = ..., categories: _Optional[_Iterable[_Union[CategoryScore, _Mapping]]] = ..., label_mass: _Optional[float] = ..., message: _Optional[int] = ..., cleaned: bool = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("judged_chars", "total_chars", "windows")
    JUDGED_CHARS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_CHARS_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    judged_chars: int
    total_chars: int
    windows: int
    def __init__(self, judged_chars: _Optional[int] = ..., total_chars: _Optional[int] = ..., windows: _Optional[int] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("prompt_tokens", "cached_tokens")
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    prompt_tokens: int
    cached_tokens: int
    def __init__(self, prompt_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue_ms", "inference_ms", "total_ms", "batch_size")
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    queue_ms: float
    inference_ms: float
    total_ms: float
    batch_size: int
    def __init__(self, queue_ms: _Optional[float] = ..., inference_ms: _Optional[float] = ..., total_ms: _Optional[float] = ..., batch_size: _Optional[int] = ...) -> None: ...

class ModerateResponse(_message.Message):
    __slots__ = ("request_id", "action", "review", "review_item_id", "assessment", "verdict", "coverage", "usage", "timings", "policy", "policy_version", "model", "text_signs", "readings")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    REVIEW_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEXT_SIGNS_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    action: Action
    review: bool
    review_item_id: str
    assessment: Assessment
    verdict: Verdict
    coverage: Coverage
    usage: Usage
    timings: Timings
    policy: str
    policy_version: str
    model: str
    text_signs: _containers.RepeatedScalarFieldContainer[TextSign]
    readings: _containers.RepeatedCompositeFieldContainer[Reading]
    def __init__(self, request_id: _Optional[str] = ..., action: _Optional[_Union[Action, str]] = ..., review: bool = ..., review_item_id: _Optional[str] = ..., assessment: _Optional[_Union[Assessment, str]] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., policy: _Optional[str] = ..., policy_version: _Optional[str] = ..., model: _Optional[str] = ..., text_signs: _Optional[_Iterable[_Union[TextSign, str]]] = ..., readings: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ...) -> None: ...

class ModerateBatchRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: ModerateRequest
    def __init__(self, request: _Optional[_Union[ModerateRequest, _Mapping]] = ...) -> None: ...

class ModerateBatchResponse(_message.Message):
    __slots__ = ("request_id", "index", "response", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    index: int
    response: ModerateResponse
    error: _status_pb2.Status
    def __init__(self, request_id: _Optional[str] = ..., index: _Optional[int] = ..., response: _Optional[_Union[ModerateResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class ListPoliciesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class PolicyCategory(_message.Message):
    __slots__ = ("category", "code", "name", "definition", "threshold", "action")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    category: HazardCategory
    code: str
    name: str
    definition: str
    threshold: float
    action: Action
    def __init__(self, category: _Optional[_Union[HazardCategory, str]] = ..., code: _Optional[str] = ..., name: _Optional[str] = ..., definition: _Optional[str] = ..., threshold: _Optional[float] = ..., action: _Optional[_Union[Action, str]] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("id", "version", "digest", "description", "threshold", "on_unavailable", "categories")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ON_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: str
    digest: str
    description: str
    threshold: float
    on_unavailable: OnUnavailable
    categories: _containers.RepeatedCompositeFieldContainer[PolicyCategory]
    def __init__(self, id: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., description: _Optional[str] = ..., threshold: _Optional[float] = ..., on_unavailable: _Optional[_Union[OnUnavailable, str]] = ..., categories: _Optional[_Iterable[_Union[PolicyCategory, _Mapping]]] = ...) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policies", "next_page_token", "default_policy")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_POLICY_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    next_page_token: str
    default_policy: str
    def __init__(self, policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., default_policy: _Optional[str] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_messages", "max_conversation_bytes", "max_window_tokens", "max_concurrent_requests")
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_CONVERSATION_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_WINDOW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    max_messages: int
    max_conversation_bytes: int
    max_window_tokens: int
    max_concurrent_requests: int
    def __init__(self, max_messages: _Optional[int] = ..., max_conversation_bytes: _Optional[int] = ..., max_window_tokens: _Optional[int] = ..., max_concurrent_requests: _Optional[int] = ...) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("model", "model_digest", "device", "dtype", "development_model", "server_version", "limits")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DEVELOPMENT_MODEL_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_digest: str
    device: str
    dtype: str
    development_model: bool
    server_version: str
    limits: Limits
    def __init__(self, model: _Optional[str] = ..., model_digest: _Optional[str] = ..., device: _Optional[str] = ..., dtype: _Optional[str] = ..., development_model: bool = ..., server_version: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...
