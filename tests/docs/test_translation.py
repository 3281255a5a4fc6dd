"""README.ko.md is in step with README.md, and `.ci/translation.py` notices when it is not."""

import importlib.util
import sys

import pytest

from tests.docs.test_links import ROOT

SPEC = importlib.util.spec_from_file_location("translation", ROOT / ".ci/translation.py")
translation = importlib.util.module_from_spec(SPEC)
sys.modules["translation"] = translation  # its dataclass needs that
SPEC.loader.exec_module(translation)

ENGLISH = """# Gaze

English | [한국어](README.ko.md)

It takes 2 minutes.

## Try it

```
make demo     # prints the score
# a comment, not a heading
```

See [the guide](docs/guide.md) for `gaze run`.

<!-- metrics: begin -->
| error | mean |
|---|--:|
| after 5 targets | 2.4 |
<!-- metrics: end -->
"""

KOREAN = translation.renew_stamps(
    ENGLISH,
    """# 시선

[English](README.md) | 한국어

2분 걸립니다.

## 사용해 보기

```
make demo     # 점수를 출력합니다
# a comment, not a heading
```

`gaze run`은 [안내서](docs/guide.md)를 보세요.

<!-- metrics: begin -->
| 오차 | 평균 |
|---|--:|
| 보정점 5개 뒤 | 2.4 |
<!-- metrics: end -->
""",
)


def test_the_korean_readme_is_in_step():
    """After a change of README.md: translate it, then run `python .ci/translation.py --accept`."""
    assert list(translation.compare(translation.ENGLISH.read_text(), translation.TRANSLATION.read_text())) == []


def test_the_example_is_in_step():
    assert list(translation.compare(ENGLISH, KOREAN)) == []


def test_a_changed_english_paragraph_is_found_and_the_message_says_what_to_do():
    (message,) = translation.compare(ENGLISH.replace("It takes", "It usually takes"), KOREAN)

    assert message.startswith("README.ko.md, '시선': 'Gaze' of README.md has changed")
    assert "python .ci/translation.py --accept" in message


def test_other_line_breaks_are_no_change():
    assert list(translation.compare(ENGLISH.replace("It takes 2", "It takes\n2"), KOREAN)) == []


def test_renewed_digests_end_the_message():
    changed = ENGLISH.replace("It takes", "It usually takes")

    assert list(translation.compare(changed, translation.renew_stamps(changed, KOREAN))) == []


def test_renewing_changes_nothing_else():
    assert translation.renew_stamps(ENGLISH, KOREAN) == KOREAN


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("make demo ", "make serve ", "lacks the commands ```\nmake demo"),
        ("docs/guide.md", "docs/other.md", "lacks the links docs/guide.md"),
        ("`gaze run`", "`gaze demo`", "lacks the code gaze run"),
        ("| 2.4 |", "| 2.5 |", "lacks the table rows with the numbers 5 | 2.4"),
        ("2분", "몇 분", "lacks the numbers 2"),
        ("[안내서]", "![안내서](docs/image.png) [안내서]", "has the links docs/image.png, README.md does not"),
        ("## 사용해 보기", "### 사용해 보기", "headings of levels [1, 3], README.md [1, 2]"),
    ],
)
def test_a_changed_translation_is_found(before, after, message):
    assert before in KOREAN

    assert any(message in each for each in translation.compare(ENGLISH, KOREAN.replace(before, after)))
