"""The recipes of CONTRIBUTING.md, applied to a copy of the package exactly as they are written, then used."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FENCE = r"\n\n```\w+\n(?P<code>.*?)```\n"
STEP = re.compile(r"^(?:New file `(?P<new>[^`]+)`|In `(?P<old>[^`]+)`, after `(?P<after>[^`]+)`):" + FENCE, re.M | re.S)

# What shows that a recipe works, run in a Python of its own.
USES = {
    "Add a loss": """
        from dmws_lite.experiments.run import Run
        import torch
        from dmws_lite.distillation.strategies import Batch, make_strategy
        run = Run("mri", "convnext_pocket", "cm1", 0.1, 0, 64, epochs=1, strategy="confidence",
                  strategy_options={"weight": 0.3})
        batch = Batch(None, torch.tensor([0]), None, torch.zeros(1, 2), None, None, None, None)
        terms = make_strategy(run.strategy_name, **run.options).loss(batch)
        assert abs(terms["loss"].item() - 0.7 * terms["ce"].item()) < 1e-6
    """,
    "Add a rule": """
        from dmws_lite import element_indices, load_teacher, make_student, plan_selection
        assert element_indices(8, 4, "last").tolist() == [4, 5, 6, 7]
        plan = plan_selection(load_teacher("convnext_pocket"), make_student("convnext_pocket", 4), rule="last")
        assert plan.rule == "last"
    """,
    "Add a data set": """
        import tempfile
        from pathlib import Path
        from PIL import Image
        from dmws_lite import load_images
        with tempfile.TemporaryDirectory() as folder:
            for number, name in enumerate(("benign", "malignant", "normal")):
                place = Path(folder, "Dataset_BUSI_with_GT", name)
                place.mkdir(parents=True)
                Image.new("L", (20, 20), 50 * number).save(place / "a.png")
            images = load_images("breast", folder, size=16, progress=False)
        assert images.classes == ("benign", "malignant", "normal")
        from dmws_lite.images.sets import set_label
        assert set_label("breast", 3) == "Breast ultrasound (3 classes)"
    """,
    "Add a pair": """
        import timm
        from dmws_lite import make_student, plan_selection
        from dmws_lite.teachers.pairs import PAIRS, build_model
        pair = PAIRS["deit_s16"]
        teacher, student = build_model(pair.teacher_timm.partition(".")[0], {}, 1000), make_student("deit_s16", 4)
        for model, stated in ((teacher, pair.teacher_parameters), (student, pair.student_parameters)):
            head = sum(p.numel() for p in model.get_classifier().parameters())
            assert sum(p.numel() for p in model.parameters()) - head == stated
        assert plan_selection(teacher, student).rows
    """,
    "Add a method": """
        from dmws_lite import load_teacher, make_student, start_students
        from dmws_lite.experiments.run import Run
        from dmws_lite.figures import method_style
        teacher = load_teacher("convnext_pocket")
        main, auxiliary = start_students("cm1_odd", teacher, lambda: make_student("convnext_pocket", 4, 64))
        plain, _ = start_students("cm1", teacher, lambda: make_student("convnext_pocket", 4, 64))
        assert auxiliary is None and not main.stem[0].weight.equal(plain.stem[0].weight)
        assert method_style("cm1_odd") == ("CM1: the other channels", "#F0E442", "<")
        assert Run("mri", "convnext_pocket", "cm1_odd", 0.1, 0, 64, epochs=1).strategy_name == "labels"
    """,
    "Add a figure": """
        from dmws_lite import figures, load_images
        figure = figures.class_counts(load_images("phantom-ct", n=9, size=32, progress=False), "Classes")
        assert len(figure.axes[0].patches) == 3
    """,
    "Add a widget": """
        from dmws_lite.classroom.widgets import Doubling
        widget = Doubling(title="Doubling", number=4)
        assert "doubled, is 8" in widget.fallback() and "frame(el" in widget._esm
    """,
    "Add a profile": """
        from dmws_lite import profile
        assert profile("demo").size == 48
    """,
    "Add a metric": """
        import torch
        from dmws_lite.training.evaluate import score
        metrics = score(torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]]), torch.tensor([0, 1, 1, 1]))
        assert abs(metrics["balanced_accuracy"] - (1 + 2 / 3) / 2) < 1e-9
    """,
}


def recipes() -> dict[str, str]:
    parts = re.split(r"^### (.+)$", TEXT.split("## Recipes")[1], flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def test_every_recipe_is_used() -> None:
    assert list(recipes()) == list(USES)


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_a_recipe_works_as_it_is_written(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "dmws_lite", tmp_path / "dmws_lite", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").symlink_to(ROOT / "data")
    steps = list(STEP.finditer(recipes()[name]))
    assert steps, "a recipe has at least one step"
    for step in steps:
        if step["new"]:
            assert not (tmp_path / step["new"]).exists()
            (tmp_path / step["new"]).write_text(step["code"], encoding="utf-8")
            continue
        path = tmp_path / step["old"]
        lines = path.read_text(encoding="utf-8").split("\n")
        places = [number for number, line in enumerate(lines) if line.strip() == step["after"]]
        assert len(places) == 1, f"{step['old']} has {len(places)} lines {step['after']!r}"
        lines.insert(places[0] + 1, step["code"].rstrip("\n"))
        path.write_text("\n".join(lines), encoding="utf-8")
    code = re.sub(r"^ {8}", "", USES[name], flags=re.M)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
