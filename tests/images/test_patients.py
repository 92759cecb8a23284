"""A person's own folder: patients on one side, and a practice folder that holds the traps it claims to hold."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from dmws_lite.classroom.practice_folder import PRACTICE_PATTERN, practice_folder
from dmws_lite.images.dataset import Images, mode_counts, mode_rule
from dmws_lite.images.load import load_images
from dmws_lite.images.near_copies import near_groups, near_pairs
from dmws_lite.images.splits import (
    find_patients,
    patient_groups,
    shared_patients,
    split,
    split_by_groups,
    split_by_parts,
    split_by_patient,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return practice_folder(tmp_path_factory.mktemp("own") / "practice", size=32)


@pytest.fixture(scope="module")
def images(folder):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="skipped ")
        return load_images("folder", folder, size=32, progress=False)


def named(*files, digests=None, labels=None):
    n = len(files)
    pixels = torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1).repeat(1, 4, 4)
    labels = torch.tensor(labels or [i % 2 for i in range(n)])
    return Images(pixels, labels, ("a", "b"), files=files, digests=tuple(digests or map(str, range(n))))


def test_the_practice_folder_holds_its_traps(images):
    assert images.skipped == (("normal/damaged.png", "image file is truncated"),)
    counts = images.counts()
    assert counts["normal"] > counts["covid-like"] > counts["cap-like"] > 0
    labels = {}
    for digest, label in zip(images.digests, images.labels.tolist()):
        labels.setdefault(digest, set()).add(label)
    assert len(images) - len(labels) == 6, "copies"
    assert sum(len(found) > 1 for found in labels.values()) == 1, "one copy carries another label"
    by_mode, by_class = mode_rule(mode_counts(images))
    assert by_mode > by_class + 0.1, "the colour mode tells the class"
    assert any("ignored 1 files" in note for note in images.notes)


def test_slices_of_one_patient_are_more_alike_than_slices_of_two(images):
    groups = np.array(patient_groups(images, PRACTICE_PATTERN))
    pixels = images.pixels.float().flatten(1)
    distance = torch.cdist(pixels, pixels, p=1).numpy() / pixels.shape[1]
    same = (groups[:, None] == groups[None]) & ~np.eye(len(groups), dtype=bool)
    assert np.median(distance[same]) < 0.75 * np.median(distance[~same])


def test_the_same_seed_gives_the_same_folder_and_another_seed_another(folder, tmp_path):
    def content(where):
        return {path.relative_to(where).as_posix(): path.read_bytes() for path in where.rglob("*") if path.is_file()}

    assert content(practice_folder(tmp_path / "again", size=32)) == content(folder)
    assert content(practice_folder(tmp_path / "other", seed=1, size=32)) != content(folder)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty; give a new folder"):
        practice_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_groups_follow_names_and_copies():
    files = ("a/p1-1.png", "b/p1-2.png", "a/p2-1.png", "a/p3-1.png", "b/p4-1.png")
    assert patient_groups(named(*files), r"p\d+") == ("p1", "p1", "p2", "p3", "p4")
    assert patient_groups(named(*files), r"(p\d+)-") == ("p1", "p1", "p2", "p3", "p4")
    # p2's file is a copy of one of p4, p4's of one of p1: all three stay together, p3 stays alone.
    tied = patient_groups(named(*files, digests=("x", "y", "z", "w", "y")), r"p\d+")
    assert tied[0] == tied[1] == tied[4] != tied[2]
    chain = ("a/p1-1.png", "a/p2-1.png", "a/p2-2.png", "a/p3-1.png")
    assert len(set(patient_groups(named(*chain, digests=("x", "x", "y", "y")), r"p\d+"))) == 1


def test_a_pattern_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match="finds no patient in 'a/x.png'"):
        patient_groups(named("a/p1.png", "a/x.png"), r"p\d+")
    with pytest.raises(ValueError, match="is not a valid regular expression"):
        patient_groups(named("a/p1.png"), r"p(")


@pytest.mark.parametrize("seed", range(3))
def test_no_patient_lies_on_both_sides(images, seed):
    groups = patient_groups(images, PRACTICE_PATTERN)
    plain = split(images, 0.5, seed, test_share=0.25)
    careful = split_by_patient(images, PRACTICE_PATTERN, 0.5, seed, 0.25)
    assert plain.leaked == 0 and shared_patients(plain, groups) > 10, "the plain split cannot see patients"
    assert careful.leaked == 0 and shared_patients(careful, groups) == 0
    for data in (plain, careful):
        for part, index in ((data.train, data.train_index), (data.test, data.test_index)):
            assert part.digests == tuple(images.digests[i] for i in index.tolist()), "the true digests"
            assert part.files == tuple(images.files[i] for i in index.tolist())
    assert len(careful.test) == pytest.approx(0.25 * len(images), rel=0.1)
    assert careful.digest == split_by_patient(images, PRACTICE_PATTERN, 0.5, seed, 0.25).digest


def test_shared_patients_counts_test_images(images):
    groups = patient_groups(images, PRACTICE_PATTERN)
    data = split(images, 0.5, 0)
    one = replace(
        data, train_index=torch.tensor([5]), test_index=torch.tensor([i for i in range(len(images)) if i != 5])
    )
    assert shared_patients(one, groups) == groups.count(groups[5]) - 1


def test_patients_with_images_of_both_classes_are_drawn_as_a_whole():
    files = tuple(f"{label}/p{i:02}.png" for label in ("normal", "tumour") for i in range(20))
    images = named(*files, labels=[0] * 20 + [1] * 20)
    for seed in range(10):
        data = split_by_patient(images, r"p\d+", 1.0, seed)
        assert data.test.counts() == {"a": 4, "b": 4} and data.train.counts() == {"a": 16, "b": 16}
        assert shared_patients(data, patient_groups(images, r"p\d+")) == 0
    names = [f"{'ba'[i % 5 > 0]}/p{i // 10}-{i}.png" for i in range(200)]
    uneven = named(*names, labels=[int(i % 5 == 0) for i in range(200)])
    data = split_by_patient(uneven, r"p\d+", 1.0, 0)
    assert data.test.counts() == {"a": 32, "b": 8}


def test_a_class_of_one_patient_is_named():
    files = [f"NORMAL/IM-0115-{i}.png" for i in range(4)] + [f"PNEUMONIA/person{i}_1.png" for i in range(4)]
    images = replace(named(*files, labels=[0] * 4 + [1] * 4), classes=("NORMAL", "PNEUMONIA"))
    with pytest.raises(ValueError, match=r"class 'NORMAL' has 4 image\(s\), all of 1 patient \(IM-0115\), but a split"):
        split_by_patient(images, r"person\d+|IM-\d+", 1.0)


def test_the_class_folder_is_not_taken_for_a_patient():
    assert find_patients(["1NonCOVID/7.png", "x/9/2COVID/a.png"], ["1NonCOVID", "2COVID"], r"\d+") == ["7", "9"]
    with pytest.raises(ValueError, match="the name of the class folder does not count"):
        find_patients(["1NonCOVID/a.png"], ["1NonCOVID"], r"\d+")
    assert find_patients(["a1/b/x.png"], ["a1"], r"a(\d)/b") == ["1"]


def test_copies_of_another_class_are_named():
    images = named("a/0.png", "a/1.png", "b/2.png", "b/3.png", labels=[0, 0, 1, 1], digests=("x", "y", "x", "x"))
    with pytest.raises(ValueError, match=r"1 distinct image\(s\) \(2 files .*\), a copy of a/0.png in class a"):
        split(images)


def test_the_official_test_part_is_kept():
    parts = ("train", "Train", "test", "TEST", "val", "train")
    images = replace(named(*(f"{i}.png" for i in range(6)), labels=[0, 1, 0, 1, 0, 1]), parts=parts)
    data = split_by_parts(images)
    assert data.test_index.tolist() == [2, 3] and data.train_index.tolist() == [0, 1, 4, 5]
    assert data.leaked == 0 and data.rule == "official"
    with pytest.raises(ValueError, match="no image in the test part"):
        split_by_parts(named("a", "b"))
    with pytest.raises(ValueError, match="class 'b' is in the test part only"):
        split_by_parts(replace(images, labels=torch.tensor([0, 0, 0, 1, 0, 0])))


def test_near_copies_are_found_and_kept_on_one_side():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (30, 8, 8)).repeat(8, 1).repeat(8, 2)
    brighter = np.clip(base * 0.8 + 40 + rng.normal(0, 4, base.shape), 0, 255)
    pixels = torch.from_numpy(np.concatenate([base, brighter]).astype(np.uint8))
    pairs = near_pairs(pixels)
    assert pairs == [(i, i + 30) for i in range(30)]
    images = Images(pixels, torch.arange(60) % 2, ("a", "b"))
    groups = near_groups(images, images.digests, pairs)
    data = split_by_groups(images, groups, 1.0, 0, patients=False)
    assert shared_patients(data, groups) == 0 and len(set(groups)) == 30
