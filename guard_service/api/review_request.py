"""From the wire's messages to what the queue is asked. Names every problem at once."""

import re
from collections.abc import Iterator, Sequence

from guard_service.access.principal import Principal
from guard_service.api.request import MAX_ID_BYTES, MAX_LABEL_BYTES
from guard_service.errors import Forbidden, InvalidRequest, Violation
from guard_service.review.claim import Answer, Held, Reviewer, Route
from guard_service.review.item import Outcome
from guard_service.v1 import review_pb2 as pb

_MAX_LEASE_S = 3600
_MAX_CODES = 30
_CODE = re.compile(r"S[1-9][0-9]?")
_OUTCOMES = {pb.OUTCOME_UPHELD: Outcome.UPHELD, pb.OUTCOME_OVERTURNED: Outcome.OVERTURNED}

_Acting = (
    pb.RenewClaimRequest
    | pb.ReleaseReviewItemRequest
    | pb.ResolveReviewItemRequest
    | pb.AppealReviewItemRequest
)


def tenant_of(principal: Principal, asked: str = "") -> str | None:
    """Whose items are shown: the caller's; a caller without a tenant chooses, or has all."""
    if principal.tenant and asked not in ("", principal.tenant):
        raise Forbidden("tenant: not the one of this caller")
    return principal.tenant or asked or None


def reviewer_of(
    request: _Acting | pb.ClaimReviewItemRequest, principal: Principal, tenant: str = ""
) -> Reviewer:
    """Who acts: whom the credential names, so that nobody takes a second look as somebody else."""
    if principal.name and request.reviewer not in ("", principal.name):
        raise Forbidden("reviewer: not the name of this caller")
    name = principal.name or request.reviewer
    violations = list(_id_violations(request))
    if not name or len(name.encode()) > MAX_ID_BYTES:
        violations.append(Violation("reviewer", f"must have 1 to {MAX_ID_BYTES} bytes"))
    _refuse(violations)
    return Reviewer(name, tenant_of(principal, tenant))


def route_from_request(request: pb.ClaimReviewItemRequest, withheld: tuple[str, ...] = ()) -> Route:
    violations = list(_codes_violations("categories", request.categories))
    if len(request.languages) > _MAX_CODES:
        violations.append(Violation("languages", f"at most {_MAX_CODES}"))
    if any(len(each.encode()) > MAX_LABEL_BYTES for each in request.languages):
        violations.append(Violation("languages", f"each has at most {MAX_LABEL_BYTES} bytes"))
    _refuse(violations)
    return Route(tuple(request.categories), tuple(request.languages), withheld)


def held_from_request(
    request: pb.RenewClaimRequest | pb.ReleaseReviewItemRequest | pb.ResolveReviewItemRequest,
) -> Held:
    return Held(item_id_of(request.item_id, "item_id"), request.token)


def item_id_of(text: str, field: str) -> str:
    """An id that the database can be asked for: one that it cannot hold has no item."""
    if not re.fullmatch(r"[0-9a-f]{32}", text):
        _refuse([Violation(field, "must be 32 hexadecimal digits")])
    return text


def answer_from_request(request: pb.ResolveReviewItemRequest) -> Answer:
    violations = list(_codes_violations("codes", request.codes))
    if request.outcome not in _OUTCOMES:
        violations.append(Violation("outcome", "must be UPHELD or OVERTURNED"))
    _refuse(violations)
    return Answer(_OUTCOMES[request.outcome], tuple(dict.fromkeys(request.codes)))


def lease_s(asked: int, default: float) -> float:
    if not 0 <= asked <= _MAX_LEASE_S:
        _refuse([Violation("lease_s", f"must be 0 to {_MAX_LEASE_S}")])
    return asked or default


def _id_violations(request: object) -> Iterator[Violation]:
    if len(getattr(request, "request_id", "").encode()) > MAX_ID_BYTES:
        yield Violation("request_id", f"at most {MAX_ID_BYTES} bytes")


def _codes_violations(field: str, codes: Sequence[str]) -> Iterator[Violation]:
    if len(codes) > _MAX_CODES:
        yield Violation(field, f"at most {_MAX_CODES}")
    if not all(map(_CODE.fullmatch, codes)):
        yield Violation(field, "a category is S1 to S99")


def _refuse(violations: list[Violation]) -> None:
    if violations:
        raise InvalidRequest(tuple(violations))
