"""Weight selection over the families of timm: random teachers, small images, no download.

The check that coupled axes agree does not look at the plan's reasoning. In a copy of the teacher every entry outside
the selection is set to zero; then the teacher computes what the student computes, if and only if the student's wiring
is the teacher's. What mixes all channels of a layer (layer norms, softmax) is replaced by something that does not.
"""

import contextlib
import copy
from functools import partial
from unittest import mock

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import GatedMlp
from timm.layers.grn import GlobalResponseNorm
from timm.models import efficientnet, mlp_mixer, resnet, vgg
from timm.models.convnext import ConvNeXt
from timm.models.densenet import DenseNet
from timm.models.metaformer import MetaFormer
from timm.models.regnet import RegNet, RegNetCfg

from dmws_lite.selection.dual import select_weights
from dmws_lite.selection.plan import Plan, SelectionError
from dmws_lite.selection.steps import (
    component_mapping,
    layer_selection,
    plan_selection,
)

named = timm.create_model
vit = partial(named, "vit_tiny_patch16_224", img_size=32, depth=2)
mixer = partial(mlp_mixer.MlpMixer, img_size=32, patch_size=8, num_blocks=2)
gmlp = partial(mixer, block_layer=mlp_mixer.SpatialGatingBlock, mlp_layer=GatedMlp, mlp_ratio=4)
resmlp = partial(mixer, block_layer=mlp_mixer.ResBlock, mlp_ratio=4)
swin = partial(named, "swin_tiny_patch4_window7_224", img_size=64, window_size=4, depths=(2, 4, 2))
swin2 = partial(named, "swinv2_tiny_window8_256", img_size=64, window_size=4, depths=(2, 2, 2))
convnext = partial(ConvNeXt, depths=(1, 2, 1, 1))
convnext2 = partial(convnext, use_grn=True, ls_init_value=None)
basic = partial(resnet.ResNet, resnet.BasicBlock)
bottleneck = partial(resnet.ResNet, resnet.Bottleneck, (2, 1, 1, 1))
plain_vgg = partial(vgg.VGG, mlp_ratio=0.03125)


def regnet(width, group, **options):
    """Build a RegNet whose stages all scale with one width."""
    config = RegNetCfg(w0=width, wa=width * 1.5, wm=2.49, group_size=group, depth=13, se_ratio=0.25)
    return RegNet(config, **options)


lite = partial(efficientnet._gen_efficientnet_lite, "tf_efficientnet_lite0")
b0 = partial(efficientnet._gen_efficientnet, "efficientnet_b0")
v2 = partial(efficientnet._gen_efficientnetv2_s, "efficientnetv2_rw_t", depth_multiplier=0.4)
dense = partial(DenseNet, block_config=(2, 3, 2, 2))
wide, narrow = {"embed_dim": 48, "num_heads": 4}, {"embed_dim": 24, "num_heads": 2}
stages = {"wide": {"embed_dim": 24, "num_heads": (2, 4, 8)}, "narrow": {"embed_dim": 12, "num_heads": (1, 2, 4)}}
small_vit = {"img_size": 28, "depth": 2}

