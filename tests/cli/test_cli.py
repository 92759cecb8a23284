"""The command line, as a stranger meets it: own images, kills, mistakes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors
import timm
import torch
from PIL import Image

from dmws_lite.cli import main
from dmws_lite.selection.plan import Plan
from dmws_lite.teachers.load import load_teacher

COMMANDS = ("grids", "run", "report", "records", "select", "look", "train", "predict", "evaluate")
CLASSES = ("große Läsion", "normal", "other thing")
QUICK = ("--size", "32", "--epochs", "2", "--device", "cpu", "--quiet")


def save_as(number, picture, deep, folder):
    pictures = {
        "Bild ä 0.png": picture,
        "BILD 1.JPG": picture,
        "2.png": picture.convert("RGBA"),
        "3.png": Image.fromarray(deep * 16),
        "4.tiff": Image.fromarray(deep * 200),
        "5.TIF": picture.convert("RGB"),
        "6.tif": picture.convert("RGBA"),
    }
    name = list(pictures)[number]
    pictures[name].save(folder / name)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Three classes of small images in every format and bit depth, with names and files as people have them."""
    root = tmp_path_factory.mktemp("Bilder für Müller") / "eigene Bilder"
    random = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        folder = root / name / "Serie 1"
        folder.mkdir(parents=True)
        for number in range(7):
            grey = random.integers(0, 80, (36, 40)).astype(np.uint8)
            grey[:, 12 * label : 12 * label + 12] += 120
            picture = Image.fromarray(grey)
            save_as(number, picture, grey.astype(np.uint16), folder)
    (root / "normal" / "kaputt.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (root / "normal" / "notes.txt").write_text("not an image")
    return root


@pytest.fixture(scope="module")
def trained(strangers, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "mine"
    assert main(["train", str(strangers), "--out", str(out), *QUICK]) == 0
    return out


@pytest.fixture
def grid(tmp_path):
    """A grid of four runs on a folder of images."""
    content = {
        "name": "tiny",
        "defaults": {"dataset": "folder", "pair": "convnext_pocket", "size": 32, "epochs": 2, "batch_size": 8},
        "blocks": [{"fraction": 1.0, "seed": [0, 1], "method": ["ours", "cm1"]}],
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(content))
    return path


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def rows(text):
    return list(csv.DictReader(text.splitlines()))


def kill_when(arguments, reached):
    """Start a command in a process of its own and kill it, without warning, as soon as ``reached()``."""
    env = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        [sys.executable, "-m", "dmws_lite", *map(str, arguments)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not reached():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL


def without_time(record):
    changing = ("seconds", "date", "peak_memory_mib", "device", "checksum")
    kept = {key: value for key, value in record.items() if key not in changing}
    kept["history"] = [{key: value for key, value in row.items() if key != "seconds"} for row in record["history"]]
    return kept


# -- help and errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_every_help_names_the_exit_codes_and_has_examples(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0
    assert "exit codes:" in said and "130  stopped" in said and "examples:" in said and "dmws-lite" in said
    assert all(name in said for name in COMMANDS) or command


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out.startswith("dmws-lite 0.")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "arguments are required: COMMAND; see dmws-lite --help"),
        ("fly", "invalid choice: 'fly'"),
        ("run nothing", "grid 'nothing' is unknown; choose one of"),
        ("run no/such.yaml", "does not exist"),
        ("run GRID --share 3/2", "is not I/N"),
        ("run GRID --threads 0", "--threads 0 is out of range"),
        ("run GRID --out FILE", "is a file; give --out a folder"),
        ("report GRID --records EMPTY", "has no record of tiny"),
        ("report GRID --records nowhere", "has no record of tiny"),
        ("select convnext_pocket", "pass -o FILE"),
        ("select convnext_pocket -o s.bin", "does not end in .safetensors"),
        ("select convnext_pockets --dry-run", "is not a pair; choose one of vit_s16"),
        ("select vit_tinny_patch16_224 vit_tiny_patch16_224 --dry-run", "did you mean vit_tiny_patch16_224"),
        ("select vit_tiny_patch16_224 convnext_atto --dry-run", "stack of layers"),
        ("select vit_tiny_patch16_224 vit_tiny_patch16_224 --dry-run --student-args colour", "is not key=value"),
        ("select vit_tiny_patch16_224 vit_tiny_patch16_224 --dry-run --student-args colour=1", "cannot build"),
        ("select convnext_pocket --dry-run --teacher-weights nowhere.pth", "nowhere.pth do not exist"),
        ("select convnext_pocket --dry-run --teacher-weights GRID", "other things are not loaded; give safetensors"),
        ("select convnext_pocket --dry-run --layers 0,x", "is none of first, last, uniform"),
        ("train nowhere --out OUT", "nowhere does not exist; give the folder"),
        ("train FILE --out OUT", "is a file, not a folder"),
        ("train EMPTY --out OUT", "contains no folders"),
        ("train ONE --out OUT", "has 1 class (a), but classification needs at least 2"),
        ("train FEW --out OUT", "class 'a' has 1 distinct image(s)"),
        ("train PARTS --out OUT", "pass --parts pool to read them as one set"),
        ("train FEW --out FEW/run", "lies inside the images"),
        ("train FEW --out ONE", "holds files that belong to no run"),
        ("train FEW --out FILE", "is a file; give a new folder"),
        ("train FEW --out OUT --fraction 5", "--fraction 5.0 is out of range"),
        ("train FEW --out OUT --learning-rate 0", "--learning-rate 0 trains nothing"),
        ("train FEW --out OUT --epochs 0", "give exactly one"),
        ("train GOOD --out OUT --size 8", "takes sides that are at least 32"),
        ("train FEW --out OUT --strategy skd --method cm1", "the strategy needs one of ours"),
        ("train FEW", "required: --out"),
        ("predict nowhere a.png", "nowhere does not exist; give the --out folder"),
        ("predict EMPTY FILE", "holds no trained model; give the --out folder"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_code_2(line, message, grid, tmp_path, capsys):
    for name, layout in {"ONE": ["a"], "FEW": ["a", "b"], "PARTS": ["Training/a", "Training/b", "Testing/a"]}.items():
        for folder in layout:
            (tmp_path / name / folder).mkdir(parents=True)
            Image.new("L", (40, 40)).save(tmp_path / name / folder / "1.png")
    for shade, name in enumerate(("GOOD/a/1", "GOOD/a/2", "GOOD/b/1", "GOOD/b/2")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 40), 50 * shade).save(tmp_path / f"{name}.png")
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "FILE").write_text("not an image")
    places = {name: str(tmp_path / name) for name in ("ONE", "FEW", "GOOD", "PARTS", "EMPTY", "FILE", "OUT")}
    places |= {"nowhere": str(tmp_path / "nowhere"), "GRID": str(grid), "FEW/run": str(tmp_path / "FEW" / "run")}
    assert main([places.get(word, word) for word in line.split()]) == 2
    lines = [row for row in capsys.readouterr().err.splitlines() if row.strip() and not row.startswith("reading")]
    assert len(lines) == 1 and lines[0].startswith("error: ") and message in lines[0], lines
    assert not (tmp_path / "OUT").exists()


# -- grids ------------------------------------------------------------------------------------------------------------


def test_the_grids_are_listed(capsys):
    assert main(["grids"]) == 0
    said = capsys.readouterr().out
    assert "tables" in said and "phantom_ablations" in said


def test_a_dry_run_says_what_is_missing_and_writes_nothing(grid, strangers, tmp_path, capsys):
    before = files(tmp_path)
    command = ["run", str(grid), "--data", str(strangers), "--out", str(tmp_path / "out"), "--dry-run"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "tiny: 0 runs done, 4 missing; about" in said and "ours" in said and "100%" in said
    assert files(tmp_path) == before
    assert main(["run", str(grid), "--out", str(tmp_path / "out"), "--dry-run"]) == 1  # no --data
    answer = capsys.readouterr()
    assert "4 on data that cannot be read" in answer.out and "data set 'folder' cannot be read" in answer.err
    assert files(tmp_path) == before


@pytest.mark.slow
def test_a_grid_killed_and_started_again_ends_like_one_that_was_not(grid, strangers, tmp_path, capsys):
    def command(out):
        return ["run", str(grid), "--data", str(strangers), "--out", str(tmp_path / out), "--quiet"]

    killed = tmp_path / "killed"
    kill_when(command("killed"), lambda: any(killed.glob("*.json")))
    done = {path: path.read_bytes() for path in killed.glob("*.json")}
    assert 1 <= len(done) < 4
    assert main(command("killed")) == 0
    assert f"tiny: {4 - len(done)} runs finished, 4 of 4 records" in capsys.readouterr().out
    assert all(path.read_bytes() == content for path, content in done.items()), "what was there was done again"
    assert main(command("killed")) == 0
    assert "tiny: 0 runs finished, 4 of 4 records" in capsys.readouterr().out

    assert main(command("whole")) == 0
    capsys.readouterr()
    whole = {path.name: json.loads(path.read_text()) for path in (tmp_path / "whole").glob("*.json")}
    again = {path.name: json.loads(path.read_text()) for path in killed.glob("*.json")}
    assert {n: without_time(r) for n, r in again.items()} == {n: without_time(r) for n, r in whole.items()}
    assert {record["command"] for record in whole.values()} == {"dmws-lite run tiny.yaml --data FOLDER"}

    tables = []
    for name in ("killed", "whole"):
        report = tmp_path / f"report of {name}"
        assert main(["report", str(grid), "--records", str(tmp_path / name), "--out", str(report)]) == 0
        printed = capsys.readouterr().out
        assert printed.strip() == (report / "tiny.md").read_text().strip()
        tables.append((printed, (report / "tiny.csv").read_text()))
        assert {path.suffix for path in report.iterdir()} == {".md", ".csv", ".png", ".svg"}
    assert tables[0] == tables[1]


def test_a_run_that_fails_is_named_and_stops_nothing(grid, strangers, tmp_path, capsys):
    content = json.loads(grid.read_text())
    content["blocks"] = [
        {"dataset": "mri", "fraction": 1.0, "seed": 0, "method": "cm1", "epochs": 1},
        {"fraction": 1.0, "seed": 0, "method": "cm1", "epochs": 1},
    ]
    grid.write_text(json.dumps(content))
    out = tmp_path / "out"
    command = ["run", str(grid), "--data", str(strangers), "--out", str(out), "--quiet"]
    assert main(command) == 1
    answer = capsys.readouterr()
    assert "1 run finished, 1 of 2 records" in answer.out and "1 failed" in answer.out
    assert any(line.startswith("failed: mri-") for line in answer.err.splitlines())
    (failure,) = out.glob("*.failed.json")
    assert "FileNotFoundError" in json.loads(failure.read_text())["error"]
    assert main(["report", str(grid), "--records", str(out), "--out", str(tmp_path / "report")]) == 0
    assert f"warning: 1 of 2 runs are missing in {out}" in capsys.readouterr().err


def test_ctrl_c_says_what_is_kept(grid, tmp_path, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("dmws_lite.cli.grid.run_grid", stopped)
    assert main(["run", str(grid), "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.startswith("stopped: 0 of 4 records are kept in")


def test_default_folders(grid, root, tmp_path, monkeypatch):
    from dmws_lite.cli.grid import records_folder
    from dmws_lite.experiments.grids import GridError, read_grid

    monkeypatch.chdir(root)
    assert records_folder("tables", read_grid("tables")).as_posix() == "data/results/tables"
    assert records_folder(str(grid), read_grid(grid)).as_posix() == "runs/tiny"
    with pytest.raises(GridError, match="cannot be a folder's name"):
        records_folder(str(grid), read_grid({**json.loads(grid.read_text()), "name": "../out"}))


# -- select -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_selected_weights_load_in_timm(tmp_path, capsys):
    path, plan = tmp_path / "s.safetensors", tmp_path / "plan.json"
    command = [
        "select",
        "convnext_pocket",
        "-o",
        str(path),
        "--num-classes",
        "4",
        "--plan",
        str(plan),
        "--part",
        "both",
    ]
    assert main(command) == 0
    recipe = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("load it with: "))
    student = eval(recipe.removeprefix("load it with: "), {"timm": timm})
    teacher = load_teacher("convnext_pocket", quiet=True)
    chosen = Plan.load(plan).tensors(teacher.state_dict())
    assert len(chosen) == len(student.state_dict()) - 2 and student.num_classes == 4
    assert all(torch.equal(student.state_dict()[name], value) for name, value in chosen.items())
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["dmws_lite"])
    assert about["rule"] == "uniform" and about["part"] == "main" and about["dmws_lite"]
    other = timm.create_model(
        "convnext_tiny", checkpoint_path=tmp_path / "s-auxiliary.safetensors", num_classes=4, **about_pair()
    )
    assert not torch.equal(other.stem[0].weight, student.stem[0].weight)
    first = path.read_bytes()
    assert main(command) == 0 and path.read_bytes() == first


def about_pair():
    from dmws_lite.teachers.pairs import PAIRS

    return dict(PAIRS["convnext_pocket"].student_args)


SMALL = ("--student-args", "embed_dim=96", "img_size=64", "depth=2", "--num-classes", "3")


def test_any_timm_pair_from_a_file_of_weights(tmp_path, capsys):
    teacher = timm.create_model("vit_tiny_patch16_224", num_classes=7)  # not timm's usual number of classes
    torch.save(teacher.state_dict(), tmp_path / "teacher.pth")
    path = tmp_path / "s.safetensors"
    names = ["vit_tiny_patch16_224", "vit_tiny_patch16_224", "-o", str(path)]
    assert main(["select", *names, "--teacher-weights", str(tmp_path / "teacher.pth"), "--layers", "0,6", *SMALL]) == 0
    arguments = {"embed_dim": 96, "img_size": 64, "depth": 2, "num_classes": 3}
    student = timm.create_model("vit_tiny_patch16_224", checkpoint_path=path, **arguments)
    assert torch.equal(student.blocks[1].norm1.weight, teacher.blocks[6].norm1.weight[::2])
    weights = teacher.state_dict()
    prefixed = {f"model.{key}": value for key, value in weights.items()}
    containers = {
        "net": {"net": weights, "epoch": 1},
        "tutorial": {"model_state_dict": weights, "optimizer_state_dict": {"state": {0: {}}}, "epoch": 1},
        "lightning": {"state_dict": prefixed, "epoch": 1},
        "two prefixes": {"state_dict": {f"net.{key}": value for key, value in prefixed.items()}},
    }
    for name, content in containers.items():
        torch.save(content, tmp_path / f"{name}.pth")
        line = ["select", *names, "--teacher-weights", str(tmp_path / f"{name}.pth"), "--layers", "0,6", *SMALL]
        assert main(line) == 0, name
        student = timm.create_model("vit_tiny_patch16_224", checkpoint_path=path, **arguments)
        assert torch.equal(student.blocks[1].norm1.weight, teacher.blocks[6].norm1.weight[::2]), name
    for content, message in (
        ({"a": weights, "b": weights}, "holds 2 sets of weights, in its entries a, b"),
        ({"epoch": 1, "other": {"x": torch.zeros(2)}}, "it holds epoch, other, and no entry has the names"),
    ):
        torch.save(content, tmp_path / "odd.pth")
        capsys.readouterr()
        assert main(["select", *names, "--teacher-weights", str(tmp_path / "odd.pth"), *SMALL]) == 2
        assert message in capsys.readouterr().err
    torch.save(os.system, tmp_path / "evil.pth")
    assert main(["select", *names, "--teacher-weights", str(tmp_path / "evil.pth"), *SMALL]) == 2
    assert "holds no plain weights" in capsys.readouterr().err


def test_a_dry_run_prints_the_plan_and_needs_no_weights(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["select", "vit_tiny_patch16_224", "vit_tiny_patch16_224", "--dry-run", *SMALL]) == 0
    assert "patch_embed.proj.weight" in capsys.readouterr().out
    assert files(tmp_path) == []


def test_without_the_hub_the_remedy_is_said(tmp_path, capsys, monkeypatch):
    def down(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr("dmws_lite.teachers.hub.get_hf_file_metadata", down)
    monkeypatch.setattr("dmws_lite.teachers.hub._cached_hub_file", lambda *_: None)
    names = ["vit_small_patch16_224", "vit_tiny_patch16_224", "-o", str(tmp_path / "s.safetensors")]
    assert main(["select", *names]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no route" in said and "--teacher-weights FILE" in said
    assert files(tmp_path) == []


# -- train and predict ------------------------------------------------------------------------------------------------


def test_a_strangers_folder_is_trained_on(trained, strangers, capsys):
    assert files(trained) == [
        "MODEL_CARD.md",
        "doubt.safetensors",
        "model.json",
        "model.safetensors",
        "record.json",
        "settings.json",
        "test_files.csv",
    ]
    record = json.loads((trained / "record.json").read_text())
    assert record["classes"] == sorted(CLASSES) and record["split"] == {**record["split"], "train": 18, "test": 3}
    # The rule of book/paper_vs_here.md: one selection, augmentation on, a peak rate of 0.001.
    assert (record["method"], record["augmentation"], record["learning_rate"]) == ("cm1", "standard", 0.001)
    tested = rows((trained / "test_files.csv").read_text())
    right = sum(row["label"] == row["predicted"] for row in tested)
    assert len(tested) == 3 and record["metrics"]["accuracy"] == pytest.approx(right / 3)
    assert not (strangers / "mine").exists()

    before = {path: path.stat().st_mtime_ns for path in trained.iterdir()}
    assert main(["train", str(strangers), "--out", str(trained), *QUICK]) == 0
    answer = capsys.readouterr()
    assert "it has finished" in answer.out and "truth \\ predicted" in answer.out
    assert "95% interval" in answer.out and "not read: normal/kaputt.png" in answer.err
    assert before == {path: path.stat().st_mtime_ns for path in trained.iterdir()}


def test_another_run_in_the_same_folder_is_refused(trained, strangers, tmp_path, capsys):
    assert main(["train", str(strangers), "--out", str(trained), *QUICK, "--seed", "1"]) == 2
    assert "holds another run: seed was 0, now 1; give another --out" in capsys.readouterr().err
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("L", (40, 40), 60 * number + 10 * (name == "a")).save(tmp_path / name / f"{number}.png")
    assert main(["train", str(tmp_path), "--out", str(trained), *QUICK]) == 2
    assert "holds a run on other images" in capsys.readouterr().err


def test_patients_named_by_the_paths_stay_on_one_side(tmp_path, capsys):
    for k in range(2):
        (tmp_path / "in" / "ab"[k]).mkdir(parents=True)
        for person in range(6):
            for scan in range(2):
                shade = 10 * person + 100 * k + scan
                Image.new("L", (40, 40), shade).save(tmp_path / "in" / "ab"[k] / f"p{person + 6 * k}-{scan}.png")
    command = ["train", str(tmp_path / "in"), "--out", str(tmp_path / "out"), *QUICK, "--patient", r"p\d+"]
    assert main([*command, "--split-rule", "random"]) == 2
    assert "--split-rule random would split patients" in capsys.readouterr().err
    assert main(command) == 0
    answer = capsys.readouterr()
    assert "patients: each on one side" in answer.out
    tested = [row["file"] for row in rows((tmp_path / "out" / "test_files.csv").read_text())]
    people = {name.partition("-")[0] for name in tested}
    assert len(tested) == 2 * len(people) > 0, "both scans of a patient are in the test, or none"
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["test_groups"] == len(people) and record["patient"] == r"p\d+"
    assert "patients on one side, as their paths say" in (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert main(command[:-2]) == 2
    assert r"patient was p\d+, now not given" in capsys.readouterr().err
    assert main([*command[:-1], "scan(x"]) == 2


@pytest.mark.slow
def test_a_training_killed_goes_on_with_the_same_command(trained, strangers, tmp_path, capsys):
    out = tmp_path / "killed"
    command = ["train", str(strangers), "--out", str(out), *QUICK]
    longer = [word if word != "2" else "12" for word in command]
    kill_when(longer, lambda: (out / "checkpoint.pt").exists())
    assert not (out / "record.json").exists()
    assert main(["predict", str(out), str(strangers)]) == 2
    assert "its training is not finished" in capsys.readouterr().err
    assert main(longer) == 0
    assert "resuming the run begun" in capsys.readouterr().out
    whole = tmp_path / "whole"
    assert main([word if word != str(out) else str(whole) for word in longer]) == 0
    first, second = (json.loads((folder / "record.json").read_text()) for folder in (out, whole))
    assert without_time(first) == without_time(second)
    assert (out / "test_files.csv").read_text() == (whole / "test_files.csv").read_text()
    assert files(out) == files(trained)


def test_predictions_are_those_of_the_training(trained, strangers, tmp_path, capsys):
    assert main(["predict", str(trained), str(strangers), "--quiet", "--csv", str(tmp_path / "p.csv")]) == 1
    answer = capsys.readouterr()
    assert "not a medical device" in answer.err and "kaputt.png" in answer.err
    assert answer.out.startswith(f"written: {tmp_path / 'p.csv'}, 21 images (") and answer.out.count("\n") == 1
    found = {row["file"].removeprefix(f"{strangers}/"): row for row in rows((tmp_path / "p.csv").read_text())}
    assert len(found) == 21
    for row in rows((trained / "test_files.csv").read_text()):
        again = found[row["file"]]
        assert again["predicted"] == row["predicted"]
        for name in CLASSES:
            assert float(again[f"p({name})"]) == pytest.approx(float(row[f"p({name})"]), abs=2e-4)


def test_single_files_and_what_is_none(trained, strangers, tmp_path, capsys):
    good = strangers / "normal" / "Serie 1" / "3.png"
    assert main(["predict", str(trained), str(good), "--quiet"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert row["file"] == str(good) and sum(float(row[f"p({name})"]) for name in CLASSES) == pytest.approx(1, abs=1e-3)
    text = strangers / "normal" / "notes.txt"
    assert main(["predict", str(trained), str(text), "gone.png", str(good), str(tmp_path), "--quiet"]) == 1
    answer = capsys.readouterr()
    assert len(rows(answer.out)) == 1
    for message in ("gone.png: does not exist", "notes.txt: not in an image format", "no image in this folder"):
        assert message in answer.err


def test_changed_weights_are_refused(trained, strangers, tmp_path, capsys):
    for name in files(trained):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert main(["predict", str(tmp_path), str(strangers)]) == 2
    assert "its SHA-256 is" in capsys.readouterr().err


def test_the_whole_teacher_can_be_trained_and_used(strangers, tmp_path, capsys):
    out = tmp_path / "teacher"
    options = ["--method", "teacher", "--size", "32", "--epochs", "1", "--device", "cpu", "--quiet"]
    assert main(["train", str(strangers), "--out", str(out), *options]) == 0
    capsys.readouterr()
    assert main(["predict", str(out), str(strangers / "normal" / "Serie 1"), "--quiet"]) == 0
    assert len(rows(capsys.readouterr().out)) == 7
