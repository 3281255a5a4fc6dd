"""Generated sections of documents."""

import pytest

from gaze_tools.markdown import replace_section


def test_only_the_named_section_is_replaced():
    page = "before\n<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin -->\nkept\n<!-- b: end -->\n"

    assert replace_section(page, "a", "new") == page.replace("old", "new")


@pytest.mark.parametrize(
    "page", ["", "<!-- a: begin -->\n", "<!-- a: end -->\n", "<!-- b: begin -->\n<!-- b: end -->\n"]
)
def test_a_page_without_the_section_is_refused(page):
    with pytest.raises(ValueError, match="no section 'a'"):
        replace_section(page, "a", "new")
