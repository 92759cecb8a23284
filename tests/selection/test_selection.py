"""Weight selection on random teachers: no download, a few seconds."""

import copy
import json

import pytest
import timm
import torch
from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import _gen_efficientnet_lite
from timm.models.vision_transformer import VisionTransformer

from dmws_lite._sealed import CHECKSUM
from dmws_lite.selection.dual import dual_students, select_weights
from dmws_lite.selection.plan import Plan, SelectionError, coverage
from dmws_lite.selection.rules import element_indices
from dmws_lite.selection.steps import (
    component_mapping,
    layer_selection,
    plan_selection,
)


def vit(dim=48, depth=2, heads=6, classes=5, **options):
    options = {"img_size": 32, "patch_size": 8, **options}
    return VisionTransformer(embed_dim=dim, depth=depth, num_heads=heads, num_classes=classes, **options)


def convnext(dims=(16, 32, 64, 128), depths=(2, 2, 3, 2), **options):
    return ConvNeXt(depths=depths, dims=dims, num_classes=5, **options)


def randomise(model, seed=0):
    """Give every tensor its own numbers; a fresh ConvNeXt has constant norms and LayerScale."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator).abs() * 0.1 + 0.01)
    return model.eval()


def official(teacher_tensor, shape):
    """Write down the official uniform rule on its own, for comparison (Xu et al. 2024, uniform selection)."""
    value = teacher_tensor
    for axis, n in enumerate(shape):
        size = value.shape[axis]
        if size % n == 0:
            chosen = torch.arange(n) * (size // n)
        else:
            chosen = torch.linspace(0, size - 1, n).round().long()
        value = value.index_select(axis, chosen)
    return value


@pytest.mark.parametrize(
    ("teacher", "student", "classifier"),
    [
        ("vit_small_patch16_224", "vit_tiny_patch16_224", "head."),
        ("convnext_tiny", "convnext_femto", "head.fc."),
    ],
)
def test_equals_the_official_rule_tensor_for_tensor_on_the_papers_pairs(teacher, student, classifier):
    big, small = timm.create_model(teacher), timm.create_model(student, num_classes=4)
    randomise(big)
    select_weights(big, small)
    whole, compared = big.state_dict(), 0
    for name, value in small.state_dict().items():
        if name.startswith(classifier):
            continue
        source = whole[name] if whole[name].ndim == value.ndim else whole[name][:, :, None, None]
        assert torch.equal(value, official(source, value.shape)), name
        compared += 1
    assert compared == len(small.state_dict()) - 2


@pytest.mark.parametrize("rule", ["uniform", "consecutive", "random"])
@pytest.mark.parametrize("dim", [32, 24, 18, 12])  # of 48: ratios 1.5, 2, 2.67, 4
@pytest.mark.parametrize("part", [0, 1])
def test_vit_wiring_is_consistent_at_any_ratio(rule, dim, part):
    """A teacher in which the channels outside the selection are dead computes what the student computes."""
    teacher = randomise(vit(norm_layer=torch.nn.Identity, fc_norm=False))
    student = vit(dim=dim, heads=6 if dim % 6 == 0 else 4, norm_layer=torch.nn.Identity, fc_norm=False)
    plan = select_weights(teacher, student, rule=rule, part=part)
    by_axis = {}
    for row in plan.rows:
        for cut in row.cuts:
            by_axis.setdefault((cut.n_teacher, cut.n_student), set()).add(plan.index_sets[cut.indices])
    residual = by_axis[(48, dim)]
    assert len(residual) == 1  # every tensor on the residual stream makes one choice
    (chosen,) = residual
    assert len(by_axis[(192, 4 * dim)]) == 1  # so does the hidden layer of the MLP
    (fused,) = by_axis[(144, 3 * dim)]
    assert fused == tuple(i + block * 48 for block in range(3) for i in chosen)  # q, k and v rows are aligned
    name = "blocks.1.attn.qkv.weight"
    q, k, v = student.state_dict()[name].chunk(3)
    big_q, big_k, big_v = teacher.state_dict()[name].chunk(3)
    index = torch.tensor(chosen)
    for own, whole in ((q, big_q), (k, big_k), (v, big_v)):
        assert torch.equal(own, whole[index][:, index])


@pytest.mark.parametrize("part", [0, 1])
def test_a_consistent_selection_computes_what_the_teacher_computes_with_its_other_channels_off(part):
    teacher = randomise(convnext(dims=(8, 16, 16, 16), depths=(1, 1, 1, 1)))
    student = convnext(dims=(8, 8, 8, 8), depths=(1, 1, 1, 1)).eval()
    # Norms mix all channels, so they are switched off: what is left is linear wiring and activations.
    for model in (teacher, student):
        for module in list(model.modules()):
            for child, inner in list(module.named_children()):
                if "LayerNorm" in type(inner).__name__:
                    setattr(module, child, torch.nn.Identity())
    plan = select_weights(teacher, student, rule="uniform", part=part)
    off = copy.deepcopy(teacher)
    with torch.no_grad():
        for row in plan.rows:
            for cut in row.cuts:
                gone = sorted(set(range(cut.n_teacher)) - set(plan.index_sets[cut.indices]))
                off.state_dict()[row.source].index_fill_(cut.axis, torch.tensor(gone), 0.0)
    x = torch.randn(2, 3, 32, 32)
    last = torch.tensor(plan.index_sets["channels:16->8"])
    assert torch.allclose(off.forward_features(x)[:, last], student.forward_features(x), rtol=1e-4, atol=1e-6)


def test_whole_heads_are_whole():
    teacher, student = randomise(vit()), vit(dim=24, heads=3)
    plan = select_weights(teacher, student, heads="whole")
    q = student.blocks[0].attn.qkv.weight[:24]
    residual = element_indices(48, 24)
    for own, head in enumerate(element_indices(6, 3).tolist()):
        expected = teacher.blocks[0].attn.qkv.weight[head * 8 : head * 8 + 8][:, residual]
        assert torch.equal(q[own * 8 : own * 8 + 8], expected)
    strided = select_weights(teacher, vit(dim=24, heads=3))
    assert {c.n_teacher for r in plan.rows for c in r.cuts} == {c.n_teacher for r in strided.rows for c in r.cuts}
    with pytest.raises(SelectionError, match="use heads='strided'"):
        plan_selection(vit(heads=2), vit(dim=24, heads=4), heads="whole")
    with pytest.raises(SelectionError, match="heads='both' is unknown"):
        plan_selection(teacher, student, heads="both")


@pytest.mark.parametrize("build", [vit, convnext, lambda: _gen_efficientnet_lite("tf_efficientnet_lite0")])
def test_identity_selection_is_bit_exact(build):
    teacher, student = randomise(build()), build()
    plan = select_weights(teacher, student)
    whole = teacher.state_dict()
    for row, (name, value) in zip(plan.rows, student.state_dict().items(), strict=True):
        assert row.tensor == name
        assert row.action == "initial" if row.source is None else torch.equal(value, whole[name])
    assert coverage(plan)["weights"] == 1.0


def test_parts_are_disjoint_and_cover_half_the_weights_of_all_the_channels():
    _, _, report = dual_students(vit(), lambda: vit(dim=24, heads=3))
    assert set(report.overlaps().values()) == {0}
    joint = report.coverage()
    assert joint["channels"] == 1.0 and joint["shared_weights"] == 0.0
    assert 0.5 < joint["weights"] < 0.6  # of a matrix cut on both axes each student takes a quarter
    assert "without overlap" in str(report)


def test_an_overlap_that_cannot_be_avoided_is_reported():
    _, _, report = dual_students(vit(), lambda: vit(dim=32, heads=4))
    assert report.overlaps()["channels:48->32"] == 16
    assert "channels:48->32 shares 16" in str(report)


def test_coverage_by_hand():
    """Counted entry by entry on boolean masks, against the product formula."""
    teacher = randomise(vit())
    main, aux, report = dual_students(teacher, lambda: vit(dim=32, heads=4))
    masks = {n: torch.zeros(v.shape, dtype=torch.int) for n, v in teacher.state_dict().items() if "head" not in n}
    for plan in (report.main, report.auxiliary):
        for row in plan.rows:
            if row.source:
                index = [torch.arange(n) for n in row.source_shape]
                for cut in row.cuts:
                    index[cut.axis] = torch.tensor(plan.index_sets[cut.indices])
                masks[row.source][torch.meshgrid(*index, indexing="ij")] += 1
    total = sum(m.numel() for m in masks.values())
    joint = report.coverage()
    assert joint["weights"] == pytest.approx(sum((m > 0).sum().item() for m in masks.values()) / total)
    assert joint["shared_weights"] == pytest.approx(sum((m > 1).sum().item() for m in masks.values()) / total)


def test_dual_students_differ_only_in_the_part_they_hold():
    teacher = randomise(vit())
    main, aux, _ = dual_students(teacher, lambda: vit(dim=24, heads=3), seed=5)
    assert torch.equal(main.head.weight, aux.head.weight)
    assert not torch.equal(main.patch_embed.proj.weight, aux.patch_embed.proj.weight)
    assert not aux.training and not any(p.requires_grad for p in aux.parameters())
    swapped, other, _ = dual_students(teacher, lambda: vit(dim=24, heads=3), seed=5, swap=True)
    assert torch.equal(swapped.patch_embed.proj.weight, aux.patch_embed.proj.weight)
    assert torch.equal(other.patch_embed.proj.weight, main.patch_embed.proj.weight)


def test_first_layers_of_each_stage_and_the_other_choices():
    teacher, student = convnext(), convnext(dims=(8, 16, 32, 64), depths=(1, 2, 2, 1))
    assert layer_selection(teacher, student) == {
        "stages.0.blocks": (0,), "stages.1.blocks": (0, 1), "stages.2.blocks": (0, 1), "stages.3.blocks": (0,)
    }  # fmt: skip
    assert layer_selection(teacher, student, "last")["stages.2.blocks"] == (1, 2)
    assert layer_selection(vit(depth=6), vit(depth=3), "uniform") == {"blocks": (0, 2, 4)}
    assert layer_selection(vit(depth=6), vit(depth=2), [5, 1]) == {"blocks": (5, 1)}
    chosen = layer_selection(teacher, student, {"stages.2.blocks": [0, 2]})
    assert chosen["stages.2.blocks"] == (0, 2) and chosen["stages.1.blocks"] == (0, 1)
    mapping = component_mapping(teacher, student, chosen)
    assert mapping["stages.2.blocks.1.mlp.fc1.weight"] == "stages.2.blocks.2.mlp.fc1.weight"
    assert mapping["stages.2.downsample.1.weight"] == "stages.2.downsample.1.weight"


@pytest.mark.parametrize(("of_teacher", "of_student"), [(False, True), (True, False)])
def test_linear_and_convolutional_mlps_hold_the_same_matrix(of_teacher, of_student):
    teacher, student = randomise(convnext(conv_mlp=of_teacher)), convnext(dims=(8, 16, 32, 64), conv_mlp=of_student)
    select_weights(teacher, student)
    whole, own = teacher.stages[1].blocks[1].mlp.fc1.weight, student.stages[1].blocks[1].mlp.fc1.weight
    assert torch.equal(own.reshape(64, 16), whole.reshape(128, 32)[::2, ::2])


def test_batch_norm_buffers_are_cut_with_their_channels():
    teacher = randomise(_gen_efficientnet_lite("tf_efficientnet_lite0"))
    teacher.bn1.num_batches_tracked.fill_(7)
    student = _gen_efficientnet_lite("tf_efficientnet_lite0", channel_multiplier=0.5, num_classes=4)
    plan = select_weights(teacher, student)
    assert student.bn1.num_batches_tracked == 7
    row = next(r for r in plan.rows if r.tensor == "blocks.3.1.bn1.running_var")
    index = torch.tensor(plan.index_sets[row.cuts[0].indices])
    assert torch.equal(student.blocks[3][1].bn1.running_var, teacher.blocks[3][1].bn1.running_var[index])
    depthwise = student.blocks[3][1].conv_dw.weight
    assert torch.equal(depthwise, teacher.blocks[3][1].conv_dw.weight[index])
    assert torch.isfinite(student.eval()(torch.randn(2, 3, 64, 64))).all()


def test_position_and_patch_embeddings_are_resampled_not_subsampled():
    teacher = randomise(vit(img_size=32, patch_size=8))
    student = vit(dim=24, heads=3, img_size=96, patch_size=16)
    plan = select_weights(teacher, student)
    actions = {r.tensor: r.action for r in plan.rows}
    assert actions["pos_embed"] == actions["patch_embed.proj.weight"] == "resample"
    assert torch.equal(student.pos_embed[:, 0], teacher.pos_embed[:, 0, ::2])  # the class token has no place in a grid
    constant = copy.deepcopy(teacher)
    with torch.no_grad():
        constant.pos_embed[:, 1:] = 0.3
    select_weights(constant, student)
    assert torch.allclose(student.pos_embed[:, 1:], torch.tensor(0.3), atol=1e-4)
    assert torch.isfinite(student(torch.randn(1, 3, 96, 96))).all()


def test_layer_scale_is_selected_or_folded_without_changing_the_function():
    teacher = randomise(vit(init_values=0.1))
    scaled = vit(dim=24, heads=3, init_values=1e-5)
    select_weights(teacher, scaled)
    assert torch.equal(scaled.blocks[0].ls1.gamma, teacher.blocks[0].ls1.gamma[::2])
    plain = vit(dim=24, heads=3)
    plan = select_weights(teacher, plain)
    plain.head.load_state_dict(scaled.head.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.allclose(plain.eval()(x), scaled.eval()(x), atol=1e-5)
    assert not [u for u in plan.unused if "no counterpart" in u.reason]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    teacher = randomise(vit())

    def bits(seed, rule="random"):
        main, aux, _ = dual_students(teacher, lambda: vit(dim=24, heads=3), rule=rule, seed=seed)
        return torch.cat([p.flatten() for model in (main, aux) for p in model.state_dict().values()])

    assert torch.equal(bits(1), bits(1))
    assert not torch.equal(bits(1), bits(2))
    assert torch.equal(bits(1, "random_inconsistent"), bits(1, "random_inconsistent"))


def test_inconsistent_choices_differ_from_layer_to_layer():
    plan = plan_selection(vit(), vit(dim=24, heads=3), rule="random_inconsistent")
    residual = [plan.index_sets[c.indices] for r in plan.rows for c in r.cuts if (c.n_teacher, c.n_student) == (48, 24)]
    assert len(set(residual)) == len(residual) > 10


@pytest.mark.parametrize("rule", ["uniform", "random_inconsistent"])
def test_a_saved_plan_replays_to_the_same_bits(tmp_path, rule):
    teacher, first, second = randomise(vit(init_values=0.1)), vit(dim=24, heads=3), vit(dim=24, heads=3)
    second.head.load_state_dict(first.head.state_dict())
    plan = select_weights(teacher, first, rule=rule, part=1, seed=4)
    again = Plan.load(plan.save(tmp_path / "plan.json"))
    assert again == plan
    select_weights(teacher, second, plan=again)
    for a, b in zip(first.state_dict().values(), second.state_dict().values()):
        assert torch.equal(a, b)


def test_the_plan_is_a_readable_table():
    plan = plan_selection(vit(), vit(dim=24, heads=3))
    text = str(plan)
    assert "blocks.*.attn.qkv.weight" in text and "144x48 -> 72x24" in text and "q|k|v" in text
    assert "own initialisation: classifier of another task" in text
    assert plan.table(collapse=False).count("attn.qkv.weight") == 2


class TestErrors:
    def test_every_refusal_names_the_tensor_or_the_stack(self):
        cases = [
            (vit(), vit(dim=96), "cls_token: axis 2 has 96 entries in the student and only 48"),
            (vit(), vit(dim=24, heads=3, depth=3), "'blocks' has 3 layers, the teacher's only 2"),
            (vit(), convnext(), "no stack of layers 'stages.0.blocks'"),
            (vit(), vit(dim=24, heads=3, init_values=0.1), "blocks.0.ls1.gamma: the teacher has no such tensor"),
            (vit(reg_tokens=2), vit(dim=24, heads=3), "reg_token: the student has no place"),
            (vit(), vit(dim=24, heads=3, in_chans=1), "make the student with in_chans=3"),
            (convnext(kernel_sizes=7), convnext(dims=(8, 16, 32, 64), kernel_sizes=5), "conv_dw.weight: kernel 7x7"),
        ]
        for teacher, student, said in cases:
            before = copy.deepcopy(student.state_dict())
            with pytest.raises(SelectionError, match=said):
                select_weights(teacher, student)
            for name, value in student.state_dict().items():
                assert torch.equal(value, before[name])  # a refusal leaves the student as it was

    def test_without_strict_the_same_tensors_are_listed(self):
        student = vit(dim=24, heads=3, init_values=0.1)
        plan = select_weights(vit(reg_tokens=2), student, strict=False)
        rows = {r.tensor: r for r in plan.rows}
        assert rows["blocks.0.ls1.gamma"].action == "initial"
        assert rows["blocks.0.ls1.gamma"].reason == "the teacher has no such tensor"
        assert "reg_token" in [u.tensor for u in plan.unused]
        assert len(plan.rows) == len(student.state_dict())

    def test_unknown_options(self):
        for options, said in [
            ({"rule": "magic"}, "rule='magic'"),
            ({"part": 2}, "part=2"),
            ({"layers": "middle"}, "layers='middle'"),
            ({"layers": [0, 9]}, "give 2 numbers between 0 and 1"),
            ({"layers": {"stem": [0]}}, "the student's stacks are blocks"),
        ]:
            with pytest.raises(ValueError, match=said):
                plan_selection(vit(), vit(dim=24, heads=3), **options)

    def test_a_plan_for_other_models_is_refused(self):
        plan = plan_selection(vit(), vit(dim=24, heads=3))
        with pytest.raises(SelectionError, match="another student"):
            select_weights(vit(), vit(dim=12, heads=3), plan=plan)
        with pytest.raises(SelectionError, match="teacher it was made for"):
            select_weights(vit(dim=96), vit(dim=24, heads=3), plan=plan)
        with pytest.raises(SelectionError, match="not both"):
            select_weights(vit(), vit(dim=24, heads=3), plan=plan, rule="random")

    def test_broken_plan_files(self, tmp_path):
        plan = plan_selection(vit(), vit(dim=24, heads=3))
        raw = json.loads(plan.to_json())
        other = {name: value for name, value in raw.items() if name != CHECKSUM}
        for text in ("{", "[]", "{}", json.dumps({**other, "format": 99})):
            with pytest.raises(SelectionError, match="not a selection plan|format 99"):
                Plan.from_json(text)
        with pytest.raises(SelectionError, match="damaged"):
            Plan.from_json(json.dumps({**raw, "format": 99}))

    def test_a_model_that_does_not_tell_its_classifier(self):
        with pytest.raises(SelectionError, match="no get_classifier"):
            plan_selection(torch.nn.Linear(4, 4), torch.nn.Linear(2, 2))
