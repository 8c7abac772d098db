import inspect
import re

from guard_service import errors
from guard_service.errors import GuardError, InvalidRequest, Violation


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: list[tuple[str, str]] = []
    above: list[str] = []
    for line in inspect.cleandoc(str(errors.__doc__)).splitlines()[2:]:
        if found := re.match(r"([ │├└─]*)([A-Z]\w+)", line):
            depth = len(found[1]) // 4
            above = [*above[:depth], found[2]]
            drawn.append((found[2], above[depth - 1] if depth else "Exception"))
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    real = {(c.__name__, c.__bases__[0].__name__) for c in classes if issubclass(c, GuardError)}
    assert set(drawn) == real


def test_an_error_without_words_of_its_own_says_what_its_class_says() -> None:
    assert str(errors.Overloaded()) == errors.Overloaded.__doc__
    assert str(InvalidRequest()) == InvalidRequest.__doc__
    assert str(errors.MalformedRequest()) == errors.MalformedRequest.__doc__


def test_violations_are_the_words_of_an_invalid_request() -> None:
    error = InvalidRequest((Violation("a", "is missing"), Violation("b", "is too long")))
    assert str(error) == "a: is missing; b: is too long"
