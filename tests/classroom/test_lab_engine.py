"""The distillation lab's engine: its numbers are PyTorch's, its index lists are Python's, and the past comes back."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from lab_browser import Engine
from torch import nn

from dmws_lite.classroom.lab_presets import PARTS, STATIC, engine_script, lab_assets
from dmws_lite.distillation.loss import skd_loss
from dmws_lite.distillation.moving_average import update_auxiliary
from dmws_lite.experiments.statistics import paired_difference
from dmws_lite.selection.dual import select_weights
from dmws_lite.selection.rules import element_indices
from dmws_lite.training.config import TrainConfig, learning_rate_at

METHODS = ("random", "single", "same", "dual")
TAUGHT = ("same", "dual")
RULES = ("uniform", "consecutive", "random", "random_inconsistent", "magnitude")

# A run, and all that PyTorch needs to repeat it. `given.change` is applied after half of the steps.
RECORD = """
const run = new lab.Lab(given.settings, given.assets), plain = (v) => (v ? Array.from(v) : null);
const weights = () => Object.fromEntries(lab.METHODS.map((method, i) =>
  [method, { main: plain(run.pairs[i].main.values), auxiliary: plain(run.pairs[i].aux?.values) }]));
const answer = { sizes: run.sizes, x: plain(run.data.train.x), labels: plain(run.data.train.labels), start: weights(), batches: [], losses: [], rates: [] };
for (let i = 0; i < given.steps; i++) {
  if (i === given.steps / 2) run.change(given.change);
  answer.rates.push(run.rate);
  run.step();
  answer.batches.push([...run.batch]);
  answer.losses.push(lab.METHODS.map((method) => { const { loss, ce, kd } = run.losses[method]; return [loss, ce, kd]; }));
}
return { ...answer, end: weights(), share: run.share, distance: { same: run.pairs[2].distance(), dual: run.pairs[3].distance() } };
"""


@pytest.fixture(scope="module")
def lab(chromium) -> Engine:
    return Engine(chromium)


def linears(sizes, values, dtype):
    """The linear layers of a perceptron, filled from the lab's one array."""
    flat, layers = torch.tensor(values, dtype=torch.float64), []
    for inputs, outputs in itertools.pairwise(sizes):
        layer = nn.Linear(inputs, outputs, dtype=dtype)
        for parameter in (layer.weight, layer.bias):
            part, flat = flat[: parameter.numel()], flat[parameter.numel() :]
            parameter.data = part.reshape(parameter.shape).to(dtype)
        layers.append(layer)
    assert not len(flat)
    return layers


def perceptron(sizes, values, dtype=torch.float64):
    parts = [part for layer in linears(sizes, values, dtype) for part in (layer, nn.ReLU())]
    return nn.Sequential(*parts[:-1])


def flat(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()]).double()


def optimizer_of(network, settings):
    """As dmws_lite.training.fit makes its AdamW: only matrices decay."""
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    vectors = [p for p in network.parameters() if p.ndim < 2]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    make = torch.optim.AdamW if settings["optimizer"] == "adamw" else torch.optim.SGD
    return make(groups, lr=1.0, weight_decay=settings["decay"])


def double_terms(logits, aux_logits, labels, now):
    """Equations 1 to 5 in float64; the package's own loss computes in fp32."""
    ce = F.cross_entropy(logits, labels)
    if aux_logits is None:
        return {"loss": ce, "ce": ce, "kd": torch.zeros(())}
    soft, main = (z / now["tau"] for z in (aux_logits, logits))
    kd = F.kl_div(F.log_softmax(main, 1), F.softmax(soft, 1), reduction="batchmean")
    factor = now["tau"] ** 2 if now["tauSquared"] else 1
    return {"loss": now["alpha"] * ce + (1 - now["alpha"]) * factor * kd, "ce": ce, "kd": kd}


def package_terms(logits, aux_logits, labels, now):
    """The package's own loss."""
    if aux_logits is None:
        return {"loss": F.cross_entropy(logits, labels)}
    return skd_loss(logits, aux_logits, labels, now["alpha"], now["tau"])


