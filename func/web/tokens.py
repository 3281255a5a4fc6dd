"""Access control: check the session tokens of a request."""

from func.errors import SessionTokenError
from func.session_token import TokenVerifier
from func.web.schemas import FrameMetadata


def check_tokens(verifier: TokenVerifier | None, metadata: FrameMetadata) -> int | None:
    """Return the start of the viewing, Unix time in ms; None if tokens are not checked.

    Args:
        verifier: Verifies tokens; None if no keys are configured, then tokens are ignored.
        metadata: Fields of the request.

    Raises:
        SessionTokenError: The token of the session or of its calibration session is missing or wrong.
    """
    if verifier is None:
        return None
    if metadata.session_token is None:
        raise SessionTokenError("session_token", is_missing=True)
    viewing = verifier.verify(
        metadata.session_token,
        session_id=metadata.session_id,
        ip_address=metadata.ip_address,
        video_id=metadata.video_id,
    )
    if viewing is None:
        raise SessionTokenError("session_token", is_missing=False)
    if metadata.calibration_session is not None:
        if metadata.calibration_token is None:
            raise SessionTokenError("calibration_token", is_missing=True)
        # The video id of a calibration session is not in the request, but the token contains it.
        calibration = verifier.verify(
            metadata.calibration_token, session_id=metadata.calibration_session, ip_address=metadata.ip_address
        )
        if calibration is None:
            raise SessionTokenError("calibration_token", is_missing=False)
    return viewing.start_ms
