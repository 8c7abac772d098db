from guard_service.taxonomy import TAXONOMY


def test_the_fourteen_categories_are_in_order() -> None:
    assert list(TAXONOMY) == [f"S{n}" for n in range(1, 15)]
    assert all(category.code == code for code, category in TAXONOMY.items())


def test_prompt_names_differ_from_card_names_for_three_only() -> None:
    differing = {c.code for c in TAXONOMY.values() if c.name != c.prompt_name}
    assert differing == {"S3", "S4", "S11"}


def test_every_category_has_a_definition_for_people() -> None:
    assert all(c.definition.endswith(".") and not c.description for c in TAXONOMY.values())