@torch.no_grad()
def double_average(aux, main, beta):
    for own, other in zip(aux.parameters(), main.parameters()):
        own.copy_(beta * own + (1 - beta) * other)


def repeat(record, method, settings, change, dtype, terms_of, average):
    """Train one method again in PyTorch, step by step as dmws_lite.training.fit does."""
    start, now = record["start"][method], dict(settings)
    main = perceptron(record["sizes"], start["main"], dtype)
    aux = perceptron(record["sizes"], start["auxiliary"], dtype) if start["auxiliary"] else None
    x = torch.tensor(record["x"], dtype=torch.float64).reshape(-1, record["sizes"][0]).to(dtype)
    labels, optimizer, losses = torch.tensor(record["labels"]), optimizer_of(main, settings), []
    for step, batch in enumerate(record["batches"]):
        if step == len(record["batches"]) // 2:
            now.update(change)
        for group in optimizer.param_groups:
            group["lr"] = record["rates"][step]
        with torch.no_grad():
            aux_logits = aux and aux(x[batch])
        terms = terms_of(main(x[batch]), aux_logits, labels[batch], now)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        if aux is not None:
            average(aux, main, now["beta"])
        losses.append({name: value.item() for name, value in terms.items()})
    return main, aux, losses


USUAL = {"world": "plane", "task": "spirals", "rule": "uniform", "alpha": 0.6, "beta": 0.9, "tau": 3, "tauSquared": True,
         "rate": 0.01, "schedule": "cosine", "optimizer": "adamw", "decay": 0.05, "labels": 5, "noise": 0.2, "seed": 3,
         "steps": 200, "batch": 8}  # fmt: skip
MOVED = {"alpha": 0.3, "beta": 0.97, "tau": 1.5, "rate": 0.02}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tauSquared": False, "alpha": 0.1, "tau": 8},
        {"optimizer": "sgd", "rate": 0.1, "schedule": "constant"},
        {"optimizer": "sgd", "tauSquared": False, "rule": "random_inconsistent", "rate": 0.2},
        {"task": "rings", "alpha": 1, "beta": 1, "decay": 0},
        {"task": "waves", "alpha": 0, "beta": 0, "tau": 0.5, "rate": 0.003},
        {"world": "phantoms", "task": "mri", "rule": "magnitude", "rate": 0.003, "batch": 7},
    ],
    ids=lambda settings: ",".join(map(str, settings.values())) or "usual",
)
def test_weights_are_pytorchs_after_200_steps(lab, settings) -> None:
    settings = {**USUAL, **settings}
    given = {"settings": settings, "assets": lab_assets(), "steps": 200, "change": MOVED}
    record = lab.run(RECORD, given)
    assert len(record["batches"]) == 200
    for number, method in enumerate(METHODS):
        main, aux, losses = repeat(record, method, settings, MOVED, torch.float64, double_terms, double_average)
        end = record["end"][method]
        before = torch.tensor(record["start"][method]["main"], dtype=torch.float64)
        assert (flat(main) - before).abs().max() > 0.01, "nothing was learned, so nothing is compared"
        torch.testing.assert_close(flat(main), torch.tensor(end["main"], dtype=torch.float64), rtol=0, atol=1e-7)
        seen = torch.tensor([row[number] for row in record["losses"]], dtype=torch.float64)
        expected = torch.tensor([[terms[name] for name in ("loss", "ce", "kd")] for terms in losses]).double()
        torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)
        assert (aux is None) == (method not in TAUGHT)
        if aux is not None:
            torch.testing.assert_close(
                flat(aux), torch.tensor(end["auxiliary"], dtype=torch.float64), rtol=0, atol=1e-7
            )
            assert record["distance"][method] == pytest.approx((flat(main) - flat(aux)).norm().item(), abs=1e-6)
    assert record["share"] == pytest.approx(settings["beta"] ** 100 * MOVED["beta"] ** 100)


