from dataclasses import replace

import pytest

from guard_service.errors import AuditBroken, InvalidRequest
from guard_service.review.chain import START, Entry, Head, follow, link, read_head


def chained(num_entries: int, act: str = "read") -> list[Entry]:
    head, entries = START, []
    for number in range(num_entries):
        entry = Entry(act, f"{number:032x}", "acme", "ann", 1_000 + number, "{}")
        head = link(head, entry)
        entries.append(replace(entry, position=head.position, hash=head.hash))
    return entries


def head_of(entries: list[Entry]) -> Head:
    return follow(START, entries)


def test_what_was_linked_is_followed_to_its_head() -> None:
    entries = chained(5)
    assert head_of(entries) == Head(5, entries[-1].hash or "")
    assert follow(head_of(entries[:2]), entries[2:], head_of(entries[:4])) == head_of(entries)


@pytest.mark.parametrize("field", ["act", "item_id", "tenant", "actor", "details"])
def test_a_change_of_any_field_is_found_where_it_was_made(field: str) -> None:
    entries = chained(5)
    entries[2] = replace(entries[2], **{field: "other"})
    with pytest.raises(AuditBroken, match="entry 3 was altered"):
        head_of(entries)


def test_another_time_is_found() -> None:
    entries = chained(5)
    entries[3] = replace(entries[3], at_ms=entries[3].at_ms + 1)
    with pytest.raises(AuditBroken, match="entry 4 was altered"):
        head_of(entries)


def test_a_missing_entry_is_named_though_those_after_it_are_whole() -> None:
    entries = chained(5)
    with pytest.raises(AuditBroken, match="entry 3 is missing"):
        head_of(entries[:2] + entries[3:])


def test_entries_that_changed_places_are_found_at_the_first_of_them() -> None:
    entries = chained(5)
    second, fourth = entries[1], entries[3]
    entries[1] = replace(fourth, position=2, hash=second.hash)
    entries[3] = replace(second, position=4, hash=fourth.hash)
    with pytest.raises(AuditBroken, match="entry 2 was altered"):
        head_of(entries)


def test_a_log_written_anew_holds_together_and_misses_the_known_head() -> None:
    known = head_of(chained(3))
    anew = chained(5, act="decided")
    assert head_of(anew).position == 5
    with pytest.raises(AuditBroken, match="entry 3 is not the known head"):
        follow(START, anew, known)


def test_fields_do_not_run_into_each_other() -> None:
    one = Entry("read", "i", "acme", "ann", 1, "{}")
    assert link(START, one) != link(START, replace(one, tenant="acmea", actor="nn"))


def test_a_head_is_read_back_from_its_text() -> None:
    head = head_of(chained(1))
    assert read_head(str(head), "--head") == head


@pytest.mark.parametrize("text", ["", "1", "x:" + "0" * 64, "1:" + "0" * 63, "1:" + "G" * 64])
def test_what_is_no_head_is_refused_by_the_name_of_its_flag(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--head"):
        read_head(text, "--head")