# name: teacher, student, image side. Pairs of one depth, so that the teacher holds the student and nothing else.
SAME_DEPTH = {
    "vit": (partial(vit, **wide), partial(vit, **narrow), 32),
    "vit, ratio 4:3": (partial(vit, embed_dim=48, num_heads=4), partial(vit, embed_dim=36, num_heads=3), 32),
    "vit, query and key norms": (partial(vit, **wide, qk_norm=True), partial(vit, **narrow, qk_norm=True), 32),
    "deit distilled": tuple(
        partial(named, "deit_tiny_distilled_patch16_224", img_size=32, depth=2, **w) for w in (wide, narrow)
    ) + (32,),
    "dinov2 with registers": tuple(
        partial(named, "vit_small_patch14_reg4_dinov2", **small_vit, **w) for w in (wide, narrow)
    ) + (28,),
    "dinov2, packed SwiGLU": tuple(
        partial(named, "vit_giant_patch14_dinov2", **small_vit, **w) for w in (wide, narrow)
    ) + (28,),
    "clip": tuple(
        partial(named, "vit_base_patch16_clip_224", img_size=32, depth=2, **w) for w in (wide, narrow)
    ) + (32,),
    "beit": tuple(partial(named, "beit_base_patch16_224", img_size=32, depth=2, **w) for w in (wide, narrow)) + (32,),
    "eva02, rotary positions": tuple(
        partial(named, "eva02_tiny_patch14_224", **small_vit, **w) for w in (wide, narrow)
    ) + (28,),
    "mixer": (partial(mixer, embed_dim=48), partial(mixer, embed_dim=24), 32),
    "mixer, other ratio": (partial(mixer, embed_dim=48), partial(mixer, embed_dim=32, mlp_ratio=(0.25, 3.0)), 32),
    "gmlp": (partial(gmlp, embed_dim=48), partial(gmlp, embed_dim=24), 32),
    "resmlp": (partial(resmlp, embed_dim=48), partial(resmlp, embed_dim=24), 32),
    "swin": (partial(swin, **stages["wide"]), partial(swin, **stages["narrow"]), 64),
    "swin v2": (partial(swin2, **stages["wide"]), partial(swin2, **stages["narrow"]), 64),
    "convnext": (partial(convnext, dims=(16, 32, 48, 64)), partial(convnext, dims=(8, 16, 16, 32)), 64),
    "convnext v2": (partial(convnext2, dims=(16, 32, 48, 64)), partial(convnext2, dims=(8, 16, 16, 32)), 64),
    "poolformer": (
        partial(MetaFormer, depths=(1, 1, 1, 1), dims=(16, 32, 40, 64)),
        partial(MetaFormer, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)), 64,
    ),
    "resnet, basic blocks": (
        partial(basic, (2, 1, 1, 1)), partial(basic, (2, 1, 1, 1), channels=(64, 80, 128, 256)), 64
    ),
    "resnet, half width inside": (bottleneck, partial(bottleneck, base_width=32), 64),
    "resnet-d": tuple(
        partial(bottleneck, stem_type="deep", stem_width=32, avg_down=True, base_width=w) for w in (64, 32)
    ) + (64,),
    "wide resnet": (partial(bottleneck, base_width=128), bottleneck, 32),
    "seresnet": tuple(
        partial(bottleneck, base_width=w, block_args={"attn_layer": "se"}) for w in (64, 32)
    ) + (64,),
    "resnext, narrower groups": tuple(partial(bottleneck, cardinality=32, base_width=w) for w in (4, 2)) + (64,),
    "resnext, fewer groups": tuple(partial(bottleneck, cardinality=c, base_width=4) for c in (32, 8)) + (64,),
    "resnext, fewer and narrower groups": (
        partial(bottleneck, cardinality=32, base_width=8), partial(bottleneck, cardinality=16, base_width=4), 64
    ),
    "resnest, split attention": (partial(named, "resnest14d"), partial(named, "resnest14d", base_width=32), 64),
    "regnet": (partial(regnet, 48, 8), partial(regnet, 24, 8), 64),
    "densenet": (partial(dense, growth_rate=16), partial(dense, growth_rate=8), 64),
    "vgg": (
        partial(plain_vgg, cfg=[32, "M", 64, "M", 128, 128, "M"]),
        partial(plain_vgg, cfg=[16, "M", 32, "M", 64, 64, "M"]), 32,
    ),
    "efficientnet": (b0, partial(b0, channel_multiplier=0.5), 64),
    "efficientnet-lite": (lite, partial(lite, channel_multiplier=0.5), 64),
    "efficientnet v2": (partial(v2, channel_multiplier=0.8), partial(v2, channel_multiplier=0.4), 64),
    "mobilenet v2": (partial(named, "mobilenetv2_100"), partial(named, "mobilenetv2_050"), 64),
    "mobilenet v3": (partial(named, "mobilenetv3_large_100"), partial(named, "mobilenetv3_large_075"), 64),
    "mnasnet": (partial(named, "mnasnet_100"), partial(named, "mnasnet_050"), 64),
    "ghostnet": (partial(named, "ghostnet_100"), partial(named, "ghostnet_050"), 64),
    "rexnet, partial skips": (partial(named, "rexnet_100"), partial(named, "rexnet_100", width_mult=0.5), 64),
    "lcnet": (partial(named, "lcnet_100"), partial(named, "lcnet_050"), 64),
        "cait, talking heads": tuple(
        partial(named, "cait_xxs24_224", img_size=32, depth=2, **w) for w in (wide, narrow)
    ) + (32,),
}  # fmt: skip