@pytest.mark.parametrize("optimizer, rate", [("adamw", 0.001), ("sgd", 0.1)])
def test_weights_are_the_packages_after_200_steps(lab, optimizer, rate) -> None:
    settings = {**USUAL, "optimizer": optimizer, "rate": rate}
    record = lab.run(RECORD, {"settings": settings, "assets": lab_assets(), "steps": 200, "change": {"alpha": 0.5}})
    for method in METHODS:
        parts = repeat(record, method, settings, {"alpha": 0.5}, torch.float32, package_terms, update_auxiliary)
        for network, role in zip(parts[:2], ("main", "auxiliary")):
            if network is not None:
                end = torch.tensor(record["end"][method][role], dtype=torch.float64)
                # The package computes in fp32, and 200 steps add up its rounding; in float64 it is 1e-7, see above.
                torch.testing.assert_close(flat(network), end, rtol=0, atol=5e-5)


def test_learning_rate_is_the_packages(lab) -> None:
    for steps in (1, 7, 25, 35, 200, 601):  # a tenth of 25 and of 35 is a half: Python rounds halves to even
        config = TrainConfig(learning_rate=0.02, warmup=0.1)
        body = "return Array.from({ length: given }, (_, i) => lab.learningRate(i, { rate: 0.02, schedule: 'cosine', steps: given }));"
        assert lab.run(body, steps) == pytest.approx([learning_rate_at(i, steps, config) for i in range(steps)])


def test_indices_are_pythons(lab) -> None:
    sizes, cases = ((64, 32), (8, 3), (48, 32), (20, 20), (7, 1), (64, 24)), []
    scores = [math.sin(7 * i) + 2 for i in range(64)]
    for (teacher, student), rule, part, seed in itertools.product(sizes, RULES, (0, 1), (0, 3, 12345)):
        key = f"fc{seed}.weight/{part}"
        cases.append(
            {
                "teacher": teacher,
                "student": student,
                "rule": rule,
                "part": part,
                "seed": seed,
                "key": key,
                "scores": scores[:teacher],
            }
        )
    found = lab.run("return given.map(lab.elementIndices);", cases)
    for case, indices in zip(cases, found):
        wide, narrow = case.pop("teacher"), case.pop("student")
        assert indices == element_indices(wide, narrow, **case).tolist(), case


class Perceptron(nn.Module):
    """The lab's network as the package sees it: an image of one pixel whose colours are the coordinates, or grey pixels."""

    def __init__(self, sizes, values, shape):
        super().__init__()
        self.fc1, self.fc2, self.head = linears(sizes, values, torch.float64)
        self.pretrained_cfg = {"input_size": shape}

    def get_classifier(self):
        return self.head

    def forward(self, image):
        return self.head(self.fc2(self.fc1(image.flatten(1)).relu()).relu())


TEACHER = """
const run = new lab.Lab(given.settings, given.assets);
return { teacher: { sizes: run.teacher.sizes, values: Array.from(run.teacher.values) }, sizes: run.sizes,
  random: Array.from(run.pairs[0].main.values), main: Array.from(run.pairs[3].main.values), auxiliary: Array.from(run.pairs[3].aux.values) };
"""


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("world, task, shape", [("plane", "spirals", (2, 1, 1)), ("phantoms", "mri", (1, 12, 12))])
def test_students_are_cut_as_the_package_cuts_them(lab, world, task, shape, rule) -> None:
    settings = {"world": world, "task": task, "rule": rule, "seed": 5}
    seen = lab.run(TEACHER, {"settings": settings, "assets": lab_assets()})
    teacher = Perceptron(seen["teacher"]["sizes"], seen["teacher"]["values"], shape)
    for part, role in enumerate(("main", "auxiliary")):
        student = Perceptron(seen["sizes"], seen["random"], shape)
        select_weights(teacher, student, rule=rule, part=part, seed=5)
        assert flat(student).tolist() == seen[role]


