"""The paper's numbers are stored whole, and our own stand beside them only where a record exists."""

import json
import re

import pytest
from paper_tables import (
    NOT_MEASURED,
    disagreement_table,
    our_numbers,
    own_table,
    paper_gain_summaries,
    paper_gain_table,
    paper_gains,
    paper_numbers,
    paper_table,
    verdict_box,
)


def record(seed, accuracy, **changes):
    base = {"dataset": "mri", "pair": "convnext_pocket", "method": "ours", "fraction": 0.05}
    return base | {"seed": seed, "metrics": {"accuracy": accuracy}} | changes


def test_numbers_are_those_of_the_paper():
    tables = paper_numbers()["tables"]
    assert {n: len(t["cells"]) for n, t in tables.items()} == {
        "2": 30, "3": 30, "4": 30, "5": 54, "6": 36, "7": 36, "8": 6
    }  # fmt: skip
    assert all(t["source"] == f"arXiv 2508.20461, table {n}" for n, t in tables.items())
    wanted = {"dataset": "mri", "arch": "convnext", "method": "cm1", "fraction": 0.05, "mean": 0.766, "sd": 0.017}
    assert wanted in tables["4"]["cells"]


def test_numbers_equal_the_source_text(root):
    source = root.parent / "shared" / "paper" / "tables.json"
    if not source.is_file():
        pytest.skip("no shared/paper beside the checkout: the comparison with the source is for development machines")
    theirs_all = json.loads(source.read_text(encoding="utf-8"))
    for number, table in paper_numbers()["tables"].items():
        for ours, theirs in zip(table["cells"], theirs_all[f"table{number}"], strict=True):
            assert all(theirs[{"sd": "std"}.get(key, key)] == value for key, value in ours.items())


@pytest.mark.parametrize("records", [(), (record(0, 0.8, pair="vit_s16"),)])
@pytest.mark.parametrize("number", range(2, 9))
def test_html_is_a_labelled_table(number, records):
    text = paper_table(number, records=records)._repr_html_()
    assert text.count("<table") == text.count("</table>") == text.count("<caption") == 1
    rows = re.findall(r"<tr>.*?</tr>", text)
    columns = rows[0].count('scope="col"')
    for row in rows[1:]:
        spans = [int(s) for s in re.findall(r'colspan="(\d)"', row)]
        assert row.count("<td") + row.count("<th") + sum(spans) - len(spans) == columns
        assert row.count('scope="row"') == 1


def test_nothing_is_invented():
    shown = str(paper_table(4, records=()))
    assert shown.count(NOT_MEASURED) == 10
    assert NOT_MEASURED not in str(paper_table(4, ours=False))
    assert NOT_MEASURED in str(own_table(()))


def test_own_numbers_stand_beside_the_paper():
    records = (record(1, 0.80), record(0, 0.78), record(0, 0.70, method="cm1"))
    line = next(row for row in str(paper_table(4, records=records)).splitlines() if "ConvNeXt" in row and "Ours" in row)
    assert "0.852 ± 0.012" in line and "0.790 ± 0.014 (n=2)" in line and line.count(NOT_MEASURED) == 2
    assert "convnext_pocket" in str(paper_table(4, records=records))
    assert "0.700 (n=1)" in str(own_table(records))


def test_one_column_holds_one_pair():
    records = (record(0, 0.78), record(0, 0.91, pair="convnext_t"))
    shown = str(paper_table(4, records=records))
    assert "our pair convnext_t" in shown and "0.910 (n=1)" in shown and "0.780" not in shown


def test_settings_are_never_mixed():
    long, short = {"epochs": 300}, {"epochs": 60}
    records = (record(0, 0.70, **short), record(1, 0.72, **short), record(2, 0.90, **long))
    shown = str(paper_table(4, records=records))
    assert "0.710 ± 0.014 (n=2)" in shown and "60 epochs" in shown and "0.900" not in shown
    assert {"0.710 ± 0.014 (n=2)", "0.900 (n=1)"} <= {row[-1].text for row in own_table(records).rows}
    with pytest.raises(ValueError, match="different settings"):
        our_numbers("mri", "convnext_pocket", "ours", 0.05, records=records)


@pytest.mark.parametrize("change", [{"classes": ["COVID", "Normal"]}, {"alpha": 0.3}, {"beta": 0.99}])
def test_other_tasks_do_not_stand_beside_the_paper(change):
    records = (record(0, 0.78, **change),)
    assert "0.780" not in str(paper_table(4, records=records))
    assert "0.780" in str(own_table(records))


def test_rules_of_table_7_are_read_from_the_record():
    records = (record(0, 0.78, pair="vit_s16", rule="random"), record(0, 0.79, pair="vit_s16"))
    lines = [line for line in str(paper_table(7, records=records)).splitlines() if "(n=1)" in line]
    assert ["Random, same" in line and "0.780" in line for line in lines] == [False, True]
    assert "0.790" in lines[0] and "Uniform" in lines[0]


