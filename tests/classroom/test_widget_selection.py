"""The selection explorer: the page chooses, counts and wires as the package does."""

import itertools
import json

import numpy as np
import pytest
import timm
import torch
from browser import number, open_page, overflow, put, widget_page
from traitlets import TraitError

from dmws_lite import element_indices, load_images, load_teacher, make_student, plan_selection
from dmws_lite.classroom.widgets import selection, selection_explorer
from dmws_lite.classroom.widgets.base import script
from dmws_lite.classroom.widgets.selection import (
    AXES,
    HEAD,
    HIDDEN,
    N_TEACHER,
    SEEDS,
    STUDENTS,
    chosen,
    matching,
)
from dmws_lite.images.augment import input_statistics, normalise
from dmws_lite.selection.plan import Cut, Plan, Row, coverage
from dmws_lite.selection.rules import index_rules

NAME = "element-selection"
ROOT = f'[data-widget="{NAME}"]'


@pytest.fixture(scope="module")
def teacher() -> torch.nn.Module:
    return load_teacher("convnext_pocket")


@pytest.fixture(scope="module")
def widget(teacher):
    return selection_explorer(teacher)


def plan_of_shown(names, rule, part, n_student, heads, seed) -> Plan:
    """A plan of the two shown matrices and nothing else, for the package's own counting."""
    sets, rows = {}, []
    for tensor, name in enumerate(names):
        for axis in (0, 1):
            picked = chosen(names, (tensor, axis), n_student, rule, part, heads, seed)
            sets[f"{tensor}/{axis}"] = tuple(picked)
        cuts = tuple(Cut(axis, N_TEACHER, n_student, rule, f"{tensor}/{axis}") for axis in (0, 1))
        rows.append(Row(name, (n_student,) * 2, "select", name, (N_TEACHER,) * 2, cuts=cuts))
    return Plan(rule, part, heads, seed, {}, tuple(rows), index_sets=sets)


# -- what Python prepares ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", index_rules())
def test_the_axes_of_the_stream_are_cut_as_in_a_real_plan(teacher, widget, rule) -> None:
    # All 48 channels of the stream are shown, so here the widget and a real selection must agree to the index.
    student = make_student("convnext_pocket", 4, 64)
    plan = plan_selection(teacher, student, rule=rule, part=1, seed=3)
    rows = {row.tensor: row for row in plan.rows}
    for axis in ((0, 1), (1, 0)):
        cut = next(c for c in rows[widget.names[axis[0]]].cuts if c.axis == axis[1])
        assert (cut.n_teacher, cut.n_student) == (N_TEACHER, 24)
        assert chosen(widget.names, axis, 24, rule, 1, "strided", 3) == list(plan.index_sets[cut.indices])