def test_the_past_comes_back(lab) -> None:
    body = """
    const run = new lab.Lab({ steps: 300, seed: 2 }, given), view = () => JSON.stringify([run.pairs.map((p) => p.copy()).map((c) => [...c.values, ...c.first, c.updates, ...(c.aux ?? [])]), run.share, run.settings]);
    run.step(100);
    const hundred = view();
    run.change({ beta: 0.5, alpha: 0.2 });
    run.step(77);
    const before = view(), batch = [...run.batch];
    run.step(1000);
    const end = view(), history = JSON.stringify(run.history), out = { steps: run.now };
    run.rewind(177); out.back = view() === before; out.batch = String(run.batch) === String(batch); out.kept = JSON.stringify(run.history) === history; out.latest = run.latest;
    run.rewind(300); out.forward = view() === end;
    run.rewind(100); out.changed = run.settings.beta;
    run.rewind(99); out.unchanged = run.settings.beta;
    run.rewind(177); run.step(300); out.again = view() === end && JSON.stringify(run.history) === history;
    run.rewind(150); run.change({ rate: 0.02 }); out.cut = [run.latest, Math.max(...run.history.steps)];
    run.step(300); out.other = view() !== end; out.lengths = lab.METHODS.every((m) => Object.values(run.history[m]).every((list) => list.length === run.history.steps.length));
    return out;"""
    expected = {"steps": 300, "back": True, "batch": True, "kept": True, "latest": 300, "forward": True, "changed": 0.5,
                "unchanged": 0.9, "again": True, "cut": [150, 144], "other": True, "lengths": True}  # fmt: skip
    assert lab.run(body, lab_assets()) == expected


def test_history_is_what_the_networks_do(lab) -> None:
    body = """
    const run = new lab.Lab({ steps: 50, every: 20, labels: 3 }, given);
    const start = run.history.single.main[0];
    let loss = 0;
    while (!run.finished) { run.step(); if (run.now > 40) loss += run.losses.dual.loss / 10; }
    const { x, labels, n } = run.data.test, K = run.data.classes, p = run.predict("dual", "auxiliary", x, n);
    let right = 0, sums = [];
    for (let b = 0; b < n; b++) { const row = [...p.subarray(b * K, b * K + K)]; sums.push(row.reduce((u, v) => u + v)); right += row.indexOf(Math.max(...row)) === labels[b]; }
    const teacher = run.predict("teacher", "teacher", run.data.source.x, run.data.source.n), S = run.data.source.classes;
    let known = 0;
    for (let b = 0; b < run.data.source.n; b++) { const row = [...teacher.subarray(b * S, b * S + S)]; known += row.indexOf(Math.max(...row)) === run.data.source.labels[b]; }
    return { history: run.history, right: right / n, sums, loss, known: known / run.data.source.n, promised: run.teacher.accuracy, more: run.step(5) };"""
    seen = lab.run(body, lab_assets())
    history = seen["history"]
    assert history["steps"] == [0, 20, 40, 50]
    assert history["share"] == pytest.approx([0.9**step for step in history["steps"]])
    assert history["dual"]["auxiliary"][-1] == seen["right"]
    assert history["dual"]["loss"][0] is None and history["dual"]["loss"][-1] == pytest.approx(seen["loss"])
    assert (
        history["single"]["auxiliary"] == [None] * 4
        and history["same"]["distance"][0] == 0 < history["dual"]["distance"][0]
    )
    assert seen["sums"] == pytest.approx([1] * len(seen["sums"]))
    assert abs(seen["known"] - seen["promised"]) < 0.05
    assert seen["more"] == 0


def test_data_follow_from_the_seed(lab) -> None:
    body = """
    const make = (settings) => { const { data } = new lab.Lab(settings, given); return { x: Array.from(data.train.x), labels: Array.from(data.train.labels), truth: Array.from(data.train.truth), test: Array.from(data.test.x) }; };
    return ["plane", "phantoms"].map((world) => { const task = world === "plane" ? "moons" : "mri";
      return [make({ world, task }), make({ world, task }), make({ world, task, labels: 9 }), make({ world, task, seed: 1 }), make({ world, task, labels: 20, noise: 0.3 })]; });"""
    for first, again, longer, other, noisy in lab.run(body, lab_assets()):
        assert first == again
        assert longer["x"][: len(first["x"])] == first["x"] and longer["test"] == first["test"]
        assert other["x"] != first["x"] and other["test"] != first["test"]
        assert first["labels"] == first["truth"]
        wrong = sum(a != b for a, b in zip(noisy["labels"], noisy["truth"]))
        assert wrong == round(0.3 * len(noisy["labels"]))


