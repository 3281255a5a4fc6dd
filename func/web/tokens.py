"""Whether a request may use the sessions that it names."""

from func.errors import SessionTokenError
from func.session_token import TokenVerifier
from func.web.schemas import FrameMetadata


def check_tokens(verifier: TokenVerifier | None, metadata: FrameMetadata) -> int | None:
    """Return when the viewing started, in milliseconds since 1970; None when tokens are not checked.

    Args:
        verifier: None where no keys are set: every request passes and tokens are ignored.
        metadata: The request.

    Raises:
        SessionTokenError: The token of the session, or of the calibration session that it names, is missing or wrong.
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
        # Made with whatever video id the gateway used for the calibration: the token carries it.
        calibration = verifier.verify(
            metadata.calibration_token, session_id=metadata.calibration_session, ip_address=metadata.ip_address
        )
        if calibration is None:
            raise SessionTokenError("calibration_token", is_missing=False)
    return viewing.start_ms
