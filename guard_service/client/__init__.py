"""The Python client of the moderation service: needs neither torch nor the server.

with GuardClient("localhost:50051") as guard:
    if not guard.moderate([{"role": "user", "content": text}]).is_allowed: ...
"""

from guard_service.client.aio import AsyncGuardClient as AsyncGuardClient
from guard_service.client.answer import Action as Action
from guard_service.client.answer import Assessment as Assessment
from guard_service.client.answer import CategoryScore as CategoryScore
from guard_service.client.answer import Coverage as Coverage
from guard_service.client.answer import Limits as Limits
from guard_service.client.answer import Moderation as Moderation
from guard_service.client.answer import Policy as Policy
from guard_service.client.answer import PolicyCategory as PolicyCategory
from guard_service.client.answer import Reading as Reading
from guard_service.client.answer import ReviewItem as ReviewItem
from guard_service.client.answer import ReviewReason as ReviewReason
from guard_service.client.answer import ServerInfo as ServerInfo
from guard_service.client.answer import TextSign as TextSign
from guard_service.client.answer import Timings as Timings
from guard_service.client.answer import Usage as Usage
from guard_service.client.answer import Verdict as Verdict
from guard_service.client.attempt import Offline as Offline
from guard_service.client.batch import BatchItem as BatchItem
from guard_service.client.connection import Tls as Tls
from guard_service.client.errors import Conflict as Conflict
from guard_service.client.errors import DeadlineExceeded as DeadlineExceeded
from guard_service.client.errors import GuardError as GuardError
from guard_service.client.errors import InvalidRequest as InvalidRequest
from guard_service.client.errors import Overloaded as Overloaded
from guard_service.client.errors import PermissionDenied as PermissionDenied
from guard_service.client.errors import QuotaExceeded as QuotaExceeded
from guard_service.client.errors import ServerError as ServerError
from guard_service.client.errors import Unauthenticated as Unauthenticated
from guard_service.client.errors import Unavailable as Unavailable
from guard_service.client.errors import Violation as Violation
from guard_service.client.feed import FeedEvent as FeedEvent
from guard_service.client.message import Judge as Judge
from guard_service.client.message import Message as Message
from guard_service.client.message import ModerationRequest as ModerationRequest
from guard_service.client.message import OnUnavailable as OnUnavailable
from guard_service.client.message import Role as Role
from guard_service.client.message import ToolCall as ToolCall
from guard_service.client.review import Claim as Claim
from guard_service.client.review import Outcome as Outcome
from guard_service.client.review import ReviewClient as ReviewClient
from guard_service.client.sync import GuardClient as GuardClient
from guard_service.client.target import Target as Target
