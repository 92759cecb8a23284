"""Element selection on integers."""

import pytest
import torch

from dmws_lite.selection.rules import element_indices, index_rules, overlap

SIZES = [(8, 4), (384, 192), (1024, 384), (96, 64), (12, 8), (768, 192), (7, 3), (5, 5), (9, 1), (40, 24)]


def test_golden_numbers():
    assert element_indices(8, 4).tolist() == [0, 2, 4, 6]
    assert element_indices(8, 4, part=1).tolist() == [1, 3, 5, 7]
    assert element_indices(12, 3).tolist() == [0, 4, 8]
    assert element_indices(12, 3, part=1).tolist() == [2, 6, 10]
    assert element_indices(8, 3).tolist() == [0, 2, 5]  # ratio 2.67
    assert element_indices(8, 3, part=1).tolist() == [1, 3, 6]
    assert element_indices(6, 4).tolist() == [0, 1, 3, 4]  # ratio 1.5
    assert element_indices(6, 4, part=1).tolist() == [0, 2, 3, 5]  # 2 and 5 are new, 0 and 3 must be shared
    assert element_indices(8, 3, "consecutive").tolist() == [0, 1, 2]
    assert element_indices(8, 3, "consecutive", part=1).tolist() == [3, 4, 5]
    assert element_indices(8, 6, "consecutive", part=1).tolist() == [2, 3, 4, 5, 6, 7]
    assert element_indices(10, 4, "random", seed=0).tolist() == element_indices(10, 4, "random", seed=0).tolist()


@pytest.mark.parametrize(("n_teacher", "n_student"), [(8, 4), (384, 192), (96, 24), (12, 3), (5, 5)])
def test_uniform_is_the_official_rule_at_integer_ratios(n_teacher, n_student):
    step = n_teacher // n_student
    assert torch.equal(element_indices(n_teacher, n_student), torch.arange(n_student) * step)


@pytest.mark.parametrize("rule", index_rules())
@pytest.mark.parametrize(("n_teacher", "n_student"), SIZES)
def test_parts_are_sorted_distinct_and_overlap_no_more_than_they_must(rule, n_teacher, n_student):
    main, aux = (element_indices(n_teacher, n_student, rule, part, seed=3, key="w") for part in (0, 1))
    for chosen in (main, aux):
        assert chosen.dtype == torch.int64 and chosen.shape == (n_student,)
        assert torch.equal(chosen, chosen.unique()) and 0 <= chosen[0] and chosen[-1] < n_teacher
    assert overlap(main, aux) == max(0, 2 * n_student - n_teacher)


def test_random_is_one_choice_per_sizes_and_seed_and_inconsistent_one_per_key():
    a = element_indices(384, 192, "random", key="blocks.0")
    assert torch.equal(a, element_indices(384, 192, "random", key="blocks.1"))
    assert not torch.equal(a, element_indices(384, 192, "random", seed=1))
    b = element_indices(384, 192, "random_inconsistent", key="blocks.0")
    assert torch.equal(b, element_indices(384, 192, "random_inconsistent", key="blocks.0"))
    assert not torch.equal(b, element_indices(384, 192, "random_inconsistent", key="blocks.1"))


def test_the_global_generator_is_not_touched():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    element_indices(100, 50, "random")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n_teacher": 4, "n_student": 8}, "n_student=8 exceeds n_teacher=4"),
        ({"n_teacher": 0, "n_student": 0}, "n_teacher=0 is not a size"),
        ({"n_teacher": 8, "n_student": 2.5}, "n_student=2.5 is not a size"),
        ({"n_teacher": 8, "n_student": 4, "rule": "best"}, "rule='best' is unknown; choose one of uniform"),
        ({"n_teacher": 8, "n_student": 4, "part": 2}, "part=2 is not a student"),
    ],
)
def test_bad_input_is_one_clear_sentence(arguments, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        element_indices(**arguments)
