"""`gaze session` with damaged files, interrupted imports, devices as output and addresses with passwords."""

import os

import pytest
from click.testing import CliRunner

from gaze_core.errors import SessionNotFoundError, SessionStoreError
from gaze_core.ports import Session
from gaze_tools.cli import main
from gaze_tools.command_line import describe_error
from gaze_tools.session.api import SessionApi, escape_control
from gaze_tools.session.export_file import ExportError, ExportHeader, check_export, write_export
from gaze_tools.session.transfer import import_session
from gaze_tools.stack.session_api import create_app
from tests.adapters.upstream_services import serve
from tests.faults.old_session_service import OldSessionService

HEADER = ExportHeader("s", "2026-01-01T00:00:00+00:00", None, has_ip_address=True)
FRAMES = {number: {"gaze": [0.5, 0.5]} for number in range(1, 251)}


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "s.json"
    session = Session("s", "203.0.113.7", "v", "2026-01-01T00:00:00", frames=FRAMES, settings={})
    write_export(path, HEADER, [[session]])
    return path


@pytest.fixture
def url(database):
    with serve(create_app(database, ttl_s=300, operator_calls=True)) as url:
        yield url


class InterruptedApi(SessionApi):
    """Fails at the second batch of frames."""

    def __init__(self, base_url, error):
        super().__init__(base_url)
        self._error, self._puts = error, 0

    def put(self, session_id, values):
        self._puts += 1
        if self._puts == 2:
            raise self._error
        super().put(session_id, values)


def find_sessions(url):
    return [each["session_id"] for each in SessionApi(url).list_sessions()["sessions"]]


@pytest.mark.parametrize("cut", [0.3, 0.9], ids=["early", "late"])
def test_of_a_truncated_file_nothing_is_imported(export, url, cut):
    text = export.read_text()
    export.write_text(text[: int(len(text) * cut)])

    with pytest.raises(ExportError):
        import_session(export, SessionApi(url))

    assert find_sessions(url) == []


@pytest.mark.parametrize("error", [SessionStoreError("gone"), KeyboardInterrupt()], ids=["failure", "Ctrl-C"])
def test_an_import_that_ends_early_leaves_nothing_and_can_be_repeated(export, url, error):
    with pytest.raises(type(error)):
        import_session(export, InterruptedApi(url, error))

    assert find_sessions(url) == []
    assert import_session(export, SessionApi(url)).frames == 250


def test_what_an_older_session_api_does_not_remove_is_named(export):
    service = OldSessionService()
    with serve(service.app) as url, pytest.raises(SessionStoreError, match="gone; incomplete in the session API: s"):
        import_session(export, InterruptedApi(url, SessionStoreError("gone")))


def test_a_session_that_existed_before_a_failed_import_is_not_removed(export, url):
    SessionApi(url).create("s", ip_address="203.0.113.7", video_id="v")

    with pytest.raises(SessionStoreError, match="exists in the session API"):
        import_session(export, SessionApi(url))

    assert find_sessions(url) == ["s"]


def test_a_byte_order_mark_before_an_export_is_skipped(export):
    export.write_bytes(b"\xef\xbb\xbf" + export.read_bytes())

    check_export(export)


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.5", "NaN"), ('"2":{"gaze":[0.5,0.5]},\n"3"', '"2":{"gaze":[0.5,0.5]},"3"')],
    ids=["not JSON", "two frames in a line"],
)
def test_a_changed_line_is_named(export, old, new):
    export.write_text(export.read_text().replace(old, new, 1))

    with pytest.raises(ExportError, match=r"line [34]: is "):
        check_export(export)


def test_a_device_or_a_pipe_is_never_replaced_by_an_export(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(OSError, match="is not a regular file"):
        write_export(pipe, HEADER, [[Session("s", "", "v", "", frames={}, settings={})]])

    assert pipe.is_fifo()


def test_a_link_stays_a_link(tmp_path, export):
    link = tmp_path / "link"
    link.symlink_to(export)

    write_export(link, HEADER, [[Session("s", "", "v", "", frames={}, settings={})]])

    assert link.is_symlink()
    assert '"frame_count":0' in export.read_text()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://user:secret@h", "must be a URL without user name and password."),
        ("h:8081", "must be an http:// or https:// URL without query and fragment, such as http://host:8080."),
        ("http://h:99999", "must have a port from 1 to 65535."),
    ],
)
@pytest.mark.parametrize("command", [["session", "list"], ["report", "s", "--out", "none"]], ids=["session", "report"])
def test_a_wrong_address_of_the_session_api_is_explained_and_not_repeated(command, address, said):
    env = {"SESSION_API_URL": address, "MONGO_URI": "mongodb://127.0.0.1:9"}

    done = CliRunner().invoke(main, command, env=env)

    assert done.exit_code == 2
    assert f"'--session-api' (env var: 'SESSION_API_URL'): {said}" in " ".join(done.output.split())
    assert "secret" not in done.output


def test_an_export_names_a_wrong_mongo_uri(url):
    SessionApi(url).create("s", ip_address="203.0.113.7", video_id="v")

    done = CliRunner().invoke(
        main, ["session", "export", "s"], env={"SESSION_API_URL": url, "MONGO_URI": "mongodb://u:se@cret@h"}
    )

    assert done.output.startswith("Error: MONGO_URI cannot be used: it is malformed; in user name and password, write")
    assert "cret" not in done.output.replace("secret", "")


@pytest.mark.parametrize("name", ["a b", "..", "a/b", "x" * 129])
def test_an_import_gets_only_an_id_that_the_function_accepts(export, name):
    done = CliRunner().invoke(
        main, ["session", "import", str(export), "--as", name], env={"SESSION_API_URL": "http://127.0.0.1:9"}
    )

    assert "must have 1 to 128 letters, digits, . _ : or -" in " ".join(done.output.split())


def test_control_characters_of_an_id_do_not_reach_the_terminal():
    assert escape_control("é\x1b[2J\n") == "é\\x1b[2J\\n"


def test_the_removal_of_a_session_that_is_gone_is_an_error_of_its_own(url):
    with pytest.raises(SessionNotFoundError):
        SessionApi(url).remove("s")


def test_an_error_of_the_system_is_said_without_its_number(tmp_path):
    (tmp_path / "file").write_text("")

    done = CliRunner().invoke(main, ["serve", "--port", "0", "--data", str(tmp_path / "file" / "data")])

    assert done.output.splitlines()[-1].endswith("Not a directory")
    assert describe_error(OSError(13, "Permission denied", "out/logs")) == "out/logs: Permission denied"
    assert describe_error(OSError("no number")) == "no number"
