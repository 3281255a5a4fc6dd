"""A reader of a guide notices what does not work."""

import pytest

from tests.docs.guides import Block, Reader, find_missing


@pytest.fixture
def reader(tmp_path):
    return Reader(tmp_path)


def block(language, text, line=1):
    return Block("guide.md", line, language, text)


def test_directory_and_variables_stay_for_the_next_block(reader):
    reader.follow([block("bash", "mkdir ~/a; cd ~/a\nNAME=me\n"), block("bash", 'echo "$NAME"; pwd\n', 2)])

    assert reader.outputs[block("bash", 'echo "$NAME"; pwd\n', 2)] == f"me\n{reader.home}/a\n"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("bash", "false\n"),
        ("bash", "false | true\n"),
        ("bash", "false\ntrue\n"),
        ("bash", "exit 0\nfalse\n"),
        ("bash", 'echo "$NOT_THERE"\n'),
        ("python", "raise ValueError\n"),
        ("js", "// page/a.js\nconst = 1;\n"),
        ("python", "# a.py\nx =\n"),
        ("js", "console.log(1);\n"),
        ("", "make serve\n"),
        ("mermaid", "flowchart\n"),
    ],
)
def test_a_block_that_does_not_work_fails(reader, language, text):
    with pytest.raises((AssertionError, SyntaxError)):
        reader.follow([block(language, text)])


def test_a_block_after_one_that_failed_fails_too(reader):
    blocks = [block("bash", "false\n"), block("bash", "true\n", 2)]
    for number in (1, 2):
        with pytest.raises(AssertionError):
            reader.follow(blocks[:number])


def test_a_file_is_saved_where_the_reader_is(reader):
    reader.follow([block("bash", "mkdir ~/a; cd ~/a\n"), block("js", "// page/a.js\nexport const a = 1;\n", 2)])

    assert (reader.home / "a/page/a.js").read_text().endswith("export const a = 1;\n")


def test_json_is_what_was_printed(reader):
    reader.follow([block("bash", """echo '{"a": 1, "b": [{"c": "x"}], "d": null}'\n""")])

    reader.follow([block("json", '{"a": 2.5, "b": [{"c": "y"}]}\n', 2)])
    with pytest.raises(AssertionError, match=r"\.b\[0\]\.e is not there"):
        reader.follow([block("json", '{"b": [{"e": 1}]}\n', 3)])


def test_keys_types_and_lengths_are_compared():
    assert list(find_missing({"a": "x"}, {"a": 1})) == [".a is 1, not 'x'"]
    assert list(find_missing({"a": [1, 2]}, {"a": [1]})) == [".a has 1 entries"]
    assert list(find_missing({"a": True}, {"a": 1})) == [".a is 1, not True"]