# Pairs in which the student is shallower, too.
SHALLOWER = {
    "vit": (partial(vit, depth=4, **wide), partial(vit, **narrow), 32),
    "vit, other grid": (partial(vit, img_size=64, depth=4, **wide), partial(vit, **narrow), 32),
    "swin": (partial(swin, depths=(4, 4, 4), **stages["wide"]), partial(swin, **stages["narrow"]), 64),
    "swin, other window": (partial(swin, **stages["wide"]), partial(swin, window_size=8, **stages["narrow"]), 64),
    "resnet, basic blocks": (partial(basic, (3, 2, 2, 1)), partial(basic, (2, 1, 1, 1)), 64),
    "resnet": (partial(resnet.ResNet, resnet.Bottleneck, (3, 3, 3, 2)), partial(bottleneck, base_width=32), 64),
    "vgg16 to 11": tuple(
        partial(plain_vgg, cfg=[n if n == "M" else n // 4 for n in vgg.cfgs[name]]) for name in ("vgg16", "vgg11")
    ) + (32,),
    "vgg16 to 11 with batch norm": tuple(
        partial(plain_vgg, cfg=[n if n == "M" else n // 4 for n in vgg.cfgs[name]], norm_layer=torch.nn.BatchNorm2d)
        for name in ("vgg16", "vgg11")
    ) + (32,),
    "efficientnet": (partial(b0, depth_multiplier=0.8), partial(b0, channel_multiplier=0.5, depth_multiplier=0.4), 64),
    "densenet": (partial(dense, block_config=(3, 3, 4, 2)), dense, 64),
    "poolformer": (
        partial(MetaFormer, depths=(2, 2, 2, 2), dims=(16, 32, 40, 64)),
        partial(MetaFormer, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)), 64,
    ),
    "hgnet": (partial(named, "hgnetv2_b1"), partial(named, "hgnetv2_b0"), 64),
}  # fmt: skip


def build(make, seed=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if seed is None else seed)
        model = make(num_classes=3).eval()
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in model.state_dict().values():
                if value.is_floating_point():
                    matrix = torch.randn(value.shape, generator=generator) / max(value[:1].numel(), 1) ** 0.5
                    vector = torch.rand(value.shape, generator=generator) + 0.5
                    value.copy_(matrix if value.ndim > 1 else vector)
    return model


@contextlib.contextmanager
def without_mixing(whole_heads):
    """Replace what mixes the channels of a layer, in a way that treats every channel alone."""

    def scale(x, shape, weight=None, bias=None, eps=0.0):
        x = x if weight is None else x * weight
        return x if bias is None else x + bias

    def scale_maps(x, groups, weight, bias, eps=0.0):
        return x * weight[:, None, None] + bias[:, None, None]

    def attention(q, k, v, *_, **__):  # entry by entry, which needs q, k and v to be aligned; a sum for one query
        return q + 2 * k * v if q.shape == k.shape else q + (2 * k * v).mean(2, keepdim=True)

    def weigh(x, dim=-1, **_):  # whole heads: from the head's own scores
        return (x.tanh() if whole_heads else torch.ones_like(x)) / x.shape[dim]

    def respond(self, x):
        return x + x * self.weight.view(self.wb_shape) + self.bias.view(self.wb_shape)

    with contextlib.ExitStack() as stack:
        for place, name, stand_in in [
            (F, "layer_norm", scale), (F, "rms_norm", scale), (F, "group_norm", scale_maps), (F, "softmax", weigh),
            (F, "scaled_dot_product_attention", attention), (torch.Tensor, "softmax", weigh),
            (F, "normalize", lambda x, **_: x), (GlobalResponseNorm, "forward", respond),
        ]:  # fmt: skip
            if hasattr(place, name):
                stack.enter_context(mock.patch.object(place, name, stand_in))
        yield


def mismatch(teacher, student, plan, side):
    """Return the relative difference between the student and the teacher with all else switched off."""
    teacher, student = (copy.deepcopy(model).double() for model in (teacher, student))
    with torch.no_grad():
        whole = teacher.state_dict()
        for row in plan.rows:
            for cut in row.cuts:
                off = sorted(set(range(cut.n_teacher)) - set(plan.index_sets[cut.indices]))
                whole[row.source].index_fill_(cut.axis, torch.tensor(off, dtype=torch.int64), 0.0)
        images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)).double()
        features = []
        with without_mixing(plan.heads == "whole"):
            for model in (teacher, student):
                found = model.forward_features(images)
                found = torch.cat([f.flatten(1) for f in found], 1) if isinstance(found, tuple) else found.flatten(1)
                # The teacher's features have zeros in between: what is left is the student's, in the same order.
                features.append(found[:, found.abs().amax(0) > 0])
    assert features[1].shape[1] > 0 and torch.isfinite(features[1]).all()
    if features[0].shape != features[1].shape:
        return float("inf")
    return ((features[0] - features[1]).abs().max() / features[1].abs().max()).item()


def check_everything(teacher, student, again, side, **options):
    """Check what must hold for every pair: all accounted for, finite, and the same bits from a saved plan."""
    before = copy.deepcopy(student.state_dict())
    plan = select_weights(teacher, student, **options)
    whole = teacher.state_dict()
    for row, (name, value) in zip(plan.rows, student.state_dict().items(), strict=True):
        assert row.tensor == name and row.shape == tuple(value.shape)
        if row.action == "initial":
            assert torch.equal(value, before[name]) and row.reason in ("classifier of another task",), row
        elif row.action != "resample" and not row.fold:
            expected = whole[row.source]
            for cut in row.cuts:
                assert len(set(plan.index_sets[cut.indices])) == cut.n_student
                expected = expected.index_select(cut.axis, torch.tensor(plan.index_sets[cut.indices]))
            assert torch.equal(value, expected.reshape(value.shape)), name
    replayed = Plan.from_json(plan.to_json())
    assert replayed == plan
    select_weights(teacher, again, replayed)
    for row, first, second in zip(plan.rows, student.state_dict().values(), again.state_dict().values()):
        assert row.action == "initial" or torch.equal(first, second), row.tensor
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.isfinite(student(images)).all()
    return plan


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME_DEPTH)
def test_a_student_is_a_working_part_of_its_teacher(name):
    make_teacher, make_student, side = SAME_DEPTH[name]
    teacher, student, again = build(make_teacher, 1), build(make_student), build(make_student)
    plan = check_everything(teacher, student, again, side, part=1, heads="whole")
    if "talking" not in name:  # its attention of one query over all tokens is not one of the replaced functions
        assert mismatch(teacher, student, plan, side) < 1e-9
    # Queries with their own norm or rotary positions keep to heads, strided values do not: the two meet elsewhere.
    if not any(word in name for word in ("query", "rotary", "talking")):
        plan = select_weights(teacher, student, rule="random", part=0, seed=3)
        assert mismatch(teacher, student, plan, side) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit", "swin", "mixer", "resnext, fewer and narrower groups", "densenet", "ghostnet"])
