"""Markdown tables and the generated blocks of documents."""

import pytest

from research.markdown import make_table, replace_block, replace_numbers


def test_the_first_column_is_aligned_left_and_the_others_right():
    assert make_table(("name", "mean"), [("all", "1.0")]) == "| name | mean |\n|---|--:|\n| all | 1.0 |"


def test_only_the_text_between_the_markers_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin -->\nkept\n<!-- b: end -->\n")

    replace_block(page, "a", "new\nlines")

    assert page.read_text() == (
        "before\n<!-- a: begin -->\nnew\nlines\n<!-- a: end -->\n<!-- b: begin -->\nkept\n<!-- b: end -->\n"
    )


@pytest.mark.parametrize("text", ["nothing", "<!-- a: begin -->\nno end", "<!-- a: end -->"])
def test_a_document_without_the_block_is_left_alone(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)

    with pytest.raises(ValueError, match="has no block 'a'"):
        replace_block(page, "a", "new")
    assert page.read_text() == text


def test_a_translated_table_keeps_its_words_and_gets_new_numbers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- a: begin -->\n| 오차 | 평균 |\n|---|--:|\n| 전체 | 1.0 |\n<!-- a: end -->\n")

    replace_numbers(page, "a", make_table(("error", "mean"), [("all", "2.5")]))

    assert page.read_text() == "<!-- a: begin -->\n| 오차 | 평균 |\n|---|--:|\n| 전체 | 2.5 |\n<!-- a: end -->\n"


def test_a_translated_table_with_other_rows_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    text = "<!-- a: begin -->\n| 오차 | 평균 |\n|---|--:|\n<!-- a: end -->\n"
    page.write_text(text)

    with pytest.raises(ValueError, match="a table of 1 rows"):
        replace_numbers(page, "a", make_table(("error", "mean"), [("all", "2.5")]))
    assert page.read_text() == text
