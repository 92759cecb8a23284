"""What the name of a folder or file says: part, helper picture, shard, patient; system files. Names only, no disk."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

PART_WORDS = {
    "train": "train",
    "training": "train",
    "trainset": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "valset": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "testset": "test",
    "tst": "test",
    "eval": "test",
    "evaluation": "test",
    "holdout": "test",
}

# Words that say nothing about the class: "train_images", "resized data".
_FILLERS = frozenset(
    "set sets data dataset image images img imgs jpg jpeg png tif tiff dcm dicom files folder resized original "
    "originals raw cropped crops processed preprocessed split of the".split()
)

_HELPER_WORDS = frozenset(
    "mask masks segmentation segmentations superpixel superpixels annotation annotations groundtruth contour contours "
    "overlay overlays heatmap heatmaps".split()
)

_HELPER_WHOLE = frozenset({"seg", "segs", "gt", "gts", "label", "labels"})  # too short to mean it inside a longer name

_NEGATIONS = frozenset({"with", "without", "no", "non", "not", "wearing", "incorrect"})

_SHARD_WORDS = frozenset(
    "part parts batch shard chunk subset section vol volume set folder image images img imgs data dataset".split()
)

_GROUP_WORDS = frozenset("fold folds split site sites center centre hospital clinic scanner institution cv".split())

_PATIENT_WORDS = frozenset("patient patients pat p pt case subject subj sub person".split())

_SERIES_WORDS = frozenset("study series serie ser se st exam session visit scan acquisition acq sequence seq".split())

# Words that make numbered folders classes all the same: grade 1, stage_2.
_CLASS_WORDS = frozenset(
    "grade stage class type level category cat label gleason score kl bi rads birads lung tirads pirads degree c k g t "
    "n subtype cluster phase".split()
)

_MOST_FOLDERS = 50  # more folders than that are no classes, unless a person says so

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "icon\r"})

_SYSTEM_FOLDERS = frozenset(
    {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__"}
)

_HELPER_STEM = re.compile(
    r"(?:^(?P<head>masks?|segmentation|seg|gt|annotation|label|overlay|contour)[ _.-]+(?P<after>.+)$)"
    r"|(?:^(?P<before>.+?)[ _.-]+(?:lesion[ _-]?)?(?P<tail>masks?|segmentations?|seg|superpixels?|gt|ground_?truth|"
    r"annotations?|annotated|labels?|overlay|contours?|heatmap)(?:[ _-]?\(?\d+\)?)?$)",
    re.IGNORECASE,
)


def tokens(name: str) -> list[str]:
    """Return the words and numbers of a name in lower case: ``"TrainImages_2"`` -> ``["train", "images", "2"]``."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFC", name))
    return re.findall(r"[^\W\d_]+|\d+", spaced.lower())


def same_name(name: str) -> str:
    """Return what two spellings of one class have in common: case, accents' code points and outer spaces left out."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def is_system(name: str) -> bool:
    """Whether a file or folder belongs to the operating system, or is hidden."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES or name.lower() in _SYSTEM_FOLDERS


def part_word(name: str, siblings: Iterable[str] = ()) -> str:
    """Return ``"train"``, ``"val"`` or ``"test"`` where a folder's name says that it is such a part, else ``""``.

    Args:
        name: of the folder.
        siblings: names of the folders beside it: ``ISIC_train`` is a part if there is an ``ISIC_test``.
    """
    word, rest = _part_and_rest(name)
    if not word or all(each in _FILLERS or each.isdigit() for each in rest):
        return word
    return word if any(other != name and _part_and_rest(other)[1] == rest != [] for other in siblings) else ""


def _part_and_rest(name: str) -> tuple[str, list[str]]:
    words = tokens(name)
    found = [each for each in words if each in PART_WORDS]
    if len(found) != 1:
        return "", words
    return PART_WORDS[found[0]], [each for each in words if each not in PART_WORDS]