def test_the_check_itself_sees_inconsistent_choices(name):
    make_teacher, make_student, side = SAME_DEPTH[name]
    teacher, student = build(make_teacher, 1), build(make_student)
    plan = select_weights(teacher, student, rule="random_inconsistent")
    assert mismatch(teacher, student, plan, side) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", SHALLOWER)
def test_shallower_students(name):
    make_teacher, make_student, side = SHALLOWER[name]
    teacher = build(make_teacher, 1)
    for layers in ("first", "last", "uniform"):
        if name in ("densenet", "hgnet") and layers != "first":
            continue  # a concatenation of other layers is another one
        check_everything(teacher, build(make_student), build(make_student), side, layers=layers)


class TestLayers:
    def test_a_special_first_block_keeps_its_place(self):
        teacher, student = (resnet.ResNet(resnet.Bottleneck, depths) for depths in ((3, 4, 6, 3), (2, 2, 2, 2)))
        assert layer_selection(teacher, student, "last") == {
            "layer1": (0, 2), "layer2": (0, 3), "layer3": (0, 5), "layer4": (0, 2)
        }  # fmt: skip
        assert layer_selection(teacher, student, "uniform")["layer3"] == (0, 1)
        listed = layer_selection(teacher, student, {"layer3": [0, 4]})
        assert listed["layer3"] == (0, 4) and listed["layer2"] == (0, 1)
        with pytest.raises(SelectionError, match=r"layer 4 at the student's layer 0.*choose from \[0\] there"):
            plan_selection(teacher, student, layers={"layer3": [4, 5]})

    def test_shifted_windows_come_from_shifted_windows(self):
        teacher, student = swin(depths=(6, 6)), swin(depths=(2, 4))
        assert layer_selection(teacher, student, "last") == {"layers.0.blocks": (4, 5), "layers.1.blocks": (2, 3, 4, 5)}
        chosen = layer_selection(teacher, student, "uniform")
        assert all(there % 2 == here % 2 for stack in chosen.values() for here, there in enumerate(stack))

    def test_the_runs_of_a_vgg_are_its_stages(self):
        teacher, student = (plain_vgg(vgg.cfgs[name], num_classes=3) for name in ("vgg16", "vgg11"))
        chosen = layer_selection(teacher, student, {"features.run2": [0, 2]})
        assert chosen["features.run2"] == (0, 2) and chosen["features.run0"] == (0,)
        mapping = component_mapping(teacher, student, chosen)
        assert mapping["features.6.weight"] == "features.10.weight"
        assert mapping["features.8.weight"] == "features.14.weight"

    def test_named_blocks_are_a_stack(self):
        assert set(layer_selection(regnet(48, 16), regnet(24, 8))) == {"s1", "s2", "s3", "s4"}


