"""The database's process: where it listens, what it keeps, and that nothing stays behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pymongo import MongoClient

from gaze_tools.stack.mongo import start_mongo
from gaze_tools.stack.processes import ProcessError


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def await_end(pid, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while is_running(pid):
        assert time.monotonic() < deadline, "the process is still there"
        time.sleep(0.02)


def test_no_process_outlives_its_context(tmp_path):
    with start_mongo(tmp_path / "data") as server:
        assert is_running(server.pid)

    assert not is_running(server.pid)
    assert (tmp_path / "data" / "WiredTiger").is_file()


def test_an_acknowledged_write_is_journaled(mongo_uri):
    with MongoClient(mongo_uri) as client:
        assert client.write_concern.document == {"w": 1, "j": True}


def test_it_listens_on_the_loopback_interface_alone(mongo_uri, mongo_client):
    port = mongo_client.address[1]
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]

    assert listening == [f"0100007F:{port:04X}"]


def test_a_taken_port_is_an_error_with_the_log(mongo_client, tmp_path):
    taken = start_mongo(tmp_path / "data", port=mongo_client.address[1])

    with pytest.raises(ProcessError, match=r"(?s)stopped with status.*ddress already in use"):
        taken.__enter__()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_the_server_ends_with_a_parent_that_is_killed():
    program = (
        "import time\n"
        "from gaze_tools.stack.mongo import start_mongo\n"
        "with start_mongo() as server:\n"
        "    print(server.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    await_end(pid)