@pytest.mark.parametrize("heads", ["strided", "whole"])
@pytest.mark.parametrize("rule", ["uniform", "consecutive", "random"])
def test_heads_are_cut_as_in_a_real_attention(widget, rule, heads) -> None:
    def vit(width: int) -> torch.nn.Module:
        size = {"embed_dim": width, "num_heads": width // HEAD, "depth": 1, "num_classes": 2, "img_size": 32}
        return timm.create_model("vit_tiny_patch16_224", **size)

    for n_student in (32, 20):
        plan = plan_selection(vit(N_TEACHER), vit(n_student), rule=rule, heads=heads, seed=2)
        rows = {row.tensor: row for row in plan.rows}
        fused = plan.index_sets[rows["blocks.0.attn.qkv.weight"].cuts[0].indices]
        value = [i - 2 * N_TEACHER for i in fused[-n_student:]]  # the third of query, key and value
        output = next(c for c in rows["blocks.0.attn.proj.weight"].cuts if c.axis == 1)
        assert chosen(widget.names, (0, 0), n_student, rule, 0, heads, 2) == value
        assert chosen(widget.names, (1, 1), n_student, rule, 0, heads, 2) == list(plan.index_sets[output.indices])


def test_what_was_drawn_is_what_the_random_rules_choose(widget) -> None:
    assert len(widget.drawn) == len(STUDENTS) * SEEDS
    texts = widget.drawn["20/4"]["random_inconsistent/strided"]
    for (tensor, axis), text in zip(AXES, texts):
        for part in (0, 1):
            key = f"{widget.names[tensor]}/{axis}"
            expected = element_indices(N_TEACHER, 20, "random_inconsistent", part, 4, key).tolist()
            assert [i for i, digit in enumerate(text) if int(digit) & (part + 1)] == expected
    assert len(set(texts)) == 4 and len(set(widget.drawn["20/4"]["random/strided"])) == 1


def test_the_weights_are_the_teachers(teacher, widget) -> None:
    for tensor, (name, shown) in enumerate(zip(widget.names, widget.weights)):
        real = teacher.state_dict()[name].flatten(1)
        rows, columns = widget.channels[2 * tensor : 2 * tensor + 2]
        assert torch.allclose(torch.tensor(shown), real[rows][:, columns], atol=5.1e-4)
        assert widget.lengths[2 * tensor : 2 * tensor + 2] == list(real.shape)
    assert widget.channels[0] == widget.channels[3] == list(range(0, 192, 4))


def test_the_figure_tells_the_same(widget) -> None:
    assert [matching(*widget.wiring(consistent)) for consistent in (True, False)] == [24, 0]
    whole, broken = (widget.agreement(consistent) for consistent in (True, False))
    assert whole > 0.75 > 0.1 > broken
    assert "24 of 24 wires" in widget.alt() and f"the correlation is {broken:.2f}" in widget.alt()
    titles = [ax.get_title("left") for ax in widget.figure().axes]
    assert f"24 of 24 fit\noutput {whole:+.2f}" in titles and f"0 of 24 fit\noutput {broken:+.2f}" in titles
    assert "data:image/png" in widget.fallback()


def test_errors_name_value_range_and_remedy(teacher) -> None:
    with pytest.raises(ValueError, match="computes 192 channels and the second reads 48.*mlp.fc1 and mlp.fc2"):
        selection_explorer(teacher, [selection.LAYERS[0]] * 2)
    with pytest.raises(ValueError, match="has 1 names; give two"):
        selection_explorer(teacher, ["stem.0"])
    with pytest.raises(ValueError, match="an axis has 8 channels and 48 are shown"):
        selection.sample(torch.zeros(64, 8), torch.zeros(48, 64))
    with pytest.raises(ValueError, match="48 and 30 channels are not both whole heads of 4"):
        selection.axis_indices(48, 30, "uniform", head=4)
    with pytest.raises(TraitError):
        selection_explorer(teacher, n_student=23)


def test_the_agreement_is_that_of_the_outputs(teacher, widget) -> None:
    """The covariance gives what computing every output of the excerpt gives, for a right and a wrong wiring."""
    block = teacher.get_submodule("stages.0.blocks.0.mlp")
    inputs = []
    watch = block.fc2.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0].detach()))
    with torch.no_grad():
        pixels = load_images("phantom-mri", n=40, size=64, progress=False).pixels
        teacher.eval()(normalise(pixels, *input_statistics(teacher)))
    watch.remove()
    hidden = inputs[0].flatten(0, -2)[:, widget.channels[3]].numpy()
    weights = np.array(widget.weights[1])
    for computed, read in ((range(0, 48, 2), range(0, 48, 2)), (range(0, 48, 2), range(1, 48, 2))):
        whole, cut = hidden @ weights.T, hidden[:, list(computed)] @ weights[:, list(read)].T
        expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(whole.T, cut.T)])
        found = selection.output_agreement(widget.covariance, widget.weights[1], computed, read)
        assert found == pytest.approx(expected, abs=2e-3)


# -- what the page does -----------------------------------------------------------------------------------------------


@pytest.fixture
def shown(chromium, tmp_path, widget):
    """A function that opens the widget on a page of a given width."""
    pages = []

    def show(width: int, **start):
        one = selection_explorer(load_teacher("convnext_pocket"), **start) if start else widget
        page = open_page(chromium, widget_page(tmp_path, [one]), width=width, wait=f"{ROOT} .dmws-strip")
        pages.append(page)
        return page

    yield show
    for page in pages:
        faults = page.faults
        page.close()
        assert faults == []


def indices(page) -> list[list[list[int]]]:
    """The four axes, each with the elements of main and of the auxiliary."""
    found = json.loads(page.locator(ROOT).get_attribute("data-indices"))
    return [[axis["main"], axis["aux"]] for axis in found]


def counted(page) -> dict[str, float]:
    """All numbers of the widget, and how many wires and broken wires each student has."""
    return page.locator(ROOT).evaluate(
        """root => Object.fromEntries([
            ...[...root.querySelectorAll("[data-number]")].map(({dataset}) => [dataset.name, Number(dataset.number)]),
            ...["main", "aux"].flatMap((who) => ["wire", "wire-broken"].map((kind) => [
                `${kind} ${who}`, root.querySelectorAll(`.dmws-${kind}[data-part="${who}"]`).length])),
        ])"""
    )


