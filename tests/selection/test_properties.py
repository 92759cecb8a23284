"""What holds for every rule, size and seed, and for every plan."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models.convnext import ConvNeXt

from dmws_lite import dual_students, plan_selection, select_weights
from dmws_lite.selection.plan import Plan, coverage
from dmws_lite.selection.rules import RULES, element_indices, overlap

SIZES = st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))
SEEDS = st.integers(-(2**63), 2**63 - 1)
NAMES = st.sampled_from(sorted(name for name, rule in RULES.items() if rule.choose.__module__.startswith("dmws_lite.")))


def scores(rule, n, seed):
    if not RULES[rule].needs_weights:
        return None
    return torch.rand(n, generator=torch.Generator().manual_seed(abs(seed) % 2**62), dtype=torch.float64)


@given(NAMES, SIZES, SEEDS, st.text(max_size=5))
def test_a_rule_takes_different_elements_in_order(rule, sizes, seed, key):
    n_teacher, n_student = sizes
    for part in (0, 1):
        options = {"part": part, "seed": seed, "key": key, "scores": scores(rule, n_teacher, seed)}
        chosen = element_indices(n_teacher, n_student, rule, **options).tolist()
        assert len(chosen) == n_student and chosen == sorted(set(chosen))
        assert 0 <= chosen[0] and chosen[-1] < n_teacher
        assert chosen == element_indices(n_teacher, n_student, rule, **options).tolist()


@given(NAMES, SIZES, SEEDS, st.text(max_size=5))
def test_the_two_parts_overlap_as_little_as_they_can(rule, sizes, seed, key):
    n_teacher, n_student = sizes
    options = {"seed": seed, "key": key, "scores": scores(rule, n_teacher, seed)}
    parts = [element_indices(n_teacher, n_student, rule, part=part, **options) for part in (0, 1)]
    assert overlap(*parts) == max(0, 2 * n_student - n_teacher)


@given(NAMES, SIZES, SEEDS, st.text(max_size=5), st.text(max_size=5))
def test_only_inconsistent_rules_depend_on_the_key(rule, sizes, seed, one, other):
    if RULES[rule].consistent:
        options = {"seed": seed, "scores": scores(rule, sizes[0], seed)}
        first, second = (element_indices(*sizes, rule, key=key, **options) for key in (one, other))
        assert torch.equal(first, second)


@given(st.integers(1, 40), st.integers(1, 40))
def test_uniform_at_whole_ratios_is_the_official_rule(n_student, ratio):
    chosen = element_indices(n_student * ratio, n_student).tolist()
    assert chosen == [i * ratio for i in range(n_student)]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50), st.data())
def test_magnitude_takes_nothing_that_is_smaller_than_what_it_leaves(values, data):
    n_student = data.draw(st.integers(1, len(values)))
    chosen = set(element_indices(len(values), n_student, "magnitude", scores=values).tolist())
    left = [value for i, value in enumerate(values) if i not in chosen]
    assert not left or min(round(values[i], 10) for i in chosen) >= max(round(value, 10) for value in left)


@given(
    st.one_of(st.integers(max_value=0), st.floats(), st.text(), st.booleans(), st.none()),
    st.sampled_from(["n_teacher", "n_student"]),
)
def test_what_is_no_size_is_refused(value, name):
    sizes = {"n_teacher": 8, "n_student": 4, name: value}
    with pytest.raises(ValueError, match=f"{name}="):
        element_indices(**sizes)


# -- plans ------------------------------------------------------------------------------------------------------------

WIDTHS = st.integers(1, 6).flatmap(lambda w: st.tuples(st.just(2 * w), st.integers(1, 2 * w)))
CONSISTENT = st.sampled_from(["uniform", "consecutive", "random", "random_inconsistent", "magnitude"])


def pair_of(widths, depths):
    """Two ConvNeXts of a few thousand weights: the first is the teacher."""
    made = []
    for width, depth in zip(widths, depths):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(width)
            made.append(ConvNeXt(depths=(depth,) * 4, dims=(4 * width,) * 4, patch_size=2, num_classes=3))
    return made


PAIRS = st.tuples(WIDTHS, st.tuples(st.integers(2, 3), st.integers(1, 2)))


@settings(max_examples=25, deadline=None)
@given(PAIRS, CONSISTENT, st.integers(0, 1), st.integers(0, 99), st.sampled_from(["first", "last", "uniform"]))
def test_a_plan_survives_being_written_and_says_what_is_done(sizes, rule, part, seed, layers):
    teacher, student = pair_of(*sizes)
    plan = plan_selection(teacher, student, rule=rule, part=part, seed=seed, layers=layers)
    again = Plan.from_json(plan.to_json())
    assert again.to_json() == plan.to_json() and json.loads(plan.to_json())["format"] == 1
    select_weights(teacher, student, again)
    for name, value in plan.tensors(teacher.state_dict()).items():
        assert torch.equal(student.state_dict()[name], value)
    for value in coverage(plan).values():
        assert 0 <= value <= 1 + 1e-12
    # Every value that was selected is one of the teacher's in that tensor (LayerScale is copied here, not folded).
    for row in plan.rows:
        if row.action in ("select", "copy") and not row.fold:
            source = set(teacher.state_dict()[row.source].flatten().tolist())
            assert set(student.state_dict()[row.tensor].flatten().tolist()) <= source


@settings(max_examples=20, deadline=None)
@given(PAIRS, CONSISTENT, st.integers(0, 99))
def test_two_students_share_no_more_than_they_must(sizes, rule, seed):
    teacher, student = pair_of(*sizes)
    main, auxiliary, report = dual_students(teacher, lambda: pair_of(*sizes)[1], rule=rule, seed=seed)
    for name, shared in report.overlaps().items():
        one = report.main.index_sets[name]
        cut = [c for row in report.main.rows for c in row.cuts if c.indices == name]
        assert shared == max(0, 2 * len(one) - cut[0].n_teacher)
    assert [p.shape for p in main.parameters()] == [p.shape for p in student.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(main.head.parameters(), auxiliary.head.parameters()))
