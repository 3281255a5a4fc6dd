"""Name what was sent instead of a JPEG, PNG or WebP file, from its first bytes."""

import re

_KINDS = (
    (rb"GIF8", "a GIF"),
    (rb"BM", "a BMP"),
    (rb"II\*\0|MM\0\*", "a TIFF"),
    (rb".{4}ftyp(?:hei|hev|mif1|msf1)", "a HEIC image"),
    (rb".{4}ftypavi[fs]", "an AVIF image"),
    (rb".{4}ftyp", "an MP4 video"),
    (rb"\x1aE\xdf\xa3", "a WebM or Matroska video"),
    (rb"RIFF.{4}AVI ", "an AVI video"),
    (rb"%PDF", "a PDF"),
    (rb"\s*<(?:svg|\?xml)", "an SVG image"),
    (rb"\s*<", "an HTML page"),
    (rb"/9j/|iVBORw0KGgo|UklGR|data:", "base64 text: it was encoded twice"),
    (rb"\xff\xd8", "a damaged JPEG"),
    (rb"[ -~\s]{8}", "text"),
)

_PATTERNS = tuple((re.compile(pattern, re.DOTALL), kind) for pattern, kind in _KINDS)


def describe_other_format(data: bytes) -> str:
    """Return what a file is that is not a JPEG, PNG or WebP; `unknown data` if that is not known either."""
    head = data[:64]
    if data and not head.strip(head[:1]):
        return "unknown data, perhaps raw pixels"
    return next((kind for pattern, kind in _PATTERNS if pattern.match(head)), "unknown data")
