"""From the wire's messages to our dataclasses, by the names of fields and enum members."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from guard_service.client.answer import Assessment, Moderation, Policy
from guard_service.client.errors import unreadable

D = TypeVar("D")


def moderation_from_wire(wire: Any, request_id: str) -> Moderation:
    """The answer to this request; ServerError where it is not one that may be acted on."""
    if wire.request_id != request_id:
        raise unreadable("the server answered another request than the one asked")
    moderation = from_wire(Moderation, wire)
    if (moderation.verdict is None) != (moderation.assessment is Assessment.UNAVAILABLE):
        raise unreadable("the server's assessment and its verdict contradict each other")
    return moderation


def policies_from_wire(page: Any) -> list[Policy]:
    default = page.default_policy
    return [from_wire(Policy, wire, is_default=wire.id == default) for wire in page.policies]


def from_wire(kind: type[D], message: Any, **given: Any) -> D:
    """A dataclass of the message's fields of the same names, and of what is `given`."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    read = {f.name: _field(f.type, message, f.name) for f in fields if f.name not in given}
    return kind(**read, **given)


def _field(kind: Any, message: Any, name: str) -> Any:
    value = getattr(message, name)
    if kind in (str, int, float, bool):  # most fields, so first
        return value
    inner: Any = next(iter(get_args(kind)), None)
    if get_origin(kind) is UnionType:  # ours is None where theirs is absent
        return _value(inner, value) if message.HasField(name) else None
    wire = message.DESCRIPTOR.fields_by_name[name].enum_type
    if get_origin(kind) is tuple:
        return tuple(_member(inner, wire, n) if wire else _value(inner, n) for n in value)
    if get_origin(kind) is Mapping:
        return dict(value)
    if issubclass(kind, Enum):
        return _member(kind, wire, value)
    return _value(kind, value)


def _value(kind: Any, value: Any) -> Any:
    if kind is datetime:
        return value.ToDatetime(tzinfo=UTC)
    return from_wire(kind, value) if hasattr(value, "DESCRIPTOR") else value


def _member(kind: type[Enum], wire: Any, number: int) -> Enum:
    """Our member of that name; without one UNKNOWN where `kind` has that, else ServerError.

    What decides (Action, Assessment) has no UNKNOWN: neither UNSPECIFIED nor a number newer than
    this client may ever be read as "allow".
    """
    prefix = wire.values_by_number[0].name.removesuffix("UNSPECIFIED")
    known = wire.values_by_number.get(number)
    name = known.name.removeprefix(prefix) if known else "UNKNOWN"
    member = kind.__members__.get(name) or kind.__members__.get("UNKNOWN")
    if member is None:
        raise unreadable(f"the server sent {kind.__name__} {number}, which means nothing here")
    return member