def test_best_is_strong_within_pair_and_data():
    shown = str(paper_table(6, ours=False))
    assert "**0.792 ± 0.012**" in shown  # CS-KD at 5% of MRI beats the paper's own rule
    assert shown.count("**0.869 ± 0.003**") == 0 and "**0.873 ± 0.003**" in shown
    assert shown.count("**0.889 ± 0.003**") == 2  # a tie marks both


def test_our_numbers_filters_and_orders():
    records = (record(1, 0.8), record(0, 0.7), record(0, 0.9, fraction=0.1), record(2, 0.1, pair="vit_s16"))
    assert our_numbers("mri", "convnext_pocket", "ours", 0.05, records=records) == (0.7, 0.8)
    assert our_numbers("mri", "convnext_pocket", "uniform", 0.05, records=records) == (0.7, 0.8)
    assert our_numbers("ct", "convnext_pocket", "ours", 0.05, records=records) is None


def test_one_seed_counts_once():
    with pytest.raises(ValueError, match="two records for mri.*the same run.*seed 0"):
        our_numbers("mri", "convnext_pocket", "ours", 0.05, records=(record(0, 0.7), record(0, 0.8)))


def test_unknown_table_is_refused():
    with pytest.raises(ValueError, match="no result table 9; choose 2 to 8"):
        paper_table(9)


def wins(number, method, shared):
    """Count the cells of a table where ``method`` has the best mean, alone or shared."""
    groups = {}
    for c in paper_numbers()["tables"][number]["cells"]:
        groups.setdefault((c["dataset"], c["fraction"]), {})[c["method"]] = c["mean"]
    best = [[m for m, mean in g.items() if mean == max(g.values())] for g in groups.values()]
    return sum(method in b and (len(b) > 1) == shared for b in best)


def test_derived_numbers_that_the_book_states():
    """The page on the paper says these in words; a changed data file must not leave the words behind."""
    gains = [float(x) for x in re.findall(r"([+-]0\.\d{3}) ±", str(paper_gain_table()))]
    assert len(gains) == 18 and min(gains) == 0.002 and max(gains) == 0.091
    pairs = [tuple(map(float, x)) for x in re.findall(r"([+-]0\.\d{3}) ± (0\.\d{3})", str(paper_gain_table()))]
    assert sorted(round(gain / error, 1) >= 5 for gain, error in pairs).count(True) == 15
    assert len(disagreement_table().rows) == 4
    costs = re.findall(r"\(\+(\d+)%\)", str(paper_table(8)))
    assert costs == ["26", "29", "19", "26", "10", "37"]
    swap = {}
    for c in paper_numbers()["tables"]["5"]["cells"]:
        swap.setdefault((c["arch"], c["dataset"], c["fraction"]), {})[c["method"]] = c["mean"]
    assert max(abs(v["ours"] - v["ours_swap"]) for v in swap.values()) == pytest.approx(0.010)
    assert [wins("6", "skd", shared) for shared in (False, True)] == [1, 2]
    assert [wins("7", "uniform", shared) for shared in (False, True)] == [8, 0]
    cells = paper_numbers()["tables"]["7"]["cells"]
    for dataset, fraction in {(c["dataset"], c["fraction"]) for c in cells}:
        means = [c["mean"] for c in cells if (c["dataset"], c["fraction"]) == (dataset, fraction)]
        assert max(means) - min(means) <= 0.0091


def test_everything_measured_has_no_two_rows_alike() -> None:
    """Two rows with the same words would be two settings of which the table hides the difference."""
    rows = [tuple(cell.text for cell in row[:-1]) for row in own_table().rows]
    assert len(set(rows)) == len(rows)
    assert any("tau=1" in text for row in rows for text in row), "tau shows where it is not the paper's"


def test_the_papers_gains_are_differences_of_its_means():
    gains = paper_gain_summaries()
    assert len(gains) == 18 and [(g.mean, g.low, g.high) for g in gains.values()] == paper_gains()
    cells = {(c["arch"], c["method"], c["fraction"]): c["mean"] for c in paper_numbers()["tables"]["4"]["cells"]}
    gain = gains["mri", "convnext", 0.05]
    assert gain.mean == pytest.approx(cells["convnext", "ours", 0.05] - cells["convnext", "cm1", 0.05])
    assert gain.low < gain.mean < gain.high


def test_a_verdict_box_holds_its_sentences_as_text():
    shown = verdict_box("Title", {"What holds": ["a < b", "c"], "Open": ["d"]})._repr_html_()
    assert shown.count("<li>") == 3 and "a &lt; b" in shown and shown.index("What holds") < shown.index("Open")
