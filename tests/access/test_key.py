from guard_service.access.key import digest, key_id, make_key, matches


def test_a_key_names_its_id_and_is_kept_as_a_hash_alone() -> None:
    for _ in range(200):  # whatever characters the secret has
        key = make_key()
        assert key_id(key.text) == key.id
        assert matches(key.text, key.sha256)
        assert key.text not in repr(key)
        assert key.text.removeprefix(f"gk_{key.id}_") not in key.sha256


def test_what_is_no_key_names_no_id() -> None:
    for text in ("", "gk", "gk_", "gk_1", "xx_1_2", "eyJ.eyJ.x"):
        assert key_id(text) is None


def test_without_a_hash_nothing_matches() -> None:
    assert not matches("", None)
    assert not matches("x", None)
    assert not matches("x", digest("y"))