def is_helper_folder(name: str, siblings: Sequence[str] = ()) -> bool:
    """Whether a folder's name says masks, segmentations or the like; ``with_mask`` beside ``without_mask`` does not.

    Args:
        name: of the folder.
        siblings: names of the folders beside it.
    """
    words = tokens(name)
    if "ground" in words and "truth" in words:
        return True
    helper = _HELPER_WORDS & set(words)
    if not helper and not (len(words) == 1 and words[0] in _HELPER_WHOLE):
        return False
    negated = [other for other in (name, *siblings) if helper & set(tokens(other)) and _NEGATIONS & set(tokens(other))]
    return not negated


def helper_stem(stem: str) -> tuple[str, str]:
    """Return the kind of helper picture and the image it belongs to by a file's stem, or two empty texts.

    ``"scan_1_mask"`` and ``"mask_scan_1"`` are masks of ``"scan_1"``.
    """
    match = _HELPER_STEM.match(stem)
    if not match:
        return "", ""
    if match["head"]:
        return match["head"].lower(), match["after"]
    return match["tail"].lower(), match["before"]


def is_neutral(name: str) -> bool:
    """Whether a folder's name says nothing about what is in it, such as ``images`` or ``raw data``."""
    words = tokens(name)
    return bool(words) and all(word in _FILLERS for word in words)


def are_shards(names: Sequence[str]) -> bool:
    """Whether names differ in a number only, and their words say pieces of one set: ``images_001``, ``images_002``."""
    if len(names) < 2:
        return False
    words = [tokens(name) for name in names]
    plain = {tuple(word for word in each if not word.isdigit()) for each in words}
    if len(plain) != 1 or not all(any(word.isdigit() for word in each) for each in words):
        return False
    return bool(set(next(iter(plain))) & _SHARD_WORDS)


def _one_word_and_numbers(names: Sequence[str]) -> str | None:
    """Return the one word before the numbers of all names (``""`` for plain numbers), or ``None``."""
    words = [tokens(name) for name in names]
    plain = {" ".join(word for word in each if not word.isdigit()) for each in words}
    if len(plain) != 1 or not all(any(word.isdigit() for word in each) for each in words):
        return None
    return plain.pop()


def are_patients(names: Sequence[str]) -> bool:
    """Whether folders are named like patients: ``p01``, ``patient 7``, ``case_12``, or numbers of four digits."""
    word = _one_word_and_numbers(names)
    if word is None:
        return False
    long = all(any(len(each) >= 4 for each in re.findall(r"\d+", name)) for name in names)
    return (word == "" and long) or bool(_PATIENT_WORDS & set(word.split())) or (long and len(names) >= 3)


def look_like_pieces(names: Sequence[str]) -> bool:
    """Whether folders of images are folds, sites, patients or other pieces of a set rather than its classes."""
    if len(names) < 2:
        return False
    if are_groups(names) or (are_patients(names) and len(names) >= 3) or len(names) > _MOST_FOLDERS:
        return True
    word = _one_word_and_numbers(names)
    if word is None:
        return False
    if word == "":
        return len(names) > 20  # 0, 1, 2 are classes; a hundred numbers are not
    return not _CLASS_WORDS & set(word.split())


def are_series(names: Sequence[str]) -> bool:
    """Whether folders are named like studies or series below a patient: ``study 1``, ``Series_002``, ``SE0``."""
    word = _one_word_and_numbers(names)
    return bool(word) and bool(_SERIES_WORDS & set(word.split()))


def are_groups(names: Sequence[str]) -> bool:
    """Whether folders are named like folds, sites or hospitals: each word is one of these, with or without number."""
    return len(names) >= 2 and all(_GROUP_WORDS & set(tokens(name)) for name in names)


def printable(text: str) -> str:
    """Return ``text`` with undecodable bytes replaced: file names on disk need not be valid Unicode."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def name_list(names: Sequence[str], most: int = 6) -> str:
    """Return names as text, the first few of many: ``"a, b, c and 12 more"``."""
    names = [printable(name) for name in names]
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
