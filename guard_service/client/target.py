"""Where the servers are: one address, or several that gRPC is to spread its calls over."""

import re
from collections.abc import Sequence
from typing import TypeAlias

from guard_service.client.errors import refusal

# "host:port", gRPC's own "scheme:...", or several addresses, in one text with commas or not.
Target: TypeAlias = str | Sequence[str]

_SCHEME = re.compile(r"(ipv[46]|unix|unix-abstract|dns|xds|vsock):")
_FORMS = {
    "ipv4": re.compile(r"(\d{1,3}\.){3}\d{1,3}:\d+"),
    "ipv6": re.compile(r"\[[\da-fA-F:.]+\]:\d+"),
}
_LOCAL = re.compile(r"unix:|(dns:///|ipv[46]:)?(localhost|127\.[\d.]+|\[::1\])(:\d+)?$")


def grpc_target(target: Target) -> str:
    """The target as gRPC reads it; InvalidRequest for a list that it could not watch."""
    if isinstance(target, str) and _SCHEME.match(target):
        return target
    parts = target.split(",") if isinstance(target, str) else target
    addresses = [part.strip() for part in parts]
    if len(addresses) == 1:
        return addresses[0]
    numbers = [re.sub(r"^localhost(?=:)", "127.0.0.1", address) for address in addresses]
    for scheme, form in _FORMS.items():
        if numbers and all(map(form.fullmatch, numbers)):
            return f"{scheme}:{','.join(numbers)}"
    # gRPC has no resolver for several names; ones that we resolved here would never change again.
    problem = "several are IP addresses with ports, all v4 or all v6; or one DNS name for them all"
    raise refusal("target", problem)


def is_local(target: str) -> bool:
    """Whether all that is sent there stays on this machine."""
    return all(map(_LOCAL.match, target.split(",")))


def is_several(target: str) -> bool:
    return "," in target
