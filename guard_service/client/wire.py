"""From the wire's messages to our dataclasses, by the names of fields and enum members."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from guard_service.client.errors import unreadable

D = TypeVar("D")


def from_wire(kind: type[D], message: Any, **given: Any) -> D:
    """A dataclass of the message's fields of the same names, and of what is `given`."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    read = {f.name: _read(f.type, message, f.name) for f in fields if f.name not in given}
    return kind(**read, **given)


def _read(kind: Any, message: Any, name: str) -> Any:
    value, origin = getattr(message, name), get_origin(kind)
    if origin is UnionType:  # ours is None where theirs is absent
        return _read(get_args(kind)[0], message, name) if message.HasField(name) else None
    if origin is Mapping:
        return dict(value)
    if origin is tuple:
        item = get_args(kind)[0]
        return tuple(
            from_wire(item, each) if dataclasses.is_dataclass(item) else each for each in value
        )
    if dataclasses.is_dataclass(kind):
        return from_wire(kind, value)
    if kind is datetime:
        return value.ToDatetime(tzinfo=UTC)
    if issubclass(kind, Enum):
        return _member(kind, message.DESCRIPTOR.fields_by_name[name].enum_type, value)
    return value


def _member(kind: type[Enum], wire: Any, number: int) -> Enum:
    """Our member of that name; without one UNKNOWN where `kind` has that, else ServerError.

    What decides (Action, Assessment) has no UNKNOWN: neither UNSPECIFIED nor a number newer than
    this client may ever be read as "allow".
    """
    prefix = wire.values_by_number[0].name.removesuffix("UNSPECIFIED")
    names = {
        number: value.name.removeprefix(prefix) for number, value in wire.values_by_number.items()
    }
    known = kind.__members__
    member = known.get(names.get(number, "UNKNOWN")) or known.get("UNKNOWN")
    if member is None:
        raise unreadable(f"the server sent {kind.__name__} {number}, which means nothing here")
    return member
