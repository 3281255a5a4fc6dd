"""Session tokens: their format, and which tokens are refused."""

from dataclasses import replace

import pytest

from func.session_token import TokenVerifier, Viewing, parse_keys, sign_viewing

KEY = b"0123456789abcdef0123456789abcdef"
OTHER_KEY = b"fedcba9876543210fedcba9876543210"
VIEWING = Viewing("5f0c6a3e-0000-5000-8000-000000000001", "203.0.113.7", "contents1", 1_767_225_600_000)
TOKEN = "v1.1767225600000.contents1.deb0669f75af1fd64393781baed9fe8ba6956d7d50475e6b0ad02d0fd3964c2d"


def verify(token, *keys, viewing=VIEWING, video_id="contents1"):
    verifier = TokenVerifier(keys or (KEY,))
    return verifier.verify(token, session_id=viewing.session_id, ip_address=viewing.ip_address, video_id=video_id)


def test_the_token_is_that_of_the_documentation():
    assert sign_viewing(KEY, VIEWING) == TOKEN


def test_a_signed_viewing_is_verified_with_its_start_time():
    assert verify(TOKEN) == VIEWING


@pytest.mark.parametrize(
    "other",
    [
        replace(VIEWING, session_id="5f0c6a3e-0000-5000-8000-000000000002"),
        replace(VIEWING, ip_address="203.0.113.8"),
        replace(VIEWING, video_id="contents2"),
        replace(VIEWING, start_ms=1_767_225_600_001),
    ],
    ids=["session", "address", "video", "start"],
)
def test_a_token_is_valid_for_one_viewing_only(other):
    mac = TOKEN.rpartition(".")[2]
    token = f"v1.{other.start_ms}.{other.video_id}.{mac}"

    assert verify(token, viewing=other, video_id=other.video_id) is None


def test_another_video_is_refused():
    assert verify(sign_viewing(KEY, VIEWING), video_id="contents2") is None


def test_a_calibration_token_carries_the_video_that_it_was_made_with():
    token = sign_viewing(KEY, replace(VIEWING, video_id="calibration.v1"))

    assert verify(token, video_id=None).video_id == "calibration.v1"


def test_a_video_id_may_look_like_the_end_of_a_token():
    viewing = replace(VIEWING, video_id="a." + "0" * 64)

    assert verify(sign_viewing(KEY, viewing), viewing=viewing, video_id=viewing.video_id) == viewing


@pytest.mark.parametrize(
    "token",
    [
        "",
        "v1",
        TOKEN.upper(),
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN[:-1],
        TOKEN.replace("v1", "v2"),
        TOKEN.replace("1767225600000", "01767225600000"),
        TOKEN.replace("1767225600000", "-1767225600000"),
        TOKEN.replace("1767225600000", "١٧٦٧٢٢٥٦٠٠٠٠٠"),
        TOKEN.replace("contents1", "contents1\n"),
        TOKEN.rpartition(".")[2],
    ],
)
def test_another_spelling_is_refused(token):
    assert verify(token) is None


def test_a_line_feed_cannot_move_a_field_s_border():
    """`a\\nb` and `c` would have the message of `a` and `b\\nc`."""
    with pytest.raises(ValueError, match="cannot be signed"):
        sign_viewing(KEY, replace(VIEWING, ip_address="203.0.113.7\ncontents1"))
    assert verify(TOKEN, viewing=replace(VIEWING, ip_address="203.0.113.7\ncontents1")) is None


def test_every_key_verifies():
    assert verify(sign_viewing(KEY, VIEWING), OTHER_KEY, KEY) == VIEWING


def test_a_removed_key_no_longer_verifies():
    assert verify(sign_viewing(OTHER_KEY, VIEWING), KEY) is None


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("0123456789abcdef0123456789abcdef", (KEY,)),
        ("hex:3031323334353637383961626364656630313233343536373839616263646566", (KEY,)),
        ("base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", (KEY,)),
        ("0123456789abcdef0123456789abcdef, fedcba9876543210fedcba9876543210", (KEY, OTHER_KEY)),
        ("0123456789abcdef0123456789abcdef\r\nfedcba9876543210fedcba9876543210\n", (KEY, OTHER_KEY)),
        ("ä" * 16, (("ä" * 16).encode(),)),
    ],
    ids=["text", "hex", "base64", "commas", "lines", "utf-8"],
)
def test_keys_are_text_hex_or_base64(text, keys):
    assert parse_keys(text) == keys


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef,short",
        "hex:" + "30" * 31,
        "hex:" + "zz" * 32,
        "base64:" + "A" * 40,
        "base64:*" + "A" * 43,
        ",".join(["0123456789abcdef0123456789abcdef"] * 9),
    ],
)
def test_a_weak_or_malformed_key_is_refused_without_showing_it(text):
    with pytest.raises(ValueError, match=r"must contain|contains a key") as caught:
        parse_keys(text)

    assert not any(part in str(caught.value) for part in text.split(",") if len(part) > 4)
