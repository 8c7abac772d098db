from scripted import SAFE, UNSAFE, prompt

from guard_service.batching.entry import Caller, Entry
from guard_service.batching.reuse import Reuse
from guard_service.verdict import Reading

A, B = Caller(name="a"), Caller(name="b")


def entry(reuse: Reuse, number: int, caller: Caller = A) -> Entry:
    one = prompt(number)
    return Entry(number, reuse.digest(one, caller), one, caller, 0.0, [])


def test_a_kept_reading_is_found_again_by_its_caller_alone() -> None:
    reuse = Reuse(max_bytes=100_000)
    reuse.keep(entry(reuse, 1), UNSAFE)
    assert reuse.find(reuse.digest(prompt(1), A), 0.5) == UNSAFE
    assert reuse.find(reuse.digest(prompt(1), B), 0.5) is None
    assert reuse.find(reuse.digest(prompt(2), A), 0.5) is None
    assert reuse.find(reuse.digest(prompt(1, prefix=(9,)), A), 0.5) is None
    assert reuse.num_hits == 1


def test_prefix_and_ids_cannot_be_mistaken_for_each_other() -> None:
    reuse = Reuse()
    digests = {
        reuse.digest(prompt(*ids, prefix=p), A) for p, ids in (((1,), (2, 3)), ((1, 2), (3,)))
    }
    assert len(digests) == 2


def test_a_reading_with_fewer_lists_than_are_asked_for_is_not_used() -> None:
    reuse = Reuse(max_bytes=100_000)
    reuse.keep(entry(reuse, 1), SAFE)
    digest = reuse.digest(prompt(1), A)
    assert reuse.find(digest, 0.7) == SAFE
    assert reuse.find(digest, 0.3) is None


def test_it_stays_within_its_bytes_and_lets_the_least_used_go() -> None:
    reuse = Reuse(max_bytes=20_000)
    for number in range(200):
        reuse.keep(entry(reuse, number), SAFE)
        reuse.find(reuse.digest(prompt(0), A), 0.5)
    assert 15_000 < reuse.num_bytes <= 20_000
    assert reuse.find(reuse.digest(prompt(0), A), 0.5) == SAFE
    assert reuse.find(reuse.digest(prompt(1), A), 0.5) is None
    assert reuse.find(reuse.digest(prompt(199), A), 0.5) == SAFE


def test_a_reading_that_cannot_be_trusted_is_not_kept() -> None:
    reuse = Reuse(max_bytes=100_000, min_label_mass=0.5)
    for garbage in (Reading(0.0, 0.1, (1.0,)), Reading(float("nan"), 1.0, (1.0,))):
        reuse.keep(entry(reuse, 1), garbage)
    assert reuse.find(reuse.digest(prompt(1), A), 0.5) is None


def test_by_default_nothing_is_kept() -> None:
    reuse = Reuse()
    reuse.keep(entry(reuse, 1), SAFE)
    assert reuse.find(reuse.digest(prompt(1), A), 0.5) is None
    assert reuse.num_bytes == 0


def test_another_process_has_other_keys() -> None:
    assert Reuse().digest(prompt(1), A) != Reuse().digest(prompt(1), A)
