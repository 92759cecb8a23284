"""The registry of named data sets: title, classes, layout on disk, data card, loader.

A data set with one folder per class needs only an entry in :data:`SETS`. One with its own format also names a
``loader``.
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
    """How to read a data set; :func:`dmws_lite.images.load.load_images` explains and checks the values.

    Attributes:
        size: side of the square result in pixels.
        colour: ``"grey"`` or ``"rgb"``.
        fit: ``"stretch"``, ``"pad"`` or ``"crop"``.
        parts: which parts of a data set with an official split; ``None`` for the default of the set.
        n: number of generated images.
        seed: of generated images and of the random draw for ``limit``.
        limit: at most this many images of each class; ``None`` for all.
        workers: number of decoding threads; ``None`` for one per core, at most 8.
        progress: show a progress bar.
        slices: of DICOM files with several frames and of NIfTI volumes: ``"middle"``, ``"all"``, or a range.
        axis: of NIfTI volumes: ``"axial"``, ``"coronal"`` or ``"sagittal"``.
        window: of DICOM and NIfTI: ``"centre,width"``, or ``""`` for the file's own.
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
    slices: str = "middle"
    axis: str = "axial"
    window: str = ""


@dataclass(frozen=True)
class Layout:
    """How a data set from Kaggle is laid out on disk.

    Attributes:
        slug: Kaggle's ``owner/name``.
        folder: name of the downloaded folder.
        picture: the layout in words, for messages.
        parts: names of the folders above the classes, such as ``("Training", "Testing")``.
    """

    slug: str
    folder: str
    picture: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """A named data set.

    Attributes:
        name: its name in :func:`dmws_lite.images.load.load_images`, runs and records.
        title: its name in tables and figures.
        classes: all its classes, ordered by folder name.
        card: label of its section on the page of data cards.
        layout: layout on disk; ``None`` for generated images and for sets with their own loader.
        phantom: kind of generated image, ``""`` for real ones.
        loader: ``loader(root, options) -> Images`` for a set with its own format; otherwise ``None``.
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
            read: number of classes that were read, if known.
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
    """Return a data set's name for tables and figures; a source without an entry keeps its own name.

    Args:
        name: a key of :data:`SETS`, or any other source.
        read: number of classes that were read, if known.

    Example:
        >>> set_label("xray", read=2), set_label("mri", read=4), set_label("phantom-ct"), set_label("folder")
        ('Chest X-ray (2 of 4 classes)', 'Brain MRI (4 classes)', 'Phantoms, CT', 'folder')
    """
    return SETS[name].label(read) if name in SETS else name
