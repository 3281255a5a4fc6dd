"""The table of docs/reliability.md is made from what tests measured."""

from pathlib import Path

from tests.faults.reliability_rows import HEAD, VARIABLE, Row, keep_rows, make_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


def test_rows_of_all_files_make_the_table_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "rows"))
    keep_rows("2-second", [Row("reset", 4, 20, 0, 0, 0.25)])
    keep_rows("1-first", [Row("kill", 140, 12_200, 0, 0, 3.156)])

    table = make_table(tmp_path / "rows")

    assert table == f"{HEAD}\n| kill | 140 | 12,200 | 0 | 0 | 3.2 s |\n| reset | 4 | 20 | 0 | 0 | 0.2 s |"


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)

    keep_rows("rows", [Row("kill", 1, 1, 0, 0, 0.1)])

    assert list(tmp_path.iterdir()) == []


def test_the_published_table_reports_no_loss():
    section = DOCUMENT.read_text().split("<!-- reliability: begin -->")[1].split("<!-- reliability: end -->")[0]
    table = section.strip().splitlines()

    assert "\n".join(table[:2]) == HEAD
    assert {tuple(row.split("|")[4:6]) for row in table[2:]} == {(" 0 ", " 0 ")}
