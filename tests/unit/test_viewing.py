import pytest

from func.errors import OtherViewingError
from func.session.viewing import require_viewing

START_MS = 1_767_225_600_000


@pytest.mark.parametrize("stored", [{}, [], None, "result", {"viewing_start_ms": None}, {"viewing_start_ms": START_MS}])
def test_what_names_no_other_viewing_belongs_to_any(stored):
    require_viewing(stored, START_MS)


@pytest.mark.parametrize("start_ms", [START_MS + 1, str(START_MS), [START_MS], {"start": START_MS}])
def test_another_start_time_is_another_viewing_whatever_its_type(start_ms):
    with pytest.raises(OtherViewingError):
        require_viewing({"viewing_start_ms": start_ms}, START_MS)


def test_without_tokens_every_viewing_is_accepted():
    require_viewing({"viewing_start_ms": START_MS}, None)