def choose_rule(page, rule: str) -> None:
    put(page, NAME, "rule", rule.removesuffix("_inconsistent"))
    box = page.locator(f'{ROOT} [data-name="consistent"]')
    if box.is_checked() == rule.endswith("_inconsistent"):
        box.press("Space")


def test_integer_rules_of_the_script_are_those_of_python(chromium) -> None:
    sizes = [(n, k) for n in range(1, 41) for k in range(1, n + 1)] + [(768, 288), (192, 96), (1000, 333), (97, 64)]
    body = script("selection").replace("export default { render };", "")
    page = chromium.new_page()
    try:
        call = "sizes.map(([n, k]) => [uniform, consecutive].map((rule) => [rule(n, k, 0), rule(n, k, 1)]))"
        found = page.evaluate(f"sizes => {{ {body}\n return {call}; }}", [list(pair) for pair in sizes])
    finally:
        page.close()
    for (n, k), rules in zip(sizes, found):
        for rule, parts in zip(("uniform", "consecutive"), rules):
            assert parts == [element_indices(n, k, rule, part).tolist() for part in (0, 1)], (n, k, rule)


def test_every_setting_of_the_controls_is_what_python_chooses_and_counts(shown, widget) -> None:
    page = shown(1000)
    names = widget.names
    for rule, heads in itertools.product(index_rules(), ("strided", "whole")):
        choose_rule(page, rule)
        put(page, NAME, "heads", heads)
        for place, n_student in enumerate(STUDENTS):
            seed = place % SEEDS if rule.startswith("random") else 0
            if rule.startswith("random"):
                put(page, NAME, "seed", str(seed))
            put(page, NAME, "ratio", f"{N_TEACHER / n_student:g}")
            expected = [[chosen(names, axis, n_student, rule, part, heads, seed) for part in (0, 1)] for axis in AXES]
            assert indices(page) == expected, (rule, heads, n_student)
            plans = [plan_of_shown(names, rule, part, n_student, heads, seed) for part in (0, 1)]
            one, two, both = coverage(plans[0]), coverage(plans[1]), coverage(*plans)
            found = counted(page)
            for what in ("channels", "weights"):
                wanted = {"main": one[what], "aux": two[what], "union": both[what], "shared": both[f"shared_{what}"]}
                for who, share in wanted.items():
                    assert found[f"{what}-{who}"] == pytest.approx(100 * share, abs=1e-9)
            first, second = (expected[AXES.index(axis)] for axis in HIDDEN)
            for part, who in enumerate(("main", "aux")):
                fits = matching(first[part], second[part])
                assert found[f"wired-{who}"] == fits
                assert (found[f"wire {who}"], found[f"wire-broken {who}"]) == (n_student, n_student - fits)
                assert (fits < n_student) == (rule == "random_inconsistent")
                right = selection.output_agreement(widget.covariance, widget.weights[1], first[part], second[part])
                assert found[f"agreement-{who}"] == pytest.approx(right, abs=1e-9)
            mixed = [{i // HEAD for i in first[0][k : k + HEAD]} for k in range(0, n_student, HEAD)]
            assert found["heads-mixed"] == pytest.approx(sum(map(len, mixed)) / len(mixed))
            assert found["heads-mixed"] == 1 or heads == "strided"
    assert page.locator(f"{ROOT} [data-name=seed]").is_enabled()


def test_heads_are_mixed_by_striding(shown) -> None:
    page = shown(1000, n_student=24)
    assert number(page, NAME, "heads-mixed") == 2  # two teacher heads in each, as from ViT-S to ViT-T
    put(page, NAME, "rule", "consecutive")
    assert number(page, NAME, "heads-mixed") == 1


@pytest.mark.parametrize("rule", ["uniform", "consecutive"])
@pytest.mark.parametrize("heads", ["strided", "whole"])
def test_an_inconsistent_choice_keeps_the_rule_and_swaps_the_students_in_the_second_layer(
    shown, widget, rule, heads
) -> None:
    page = shown(1000)
    put(page, NAME, "rule", rule)
    put(page, NAME, "heads", heads)
    box, seed = (page.locator(f'{ROOT} [data-name="{name}"]') for name in ("consistent", "seed"))
    verdict = page.locator(f"{ROOT} [data-name=verdict]")
    assert box.is_checked() and seed.is_disabled() and "✓ Consistent" in verdict.inner_text()
    whole = number(page, NAME, "agreement-main")
    box.press("Space")
    assert page.locator(f"{ROOT} [data-name=rule]").input_value() == rule and seed.is_disabled()
    expected = [
        [chosen(widget.names, axis, 24, rule, part, heads, consistent=False) for part in (0, 1)] for axis in AXES
    ]
    assert indices(page) == expected
    computed, read = (expected[AXES.index(axis)][0] for axis in HIDDEN)
    assert not set(computed) & set(read)  # main: even rows and odd columns, or first half and second half
    broken = number(page, NAME, "agreement-main")
    assert broken == pytest.approx(selection.output_agreement(widget.covariance, widget.weights[1], computed, read))
    assert whole > 0.6 > 0.3 > broken
    assert "✗ Broken wiring" in verdict.inner_text() and "main 0 of 24" in verdict.inner_text()
    put(page, NAME, "rule", "random")
    assert not box.is_checked() and seed.is_enabled() and "random_inconsistent" in page.locator(ROOT).inner_text()


def test_one_student_alone(shown) -> None:
    page = shown(1000)
    put(page, NAME, "part", "aux")
    assert page.locator(f'{ROOT} .dmws-wire[data-part="main"]').count() == 0
    assert page.locator(f'{ROOT} .dmws-wire[data-part="aux"]').count() == 24
    assert "main" not in page.locator(f"{ROOT} [data-name=verdict]").inner_text()


@pytest.mark.parametrize("width", [1000, 360])
def test_keys_and_pointer_read_the_entries(shown, widget, width) -> None:
    page = shown(width)
    field, cell = (page.locator(f"{ROOT} [data-name={name}]") for name in ("field", "cell"))

    def read() -> tuple[str, int, int, int]:
        found = cell.evaluate("node => ({...node.dataset})")
        row, column = int(found["row"]), int(found["column"])
        assert number(page, NAME, "value") == widget.weights["AB".index(found["layer"])][row][column]
        axes = [2 * "AB".index(found["layer"]), 2 * "AB".index(found["layer"]) + 1]
        picks = indices(page)
        takers = sum(p + 1 for p in (0, 1) if row in picks[axes[0]][p] and column in picks[axes[1]][p])
        assert int(found["takers"]) == takers
        return found["layer"], row, column, takers

    along = "ArrowDown" if width == 1000 else "ArrowRight"  # the hidden channels run down, or across on a phone
    field.focus()
    for key in (along, along, along, "ArrowDown" if along == "ArrowRight" else "ArrowRight"):
        field.press(key)
    assert read() == ("A", 3, 1, 2)  # uniform at ratio 2: the auxiliary takes the odd ones
    text = cell.inner_text()
    assert "12 of 192 in the teacher" in text and "auxiliary takes it as its row 1, column 0" in text
    assert "In auxiliary, hidden channel 3 is read by column 1 of layer B, the same channel." in text
    field.press("Enter")
    assert read() == ("B", 1, 3, 2)
    field.press(f"Shift+{along}")
    assert read() == ("B", 1, 7, 2)
    for key in ("ArrowUp", "ArrowLeft") * N_TEACHER:
        field.press(key)
    assert read() == ("B", 0, 0, 1)
    layer = page.locator(f'{ROOT} [data-layer="1"] rect')
    layer.scroll_into_view_if_needed()
    box = layer.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + box["height"] - 1)
    assert read() == ("B", 47, 47, 2)
    page.mouse.move(box["x"] + 10.5 * box["width"] / N_TEACHER, box["y"] + 4.5 * box["height"] / N_TEACHER)
    assert read() == (("B", 10, 4, 1) if width == 1000 else ("B", 4, 10, 1))
    assert page.locator(f"{ROOT} .dmws-wire-here").count() == 1
    assert page.locator(".dmws-fallback").is_hidden() and overflow(page) <= 0


def test_the_reading_says_what_a_broken_wire_does(shown, widget) -> None:
    page = shown(360, rule="random", consistent=False, seed=1)
    first, second = (indices(page)[AXES.index(axis)][0] for axis in HIDDEN)
    i = next(i for i, (a, b) in enumerate(zip(first, second)) if a != b)
    field = page.locator(f"{ROOT} [data-name=field]")
    field.focus()
    for _ in range(first[i]):
        field.press("ArrowRight")
    text = page.locator(f"{ROOT} [data-name=cell]").inner_text()
    assert f"hidden channel {first[i]} is read by column {i} of layer B, channel {second[i]}: another one." in text
    assert overflow(page) <= 0