class TestDetails:
    def test_groups_are_chosen_inside_or_whole(self):
        teacher = build(partial(bottleneck, cardinality=32, base_width=4), 1)
        plan = plan_selection(teacher, build(partial(bottleneck, cardinality=32, base_width=2)))
        (cut,) = next(r for r in plan.rows if r.tensor == "layer1.0.bn1.weight").cuts
        assert plan.index_sets[cut.indices] == tuple(4 * g + i for g in range(32) for i in (0, 2))
        plan = plan_selection(teacher, build(partial(bottleneck, cardinality=8, base_width=4)))
        (cut,) = next(r for r in plan.rows if r.tensor == "layer1.0.bn1.weight").cuts
        assert plan.index_sets[cut.indices] == tuple(4 * g + i for g in range(0, 32, 4) for i in range(4))

    def test_tables_of_relative_positions_follow_the_heads(self):
        teacher, student = build(partial(swin, **stages["wide"]), 1), build(partial(swin, **stages["narrow"]))
        select_weights(teacher, student, heads="whole")
        name = "layers.2.blocks.1.attn"
        own, whole = (model.get_submodule(name) for model in (student, teacher))
        assert torch.equal(own.relative_position_bias_table, whole.relative_position_bias_table[:, ::2])
        stream = torch.arange(0, 96, 2)
        assert torch.equal(own.qkv.weight[12:24], whole.qkv.weight[24:36][:, stream])  # head 1 is the teacher's head 2

    def test_patch_merging_takes_the_same_channels_of_each_neighbour(self):
        teacher, student = build(partial(swin, **stages["wide"]), 1), build(partial(swin, **stages["narrow"]))
        plan = plan_selection(teacher, student)
        row = next(r for r in plan.rows if r.tensor == "layers.1.downsample.reduction.weight")
        stream = range(0, 24, 2)
        assert plan.index_sets[row.cuts[1].indices] == tuple(i + 24 * place for place in range(4) for i in stream)

    def test_every_tensor_of_one_stream_makes_one_choice(self):
        teacher, student = (build(partial(vit, **w, init_values=1.0)) for w in (wide, narrow))
        plan = plan_selection(teacher, student)
        stream = ("cls_token", "pos_embed", "patch_embed.proj.bias", "norm.weight", "blocks.1.norm1.bias",
                  "blocks.0.mlp.fc2.bias", "blocks.0.attn.proj.bias", "blocks.1.ls2.gamma")  # fmt: skip
        assert len({row.cuts[-1].indices for row in plan.rows if row.tensor in stream}) == 1

    def test_a_classifier_of_several_layers_stays_out(self):
        make = partial(named, "levit_128s")
        plan = plan_selection(build(make), build(make))
        assert {row.tensor.split(".")[0] for row in plan.rows if row.action == "initial"} == {"head", "head_dist"}

    def test_indices_kept_as_buffers_are_the_students_own(self):
        teacher, student = build(partial(vit, **wide), 1), build(partial(vit, **narrow))
        for model, n in ((teacher, 9), (student, 4)):
            model.register_buffer("order", torch.arange(n))
        plan = select_weights(teacher, student)
        assert next(r for r in plan.rows if r.tensor == "order").reason == "geometry of the student, not a weight"

    def test_looking_at_a_model_leaves_it_as_it_was(self):
        model = named("resnet18").train()
        before = copy.deepcopy(model.state_dict())
        plan_selection(model, named("resnet18"))
        assert all(module.training for module in model.modules())
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


