"""The rule that looks at the weights: per group of axes that must agree, the channels with the largest joint norm."""

import copy

import pytest
import torch
from torch import nn

from dmws_lite.selection.channels.choose import squared_norms
from dmws_lite.selection.channels.trace import trace
from dmws_lite.selection.dual import dual_students, select_weights
from dmws_lite.selection.plan import Plan, SelectionError
from dmws_lite.selection.rules import RULES, element_indices, overlap, register_rule
from dmws_lite.selection.steps import plan_selection
from dmws_lite.teachers.load import load_teacher
from dmws_lite.teachers.pairs import make_student


class Two(nn.Module):
    """Two layers that share the hidden channels, and a classifier."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, hidden, 3)
        self.mix = nn.Conv2d(hidden, 4, 1)
        self.head = nn.Linear(4, 2)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(self.conv(images).relu()).mean((2, 3)))


@pytest.fixture(scope="module")
def pocket() -> nn.Module:
    return load_teacher("convnext_pocket", quiet=True)


def student() -> nn.Module:
    return make_student("convnext_pocket", 4, 64, seed=0)


def test_the_norm_is_taken_over_all_tensors_that_share_the_channel() -> None:
    teacher, small = Two(4), Two(2)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.zero_()
        teacher.conv.weight[:, 0, 0, 0] = torch.tensor([1.0, 3.0, 0.0, 2.0])
        teacher.mix.weight[0, :, 0, 0] = torch.tensor(
            [4.0, 0.0, 1.0, 0.0]
        )  # the first channel is the strongest by this
    parts = [plan_selection(teacher, copy.deepcopy(small), rule="magnitude", part=part) for part in (0, 1)]
    chosen = []
    for plan in parts:
        rows = {row.tensor: row for row in plan.rows}
        outer, inner = (next(cut for cut in rows[name].cuts) for name in ("conv.weight", "mix.weight"))
        assert plan.index_sets[outer.indices] == plan.index_sets[inner.indices], "both tensors take the same channels"
        chosen.append(plan.index_sets[outer.indices])
    assert chosen == [(0, 1), (2, 3)]
    select_weights(teacher, small, parts[0])
    assert torch.equal(small.conv.weight[:, 0, 0, 0], torch.tensor([1.0, 3.0]))


def test_squared_norms_add_up() -> None:
    network = Two(5)
    wiring, weights = trace(network), dict(network.named_parameters())
    found = squared_norms(wiring, weights)
    hidden = wiring.axes["conv.weight", 0].tolist()
    by_hand = network.conv.weight.double().square().sum((1, 2, 3)) + network.conv.bias.double().square()
    by_hand += network.mix.weight.double().square().sum((0, 2, 3))
    assert [found[channel] for channel in hidden] == pytest.approx(by_hand.tolist())


def test_a_real_pair_gets_disjoint_students_and_a_plan_that_can_be_replayed(pocket) -> None:
    main, auxiliary, _ = dual_students(pocket, student, rule="magnitude")
    plan = plan_selection(pocket, student(), rule="magnitude")
    again = Plan.from_json(plan.to_json())
    first, second = student(), student()
    select_weights(pocket, first, plan)
    select_weights(pocket, second, again)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    other = plan_selection(pocket, student(), rule="magnitude", part=1)
    for row, twin in zip(plan.rows, other.rows):
        for cut, same in zip(row.cuts, twin.cuts):
            if cut.n_teacher >= 2 * cut.n_student:
                assert overlap(plan.index_sets[cut.indices], other.index_sets[same.indices]) == 0
    stem = {"main": main, "auxiliary": auxiliary}
    norms = {who: each.stem[0].weight.norm().item() for who, each in stem.items()}
    assert norms["main"] > norms["auxiliary"], "main takes the stronger channels"


def test_weights_are_needed_and_must_be_numbers(pocket) -> None:
    with pytest.raises(ValueError, match=r"looks at the teacher's weights.*plan_selection"):
        element_indices(8, 4, "magnitude")
    with pytest.raises(ValueError, match="3 numbers for n_teacher=8"):
        element_indices(8, 4, "magnitude", scores=[1.0, 2.0, 3.0])
    damaged = copy.deepcopy(pocket).requires_grad_(False)
    damaged.stem[0].weight[0] = float("nan")
    with pytest.raises((ValueError, SelectionError), match="not finite"):
        plan_selection(damaged, student(), rule="magnitude")


def test_ties_go_to_the_lower_index_and_overlap_is_least() -> None:
    assert element_indices(4, 2, "magnitude", scores=[1.0, 1.0, 1.0, 1.0]).tolist() == [0, 1]
    first, second = (element_indices(5, 3, "magnitude", part=part, scores=range(5)).tolist() for part in (0, 1))
    assert first == [2, 3, 4] and overlap(first, second) == 1


def test_a_rule_of_ones_own_works_everywhere(pocket, monkeypatch) -> None:
    from dmws_lite.experiments.run import Run

    monkeypatch.setattr("dmws_lite.selection.rules.RULES", dict(RULES))

    @register_rule("last", "The last elements; the auxiliary takes the block before them.")
    def last(axis):
        return axis.take(range(axis.n_teacher)[::-1])

    assert element_indices(6, 2, "last").tolist() == [4, 5] and element_indices(6, 2, "last", part=1).tolist() == [2, 3]
    assert plan_selection(pocket, student(), rule="last").rule == "last"
    assert Run("mri", "convnext_pocket", "ours", 0.1, 0, 64, epochs=1, rule="last").rule == "last"
    with pytest.raises(ValueError, match="rule='lasst' is unknown; choose one of uniform"):
        element_indices(6, 2, "lasst")
