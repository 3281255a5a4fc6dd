"""Copy the sound of a film into another file, packet by packet."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
"""Codecs that an MP4 file can contain."""

_JUMP_S = 1


class SoundCopy:
    """The sound of a film on its way into an MP4 file.

    Attributes:
        left_out: Which sound is not copied and why; None if all of it is.

    Args:
        film: Film.
        container: MP4 file without any packet yet.
        origin_s: Time in the film that becomes 0.
    """

    def __init__(self, film: Path, container: "av.container.OutputContainer", origin_s: float) -> None:
        import av  # noqa: PLC0415  takes a tenth of a second

        self.left_out: str | None = None
        self._container = container
        self._source = av.open(str(film.resolve()), metadata_errors="replace")
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._last_dts: int | None = None
        self._origin_s = Fraction(origin_s).limit_denominator(1_000_000)
        stream = self._source.streams.best("audio")
        if stream is None:
            return
        codec = _name_codec(stream)
        if codec not in MP4_SOUND:
            self.left_out = f"its codec is {codec}, which MP4 cannot contain"
            return
        try:
            self._stream = container.add_stream_from_template(stream)
        except (av.error.FFmpegError, ValueError) as error:
            self.left_out = f"it cannot be copied: {error}"
            return
        self._packets = self._read(self._source.demux(stream))

    def write_until(self, time_s: float) -> None:
        """Copy the sound up to a position."""
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = packet
            if packet.dts * packet.time_base > time_s:
                return
            self._next = None
            packet.stream = self._stream
            self._container.mux(packet)

    def finish(self) -> None:
        """Copy the rest."""
        self.write_until(float("inf"))

    def close(self) -> None:
        """Close the film."""
        self._source.close()

    def _read(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Yield the packets with times that rise, on the timeline of the output; damage ends the sound."""
        import av  # noqa: PLC0415

        try:
            for packet in packets:
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                moved = round(self._origin_s / packet.time_base)
                packet.dts, packet.pts = packet.dts - moved, packet.pts - moved
                if self._last_dts is not None and packet.dts <= self._last_dts:
                    if (self._last_dts - packet.dts) * packet.time_base > _JUMP_S:
                        self.left_out = f"after {float(self._last_dts * packet.time_base):.1f} s, its times start again"
                        return
                    continue
                self._last_dts = packet.dts
                yield packet
        except av.error.FFmpegError:
            self.left_out = "a part of it is damaged"


def _name_codec(stream: Any) -> str:  # noqa: ANN401  PyAV's type omits that a codec may be unknown
    return "unknown" if stream.codec_context is None else str(stream.codec_context.codec.canonical_name)
