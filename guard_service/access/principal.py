"""Who calls: what came with the call, and what it proves."""

from dataclasses import dataclass, field

from guard_service.batching.entry import Lane
from guard_service.errors import Forbidden
from guard_service.review.account import Role


@dataclass(frozen=True, slots=True)
class Credentials:
    """What came with one call."""

    authorization: tuple[str, ...] = field(default=(), repr=False)  # the headers of that name
    uris: tuple[str, ...] = ()  # of the client's certificate, which TLS has verified
    certificate_expires_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who proved who they are; None allows every policy, lane or act on review items."""

    tenant: str
    name: str
    policies: frozenset[str] | None = None
    lanes: frozenset[Lane] | None = None
    roles: frozenset[Role] | None = None  # empty: nothing of the review queue
    is_cleared: bool = False  # whoever has roles: for the categories that are kept from others

    def may_use(self, policy: str) -> bool:
        return self.policies is None or policy in self.policies

    def check_policy(self, policy: str) -> None:
        if not self.may_use(policy):
            raise Forbidden("policy: not one that this caller may use")

    def check_lane(self, lane: Lane) -> None:
        if self.lanes is not None and lane not in self.lanes:
            raise Forbidden(f"this caller may not use the {lane.value} lane")

    def check_roles(self, allowed: frozenset[Role]) -> None:
        if self.roles is not None and self.roles.isdisjoint(allowed):
            needed = ", ".join(sorted(role.value for role in allowed))
            raise Forbidden(f"roles: this is for {needed}")

    def withheld(self, restricted: tuple[str, ...]) -> tuple[str, ...]:
        """Which of these categories are kept from the caller."""
        return () if self.roles is None or self.is_cleared else restricted


# Whoever calls a server that asks for no credentials: of no tenant, and free to do all.
ANYONE = Principal("", "")
