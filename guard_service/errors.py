"""Every error that we raise on purpose. The ground of the house: knows nothing of gRPC.

GuardError
├── InvalidRequest          the caller can mend it; names the field
│   ├── MalformedRequest
│   ├── ConversationTooLong
│   ├── PolicyUnknown
│   └── PromptQuarantined   not by trying again: it kills engines
├── Unauthenticated         one text, whatever is wrong with the credential
│   └── LoginRefused        to a browser, which is told why
├── Forbidden               known, but not allowed this
├── ReviewItemUnknown       or another tenant's: nobody can tell which
├── CursorUnknown           the feed does not go there; begin anew
├── ClaimLost               the lease ended; claim again
├── ReviewItemState         the item is not where it would have to be
│   ├── NotResolved
│   └── NotAppealable
├── AuditBroken             the audit log is not what was written
├── Overloaded              try again later
├── QuotaExceeded           try again when the quota allows it
├── Unavailable             we cannot do it now
│   ├── DeadlineExceeded
│   ├── EngineUnavailable
│   ├── StoreUnavailable
│   └── SinkUnavailable     a broker or webhook; only the relay sees it
├── ReadingRejected         the model's output cannot be trusted
├── ScreeningRefused        the files in, or what an earlier run left, do not allow it
├── ScreeningStopped        as asked; the same command goes on
└── StartupRefused          for the operator, before serving
    ├── SettingsInvalid
    ├── AccessInvalid
    ├── PolicyInvalid
    ├── CheckpointRefused
    ├── DownloadFailed
    └── CanaryFailed
"""

from dataclasses import dataclass, field


class GuardError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a request; never quotes the value."""

    field: str
    problem: str


@dataclass(eq=False)
class InvalidRequest(GuardError):
    """The request cannot be judged as it is."""

    violations: tuple[Violation, ...] = field(default=())

    def __post_init__(self) -> None:
        super().__init__("; ".join(f"{v.field}: {v.problem}" for v in self.violations) or None)


class MalformedRequest(InvalidRequest):
    """The bytes are not the protobuf message of this method."""


class ConversationTooLong(InvalidRequest):
    """The conversation is over a hard limit; it was not judged, not even in part."""


class PolicyUnknown(InvalidRequest):
    """The request names a policy that this server does not have."""


class PromptQuarantined(InvalidRequest):
    """Engines died while they read this prompt, alone at last, so none is given it any more."""

    def __post_init__(self) -> None:
        GuardError.__init__(self, "the engine died over it")


class Unauthenticated(GuardError):
    """No credential that this server accepts came with the call."""


class LoginRefused(Unauthenticated):
    """Nobody was logged in."""


class Forbidden(GuardError):
    """This caller may not do that."""


class ReviewItemUnknown(GuardError):
    """There is no such review item."""


class CursorUnknown(GuardError):
    """The feed no longer keeps what came after this cursor, or has not come so far."""


class ClaimLost(GuardError):
    """The lease on this item has ended, and somebody else may have it; nothing was changed."""


class ReviewItemState(GuardError):
    """The review item cannot be treated like this now."""


class NotResolved(ReviewItemState):
    """The review item is not resolved yet."""


class NotAppealable(ReviewItemState):
    """The review item is not resolved, or was appealed before."""


@dataclass(eq=False)
class AuditBroken(GuardError):
    """The audit log is not what was written; names the first entry that is not."""

    position: int
    problem: str

    def __post_init__(self) -> None:
        super().__init__(f"the audit log is broken: entry {self.position} {self.problem}")


class Overloaded(GuardError):
    """As many requests as the server takes are in flight; try again shortly."""

    retry_after_s = 0.25


@dataclass(frozen=True, slots=True)
class Exhausted:
    """One limit that is reached, and when what was asked for fits again."""

    budget: str
    limit: int
    retry_after_s: float


@dataclass(eq=False)
class QuotaExceeded(GuardError):
    """The quota of this caller is used up."""

    tenant: str = ""
    exhausted: tuple[Exhausted, ...] = ()

    def __post_init__(self) -> None:
        super().__init__("; ".join(f"{e.budget}: {e.limit} are used up" for e in self.exhausted))

    @property
    def retry_after_s(self) -> float:
        return max((each.retry_after_s for each in self.exhausted), default=1.0)


class Unavailable(GuardError):
    """The service cannot answer now."""


class DeadlineExceeded(Unavailable):
    """The call would not be answered before its deadline, so it is not begun."""


class EngineUnavailable(Unavailable):
    """The model is not running; it is being started again."""


class StoreUnavailable(Unavailable):
    """The review item could not be written, so the decision is withheld."""


class SinkUnavailable(Unavailable):
    """What was to be published was not acknowledged."""


class ReadingRejected(GuardError):
    """The model's output is not a trustworthy reading, so there is no verdict."""


class ScreeningRefused(GuardError):
    """The files cannot be screened like this."""


class ScreeningStopped(GuardError):
    """Stopped before the end; nothing is lost, and the same command goes on from here."""


class StartupRefused(GuardError):
    """The service will not start like this."""


class SettingsInvalid(StartupRefused):
    """The settings do not hold together."""


class AccessInvalid(StartupRefused):
    """Who may call cannot be read from these files."""


class PolicyInvalid(StartupRefused):
    """A policy file is wrong."""


class CheckpointRefused(StartupRefused):
    """The model folder is not one that we load."""


class DownloadFailed(StartupRefused):
    """The model could not be fetched."""


class CanaryFailed(StartupRefused):
    """The model reads a known prompt wrongly, so it must not serve."""