def test_many_seeds_are_many_labs(lab) -> None:
    body = """
    const settings = { steps: 60, batch: 4 }, said = [], seeds = [4, 0, 9];
    const many = lab.runSeeds(settings, given, seeds, (done, total) => { said.push([done, total]); }, [20, 0]);
    const one = new lab.Lab({ ...settings, seed: 9 }, given);
    const start = one.accuracy("dual", "main");
    one.step(20);
    const early = one.accuracy("dual", "auxiliary");
    one.step(40);
    const stopped = lab.runSeeds(settings, given, seeds, (done) => done < 2);
    return { many, said, start, early, end: one.accuracy("same", "main"), distance: one.pairs[3].distance(), stopped: stopped.seeds };"""
    seen = lab.run(body, lab_assets())
    many = seen["many"]
    assert many["seeds"] == [4, 0, 9] and seen["said"] == [[1, 3], [2, 3], [3, 3]] and seen["stopped"] == [4, 0]
    assert many["at"]["0"]["dual"]["main"][2] == seen["start"]
    assert many["at"]["20"]["dual"]["auxiliary"][2] == seen["early"]
    assert many["same"]["main"][2] == seen["end"]
    assert many["dual"]["distance"][2] == seen["distance"]


def test_paired_difference_is_the_packages(lab) -> None:
    generator = torch.Generator().manual_seed(0)
    for n in (2, 3, 4, 6, 10, 30):
        a, b = torch.rand(2, n, generator=generator, dtype=torch.float64).tolist()
        seen, expected = lab.run("return lab.paired(...given);", [a, b]), paired_difference(a, b)
        assert seen["mean"] == pytest.approx(expected.mean) and seen["sd"] == pytest.approx(expected.sd)
        assert [seen["low"], seen["high"]] == pytest.approx([expected.low, expected.high], abs=1e-5)
    assert lab.run("return lab.paired([0.5], [0.25]);") == {"n": 1, "mean": 0.25, "sd": None, "low": None, "high": None}


@pytest.mark.parametrize(
    "body, words",
    [
        ("new lab.Lab({ beta: 1.2 }, given)", "beta=1.2 is out of range; choose a number from 0 to 1"),
        ("new lab.Lab({ labels: 2.5 }, given)", "labels=2.5 is out of range; choose a whole number"),
        ("new lab.Lab({ rule: 'best' }, given)", "rule=best is unknown; choose one of uniform"),
        ("new lab.Lab({ task: 'mri' }, given)", "task=mri is unknown; choose one of spirals"),
        ("new lab.Lab({ colour: 1 }, given)", "there is no setting colour"),
        ("new lab.Lab({}, given).change({ seed: 1 })", "seed cannot be changed while the lab runs"),
        ("new lab.Lab({}, given).rewind(4)", "step 4 was not reached; choose 0 to 0"),
        ("new lab.Lab({}, given).predict('single', 'auxiliary', [0, 0], 1)", "the method single has no auxiliary"),
        ("lab.paired([1], [])", "1 and 0 values cannot be paired"),
    ],
)
def test_what_makes_no_sense_is_refused(lab, body, words) -> None:
    message = lab.run(f"try {{ {body}; }} catch (error) {{ return error.name + ': ' + error.message; }}", lab_assets())
    assert message.startswith(f"RangeError: {words}")


def test_the_engine_is_small_and_alone() -> None:
    texts = {part: (STATIC / f"{part}.js").read_text(encoding="utf-8") for part in PARTS}
    assert len(texts["lab_net"].splitlines()) <= 500
    assert not any("Math.random" in text or "document" in text for text in texts.values())
    assert "import " not in engine_script().replace("// Files:", "").split("export const METHODS")[1]
    assert len((STATIC.parents[3] / "data" / "lab" / "teachers.json").read_bytes()) < 100_000
