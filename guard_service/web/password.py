"""Passwords: Argon2id with its library's own costs, a few at a time and off the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from guard_service.errors import InvalidRequest, Violation

MIN_LENGTH, MAX_LENGTH = 12, 1024

_hasher = PasswordHasher()
_NOBODYS = _hasher.hash("the password of an account that does not exist")
# Each takes 64 MiB for a moment: more of them wait.
_threads = ThreadPoolExecutor(2, thread_name_prefix="password")


def hash_password(password: str) -> str:
    """InvalidRequest if it is too short to be one."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        problem = f"{MIN_LENGTH} to {MAX_LENGTH} characters"
        raise InvalidRequest((Violation("password", problem),))
    return _hasher.hash(password)


async def is_right(password: str, kept: str | None) -> bool:
    """The same work whether there is such an account, with a password, or not."""
    verify = partial(_verify, kept or _NOBODYS, password[:MAX_LENGTH])
    verified = await asyncio.get_running_loop().run_in_executor(_threads, verify)
    return verified and bool(kept)


def _verify(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
