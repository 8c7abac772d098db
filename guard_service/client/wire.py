"""Between the wire's enums and flat messages and ours, by their names."""

import dataclasses
from enum import Enum
from typing import Any, TypeVar

from guard_service.client.errors import unreadable

E = TypeVar("E", bound=Enum)
D = TypeVar("D")


def enum_to_wire(member: Enum, wire: Any) -> Any:
    return wire.Value(_prefix(wire) + member.name)


def enum_from_wire(kind: type[E], wire: Any, number: int) -> E:
    """Our member of that name; without one UNKNOWN where `kind` has that, else ServerError.

    What decides (Action, Assessment) has no UNKNOWN: neither UNSPECIFIED nor a number newer than
    this client may ever be read as "allow".
    """
    known = wire.DESCRIPTOR.values_by_number.get(number)
    name = known.name.removeprefix(_prefix(wire)) if known else "UNKNOWN"
    member = kind.__members__.get(name) or kind.__members__.get("UNKNOWN")
    if member is None:
        raise unreadable(f"the server sent {kind.__name__} {number}, which means nothing here")
    return member


def from_wire(kind: type[D], message: Any, **converted: Any) -> D:
    """A dataclass of what is `converted` and, for the rest, the fields of the same names."""
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    copied = {name: getattr(message, name) for name in names - converted.keys()}
    return kind(**copied, **converted)


def _prefix(wire: Any) -> str:
    return str(wire.Name(0)).removesuffix("UNSPECIFIED")
