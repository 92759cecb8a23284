"""``look``: what is in a folder of images, before anything is trained on it."""

from __future__ import annotations

import argparse
import base64
import html
import io
from collections import Counter
from pathlib import Path

from .._system import write_atomic
from ..images.dataset import Images
from ..images.folder_names import printable
from ..images.near_copies import near_pairs
from ..images.overview import conflict_lines, contact_sheet, near_lines, patient_lines, size_line
from ..images.splits import known_patients
from .common import DONE, add_command
from .folder import FOLDER_OPTIONS, add_folder_options, look_at, read

_SIZE = 64  # pixels at which images are compared and shown


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "look",
        look_command,
        """
        Say what is in a folder of images, and how `train` would read it.

        Prints where the classes are found and what is passed over; then the images of each class, sizes, colour modes,
        copies and near-copies across classes and patients. Nothing is trained, and nothing is changed.
        """,
        """
        dmws-lite look my_images
        dmws-lite look my_images -o sheet.html
        dmws-lite look my_images --labels my_images/labels.csv --patient-column patient_id
        """,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder of images")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="contact sheet: a .png or .html file")
    parser.add_argument("--patient", metavar="PATTERN", help="regular expression that finds the patient in a path")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_folder_options(parser.add_argument_group("what is what"))
    parser.set_defaults(options=FOLDER_OPTIONS)


def look_command(given: argparse.Namespace) -> int:
    """Carry out ``dmws-lite look``."""
    if given.output and given.output.suffix.lower() not in (".png", ".html"):
        raise ValueError(f"-o {given.output} does not end in .png or .html; give one of the two")
    layout = look_at(given.folder, given)
    images = read(layout, given, _SIZE)
    lines = images.describe().split("\n")
    print("\n" + "\n".join(line for line in lines if line.removeprefix("note: ") not in layout.lines))
    for line in overview(images, given.patient):
        print(line)
    if given.output:
        write_sheet(given.output, images)
        print(f"written: {given.output}")
    return DONE


def overview(images: Images, pattern: str | None) -> list[str]:
    """Return sizes, labels that disagree, near-copies and patients as lines."""
    groups = known_patients(images, pattern)
    lines = [size_line(Counter(images.sizes))] if any(images.sizes) else []
    lines += conflict_lines(images)
    lines += near_lines(images, near_pairs(images.pixels), groups)
    return lines + (patient_lines(images, groups) if groups else ["patients: not known (see --patient)"])


def write_sheet(path: Path, images: Images) -> None:
    """Write the contact sheet as a picture, or as a page with the names of the files."""
    sheet, rows = contact_sheet(images)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    if path.suffix.lower() == ".png":
        write_atomic(path, content.getvalue())
        return
    name = html.escape(images.name.removeprefix("folder:"))
    data = base64.b64encode(content.getvalue()).decode()
    counts = images.counts()
    items = "".join(
        f"<li><b>{html.escape(printable(title))}</b> ({counts[title]:,} images): "
        f"{html.escape(', '.join(images.files[i] for i in row))}</li>"
        for title, row in zip(images.classes, rows)
    )
    page = (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width">'
        "<style>body{font:16px sans-serif;margin:1rem;max-width:60rem}img{max-width:100%}li{overflow-wrap:anywhere}"
        "</style>"
        f"<h1>{name}</h1><p>One row for each class, in the order of the list.</p>"
        f'<img alt="Some images of each class" src="data:image/png;base64,{data}"><ol>{items}</ol></html>\n'
    )
    write_atomic(path, page)