REFUSED = {
    "more stages": (partial(named, "vit_tiny_patch16_224"), partial(named, "swin_tiny_patch4_window7_224"), "no stack"),
    "other patches": (
        partial(mixer, embed_dim=48), partial(mixer, embed_dim=24, img_size=48),
        r"mlp_tokens.*counts places \(pixels, tokens or colours\), 16 in the teacher and 36|only 16 in the teacher",
    ),
    "other blocks": (partial(named, "mobilenetv3_large_100"), partial(named, "mobilenetv3_small_100"), "3 layers"),
    "other kernels": (partial(named, "dla34"), partial(named, "dla46_c"), "kernel 3x3 of the teacher is not 1x1"),
    "grouped to plain": (
        partial(bottleneck, cardinality=32, base_width=4), partial(bottleneck, base_width=32), "group"
    ),
    "more groups": (
        partial(bottleneck, cardinality=16, base_width=8), partial(bottleneck, cardinality=32, base_width=2),
        "32 groups of 2 cannot be whole groups of a teacher with 16",
    ),
    "another skip": (partial(named, "mobilevit_xs"), partial(named, "mobilevit_xxs"), "wired differently"),
    "channel attention": (
        partial(named, "xcit_nano_12_p16_224"), partial(named, "xcit_nano_12_p16_224"), "cannot be followed"
    ),
    "an unknown operation": (partial(named, "volo_d1_224"), partial(named, "volo_d1_224"), "the operation im2col"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_one_sentence(name):
    make_teacher, make_student, said = REFUSED[name]
    with pytest.raises(SelectionError, match=said) as refusal:
        select_weights(build(make_teacher), build(make_student))
    text = str(refusal.value)
    assert "\n" not in text and ". " not in text and len(text) < 400 and "; " in text
