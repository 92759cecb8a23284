"""Figures that look as if they belong in one book. Every function returns a figure and shows nothing.

* ``style.py``: colours, markers and fonts
* ``arrays.py``: of images, weights and single runs
* ``records.py``: of many runs, from their records
* ``gains.py``: of differences between methods
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["arrays", "gains", "records", "style"],
    submod_attrs={
        "arrays": [
            "SELECTION_COLOURS",
            "confusion",
            "curves",
            "decay_curves",
            "differences",
            "feature_maps",
            "grouped_bars",
            "histograms",
            "image_grid",
            "layer_profile",
            "learning_curves",
            "method_comparison",
            "selection_codes",
            "selection_maps",
            "training_curves",
        ],
        "gains": ["forest", "rate_curves", "rate_map"],
        "records": ["confusions", "cost_bars", "fraction_curves", "losses", "report_figures", "sensitivity"],
        "style": [
            "BLACK",
            "BLUE",
            "COLOURS",
            "GREEN",
            "GREY",
            "MARKERS",
            "ORANGE",
            "PALETTE",
            "PURPLE",
            "RED",
            "SKY",
            "STYLE",
            "YELLOW",
            "method_style",
            "new_figure",
        ],
    },
)
