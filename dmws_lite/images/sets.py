"""The data sets that have a name: title, classes, how they lie on disk, card, loader. One entry each.

A set that is laid out as one folder per class needs nothing but its entry in :data:`SETS`. One with a format of its own
names a ``loader``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .phantoms import PHANTOM_CLASSES

if TYPE_CHECKING:
    from .dataset import Images


@dataclass(frozen=True)
class ReadOptions:
    """How a set is read; see :func:`dmws_lite.images.load.load_images`, which checks the values.

    Attributes:
        size: side of the square result in pixels.
        colour: ``"grey"`` or ``"rgb"``.
        fit: ``"stretch"``, ``"pad"`` or ``"crop"``.
        parts: which parts of a set with an official split; ``None`` for the set's own choice.
        n: number of generated images.
        seed: of generated images and of the draw of ``limit``.
        limit: at most this many images of each class; ``None`` for all.
        workers: decoding threads; ``None`` for one per core, at most 8.
        progress: show a progress bar.
    """

    size: int = 224
    colour: str = "grey"
    fit: str = "stretch"
    parts: str | Sequence[str] | None = None
    n: int = 1000
    seed: int = 0
    limit: int | None = None
    workers: int | None = None
    progress: bool = True


@dataclass(frozen=True)
class Layout:
    """How a set from Kaggle lies on disk.

    Attributes:
        slug: Kaggle's ``owner/name``.
        folder: name of the folder in the download.
        picture: the layout in words, for messages.
        parts: names of a level above the classes, such as ``("Training", "Testing")``.
    """

    slug: str
    folder: str
    picture: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """A named set of images.

    Attributes:
        name: what :func:`dmws_lite.images.load.load_images`, runs and records call it.
        title: its name in tables and figures.
        classes: all its classes, in the order of their folders' names.
        card: label of its section on the page of data cards.
        layout: how it lies on disk; ``None`` for generated images and for sets with a loader of their own.
        phantom: kind of generated image, ``""`` for real ones.
        loader: ``loader(root, options) -> Images`` for a format of its own; ``None`` for the usual ones.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    card: str
    layout: Layout | None = None
    phantom: str = ""
    loader: Callable[[str | None, ReadOptions], Images] | None = None

    def label(self, read: int | None = None) -> str:
        """Return the title with the number of classes.

        Args:
            read: number of classes that were read, where it is known.
        """
        total = len(self.classes)
        if self.phantom or read is None:
            return self.title
        return f"{self.title} ({read} classes)" if read == total else f"{self.title} ({read} of {total} classes)"


SETS: dict[str, DataSet] = {
    each.name: each
    for each in (
        DataSet(
            name="mri",
            title="Brain MRI",
            classes=("glioma", "meningioma", "notumor", "pituitary"),
            card="mri-card",
            layout=Layout(
                slug="masoudnickparvar/brain-tumor-mri-dataset",
                folder="brain-tumor-mri-dataset",
                picture="{Training,Testing}/{glioma,meningioma,notumor,pituitary}/*.jpg",
                parts=("Training", "Testing"),
            ),
        ),
        DataSet(
            name="sarscov2",
            title="SARS-CoV-2 CT",
            classes=("COVID", "non-COVID"),
            card="sarscov2-card",
            layout=Layout(
                slug="plameneduardo/sarscov2-ctscan-dataset",
                folder="sarscov2-ctscan-dataset",
                picture="{COVID,non-COVID}/*.png",
            ),
        ),
        DataSet(
            name="xray",
            title="Chest X-ray",
            classes=("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"),
            card="xray-card",
            layout=Layout(
                slug="tawsifurrahman/covid19-radiography-database",
                folder="COVID-19_Radiography_Dataset",
                picture="COVID-19_Radiography_Dataset/{COVID,Lung_Opacity,Normal,Viral Pneumonia}/images/*.png",
            ),
        ),
        DataSet(
            name="ct",
            title="Lung CT",
            classes=("1NonCOVID", "2COVID", "3CAP"),
            card="ct-card",
            layout=Layout(
                slug="maedemaftouni/large-covid19-ct-slice-dataset",
                folder="curated_data",
                picture="curated_data/curated_data/{1NonCOVID,2COVID,3CAP}/*.png",
            ),
        ),
        DataSet("phantom-mri", "Phantoms, MRI", PHANTOM_CLASSES["mri"], "phantom-card", phantom="mri"),
        DataSet("phantom-ct", "Phantoms, CT", PHANTOM_CLASSES["ct"], "phantom-card", phantom="ct"),
        DataSet("phantom-xray", "Phantoms, X-ray", PHANTOM_CLASSES["xray"], "phantom-card", phantom="xray"),
    )
}


def set_label(name: str, read: int | None = None) -> str:
    """Return how tables and figures call a set; a set without an entry keeps its own name.

    Args:
        name: a key of :data:`SETS`, or any other source.
        read: number of classes that were read, where it is known.

    Example:
        >>> set_label("xray", read=2), set_label("mri", read=4), set_label("phantom-ct"), set_label("folder")
        ('Chest X-ray (2 of 4 classes)', 'Brain MRI (4 classes)', 'Phantoms, CT', 'folder')
    """
    return SETS[name].label(read) if name in SETS else name
