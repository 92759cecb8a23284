"""DICOM and NIfTI: rescaled, windowed, the right way round; the samples are those of pydicom and nibabel."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dmws_lite.images.deep import NotRead
from dmws_lite.images.dicom import frame_count, read_dicom
from dmws_lite.images.load import load_images
from dmws_lite.images.nifti import read_nifti
from dmws_lite.images.splits import known_patients
from dmws_lite.images.volumes import check_packages, read_window

pydicom = pytest.importorskip("pydicom")
nibabel = pytest.importorskip("nibabel")
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def written(path: Path, values: np.ndarray, **fields) -> Path:
    """Write a small DICOM file of given grey values and header fields."""
    header = pydicom.dcmread(SAMPLES / "MR_small.dcm")
    for name in (
        "WindowCenter",
        "WindowWidth",
        "PixelPaddingValue",
        "SmallestImagePixelValue",
        "LargestImagePixelValue",
    ):
        if name in header:
            delattr(header, name)
    header.Rows, header.Columns = values.shape[-2:]
    header.PixelRepresentation, header.BitsStored, header.HighBit = 1, 16, 15
    header.PixelData = values.astype(np.int16).tobytes()
    for name, value in fields.items():
        setattr(header, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path)
    return path


RAMP = np.tile(np.arange(64), (16, 1)) * 10


def test_rescale_window_and_inversion(tmp_path):
    plain = read_dicom(written(tmp_path / "x", RAMP).read_bytes()).samples
    assert plain[0, 0] == 0 and plain[0, -1] == 1 and abs(plain[0, 32] - 0.5) < 0.03
    fields = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 500, "WindowWidth": 400}
    windowed = read_dicom(written(tmp_path / "x", RAMP, **fields).read_bytes()).samples
    expected = np.clip((RAMP * 2 - 100 - 300) / 400, 0, 1)
    assert np.allclose(windowed, expected)
    own = read_dicom((tmp_path / "x").read_bytes(), window=(0, 200)).samples
    assert np.allclose(own, np.clip((RAMP * 2 - 100 + 100) / 200, 0, 1))
    fields["PhotometricInterpretation"] = "MONOCHROME1"
    assert np.allclose(read_dicom(written(tmp_path / "x", RAMP, **fields).read_bytes()).samples, 1 - expected)


@pytest.mark.parametrize(
    "name",
    ["RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded"],
)
def test_one_picture_in_every_transfer_syntax(name):
    if name.startswith("j"):
        pytest.importorskip("pylibjpeg")
    assert np.array_equal(
        read_dicom(sample(f"MR_small_{name}.dcm")).samples, read_dicom(sample("MR_small.dcm")).samples
    )


@pytest.mark.parametrize("name", ["+eb+cr", "+eb+cy+n1", "+eb+cy+np", "+eb+cy+s4"])
def test_one_picture_in_every_colour_space(name):
    pytest.importorskip("pylibjpeg")
    found, expected = (
        read_dicom(sample(n)).samples.astype(int) for n in (f"SC_rgb_dcmtk_{name}.dcm", "SC_rgb_rle.dcm")
    )
    assert np.median(np.abs(found - expected)) <= 2 and np.abs(found - expected).mean() < 4


def test_palettes_frames_and_what_is_no_image():
    assert read_dicom(sample("examples_palette.dcm")).samples.shape == (350, 800, 3)
    assert frame_count(sample("rtdose.dcm")) == 15
    first, last = (read_dicom(sample("rtdose.dcm"), frame).samples for frame in (0, 14))
    assert first.shape == (10, 10) and not np.array_equal(first, last)
    for name, reason in {"rtplan.dcm": "without an image", "MR_truncated.dcm": "damaged", "badVR.dcm": "DICOM"}.items():
        with pytest.raises(NotRead, match=reason):
            read_dicom(sample(name))


def test_a_dicom_folder_is_read_and_patients_come_from_the_header(tmp_path):
    for label in "ab":
        for person in range(3):
            for number in range(2):
                values = RAMP * (1 + number) + ord(label) + person
                path = tmp_path / label / f"study{person}" / f"IM{number}"
                fields = {"PatientID": f"MRN-{person}", "PatientName": "Secret^Name"}
                written(path, values, **fields)
    images = load_images("folder", tmp_path, size=32, progress=False)
    assert images.counts() == {"a": 6, "b": 6} and not images.skipped
    groups = known_patients(images)
    assert len(set(groups)) == 3 and not any("MRN" in group or "Secret" in group for group in groups)
    assert "MRN" not in images.describe() and "Secret" not in repr(images.files)
    assert images.modes[0] == "DICOM MONOCHROME2 16"


def test_a_number_that_all_headers_share_is_no_patient(tmp_path):
    for i in range(4):
        written(tmp_path / "ab"[i % 2] / f"{i}.dcm", RAMP + i, PatientID="anonymous")
    assert known_patients(load_images("folder", tmp_path, size=32, progress=False)) is None


def test_frames_as_slices(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        shutil.copy(SAMPLES / "rtdose.dcm", tmp_path / label / f"{label}.dcm")
    images = load_images("folder", tmp_path, size=32, slices="2:12:5", progress=False)
    assert images.files == ("a/a.dcm#2", "a/a.dcm#7", "b/b.dcm#2", "b/b.dcm#7")
    assert len(set(images.digests)) == 2 and len(load_images("folder", tmp_path, size=32, progress=False)) == 2
    assert len(load_images("folder", tmp_path, size=32, slices="all", progress=False)) == 30
    with pytest.raises(ValueError, match="slices='x' is none of middle, all, nor a range"):
        load_images("folder", tmp_path, slices="x")
    with pytest.raises(ValueError, match="leaves none of the 15 slices"):
        load_images("folder", tmp_path, slices="90:", progress=False)


def test_nifti_slices_of_each_axis_stand_upright(tmp_path):
    values = np.zeros((20, 24, 28), np.int16)
    values[:, :, 14:] = 100  # the upper half
    values[10:, :, :] += 50  # the right half of the array's first axis
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    for name, flipped in (("plain.nii.gz", False), ("turned.nii", True)):
        image = nibabel.Nifti1Image(
            values[:, :, ::-1] if flipped else values, affine @ np.diag([1, 1, -1 if flipped else 1, 1])
        )
        nibabel.save(image, tmp_path / name)
        coronal = read_nifti(tmp_path / name, axis="coronal").samples
        assert coronal.shape == (28, 20) and coronal[:10].mean() > coronal[-10:].mean() + 0.3, "the head is up"
        assert read_nifti(tmp_path / name, axis="axial").samples.shape == (24, 20)
        assert read_nifti(tmp_path / name, axis="sagittal").samples.shape == (28, 24)
    windowed = read_nifti(tmp_path / "plain.nii.gz", window=(125, 50)).samples
    assert set(np.unique(windowed)) <= {0.0, 1.0}


def test_nibabels_own_samples(tmp_path):
    data = Path(nibabel.__file__).parent / "tests" / "data"
    for label in "ab":
        (tmp_path / label).mkdir()
    shutil.copy(data / "anatomical.nii", tmp_path / "a" / "x.nii")
    shutil.copy(data / "example4d.nii.gz", tmp_path / "b" / "y.nii.gz")
    (tmp_path / "b" / "z.nii").write_bytes(b"no volume")
    with pytest.warns(UserWarning, match=r"b/z.nii \(damaged NIfTI\)"):
        images = load_images("folder", tmp_path, size=32, slices="5:15:5", axis="coronal", progress=False)
    assert images.files == ("a/x.nii#5", "a/x.nii#10", "b/y.nii.gz#5", "b/y.nii.gz#10")
    assert len(set(known_patients(images))) == 2, "slices of a file stay together"
    assert images.pixels.float().std() > 10


def test_without_the_package_the_pip_line_is_said(tmp_path, monkeypatch):
    for i in range(2):
        written(tmp_path / "ab"[i] / "IM1", RAMP)
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(ImportError, match=r"2 DICOM files can be read with pydicom: pip install 'dmws_lite\[dicom\]'"):
        load_images("folder", tmp_path, progress=False)
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(ImportError, match=r"1 NIfTI file can be read with nibabel: pip install 'dmws_lite\[nifti\]'"):
        check_packages([tmp_path / "x.nii.gz"])


def test_windows():
    assert read_window("40, 400") == (40, 400) and read_window("") is None
    for wrong in ("40", "a,b", "40,0"):
        with pytest.raises(ValueError, match="window="):
            read_window(wrong)
