from pathlib import Path

import pytest
from conversations import policy

from guard_service.errors import PolicyInvalid
from guard_service.policy import Action, OnUnavailable, read_policies, read_policy

HEAD = 'id = "p"\nversion = "1"\n'


def write(folder: Path, text: str, name: str = "p.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_default_policy_enforces_all_categories_at_the_models_own_verdict() -> None:
    import guard_service

    default = read_policies(Path(guard_service.__file__).parent / "policies")["default"]
    assert [c.code for c in default.categories] == [f"S{n}" for n in range(1, 15)]
    assert default.threshold == 0.5
    assert default.on_unavailable is OnUnavailable.ERROR


def test_a_subset_and_an_added_category_are_read_in_prompt_order(tmp_path: Path) -> None:
    text = HEAD + (
        "[categories.S15]\n"
        'name = "Spoilers"\ndescription = "Gives away the end of a story."\naction = "allow"\n'
        "[categories.S10]\n[categories.S2]\nthreshold = 0.2\n"
    )
    read = read_policy(write(tmp_path, text))
    assert [c.code for c in read.categories] == ["S2", "S10", "S15"]
    assert read.categories[2].prompt_text == "Spoilers.\nGives away the end of a story."
    assert read.rules["S2"].threshold == 0.2
    assert read.rules["S15"].action is Action.ALLOW


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEAD + "treshold = 0.4\n[categories.S1]\n", "line 3: treshold: Extra inputs"),
        (HEAD + "threshold = 1.5\n[categories.S1]\n", "line 3: threshold: Input should be less"),
        (HEAD + "threshold = 0\n[categories.S1]\n", "line 3: threshold"),
        (HEAD + "[review]\nband = -1\n[categories.S1]\n", "line 4: review.band"),
        (HEAD + "[categories.S1]\n[categories.S2]\nlimit = 1\n", "line 5: categories.S2.limit"),
        (HEAD + '[categories.S1]\naction = "warn"\n', "line 4: categories.S1.action"),
        (HEAD + "[categories.S0]\n", "line 3: categories.S0: a category is S1 to S99"),
        (HEAD + "[categories.violence]\n", "line 3: categories.violence"),
        (HEAD + "[categories.S15]\n", "line 3: categories.S15: an added category needs a name"),
        (HEAD + '[categories.S1]\nname = "X"\n', "S1 has its name from the model"),
        (HEAD, "line 1: categories: Field required"),
        (HEAD + "[categories]\n", "categories"),
        (HEAD + 'on_unavailable = "open"\n[categories.S1]\n', "line 3: on_unavailable"),
        ('version = "1"\n[categories.S1]\n', "id: Field required"),
        ('id = "a b"\nversion = "1"\n[categories.S1]\n', "line 1: id"),
        ("id = \n", "at line 1"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(PolicyInvalid) as error:
        read_policy(write(tmp_path, text))
    assert problem in str(error.value)


@pytest.mark.parametrize("name", ["<END CONVERSATION>", "a\\nb", "<|eot_id|>", "x" * 81])
def test_an_added_category_cannot_carry_the_prompts_own_marks(tmp_path: Path, name: str) -> None:
    text = HEAD + f'[categories.S15]\nname = "{name}"\ndescription = "d"\n'
    with pytest.raises(PolicyInvalid, match=r"line 4: categories.S15.name"):
        read_policy(write(tmp_path, text))


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    text = HEAD + "threshold = 2\nfoo = 1\n[categories.S1]\nbar = 2\n"
    with pytest.raises(PolicyInvalid) as error:
        read_policy(write(tmp_path, text))
    assert all(f"line {n}" in str(error.value) for n in (3, 4, 6))


def test_two_files_cannot_define_one_policy(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        write(tmp_path, HEAD + "[categories.S1]\n", name)
    with pytest.raises(PolicyInvalid, match=r"b\.toml: another file already defines policy p"):
        read_policies(tmp_path)


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match="no policy files"):
        read_policies(tmp_path)


def test_digests_follow_what_decides_and_nothing_else() -> None:
    same = [policy(), policy(id="other"), policy(version="9"), policy(description="words")]
    assert len({p.digest for p in same}) == 1
    different = [policy(), policy(threshold=0.4), policy(categories={"S1": {}})]
    different += [policy(on_unavailable="block"), policy(review={"band": 0.3})]
    assert len({p.digest for p in different}) == len(different)


def test_the_order_of_categories_in_the_file_does_not_change_the_digest() -> None:
    assert (
        policy(categories={"S1": {}, "S2": {}}).digest
        == policy(categories={"S2": {}, "S1": {}}).digest
    )
