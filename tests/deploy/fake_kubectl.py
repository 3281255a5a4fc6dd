"""The command lines of kubectl that `.ci/deploy` uses, answered by a `FakeCluster`."""

import json
import re
import socketserver
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

from tests.deploy.fake_cluster import KSERVICE, FakeCluster
from tests.deploy.rolling import RefusedError
from tests.manifests.conftest import KUBECTL

WITHOUT_VALUE = {
    "--server-side",
    "--force-conflicts",
    "--overwrite",
    "--ignore-not-found",
    "--previous",
    "--local",
}
CHANGES = {"apply", "patch", "annotate", "create", "replace", "delete", "rollout"}
WAIT_TICKS = 300

CLIENT = f"""#!{sys.executable} -IS
import json, os, socket, sys
line = {{"arguments": sys.argv[1:], "program": os.path.basename(sys.argv[0])}}
if "-" in sys.argv or "--filename=-" in sys.argv:
    line["text"] = sys.stdin.read()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(os.environ["FAKE_CLUSTER"])
    stream = connection.makefile("rw")
    stream.write(json.dumps(line) + "\\n")
    stream.flush()
    answer = json.loads(stream.readline())
sys.stdout.write(answer["output"])
sys.stderr.write(answer["error"])
sys.exit(answer["status"])
"""
"""The program `kubectl`: passes its arguments to the test."""


class FakeKubectl:
    """Interprets command lines."""

    def __init__(self, cluster: FakeCluster):
        self.cluster = cluster

    def answer(self, arguments, text=None):
        """Return status, output and errors of a call."""
        self.cluster.log.append(" ".join(arguments))
        try:
            self.cluster.check_rights(" ".join(arguments))
            status, output = self._run(arguments, text)
        except RefusedError as refusal:
            return 2 if arguments[0] == "diff" else 1, "", f"{refusal}\n"
        return status, output, ""

    def _run(self, arguments, text):
        words, flags = split_arguments(arguments)
        verb, *rest = words
        namespace = flags.get("namespace", "")
        if verb in CHANGES and "local" not in flags:
            self.cluster.writes.append(" ".join(arguments[:3]))
        if verb == "patch" and "local" in flags:
            return 0, convert(text)
        return getattr(self, f"_run_{verb}")(rest, flags, namespace, text)

    def _run_version(self, *_):
        return 0, "v1.36.0\n"

    def _run_kustomize(self, rest, *_):
        return 0, self.cluster.render(rest[0])

    def _run_get(self, rest, flags, namespace, _text):
        self.cluster.tick()
        resource, _, name = rest[0].partition("/")
        name = name or (rest[1] if len(rest) > 1 else "")
        if not name:
            items = [item for kind in resource.split(",") for item in self.cluster.list_kind(kind, namespace)]
            return 0, json.dumps({"kind": "List", "items": items})
        found = self.cluster.find(resource, namespace, name)
        output = flags.get("output", "")
        if output.startswith("jsonpath="):
            return 0, read_path(found, output.removeprefix("jsonpath="))
        if output.startswith("go-template="):
            return 0, "".join(f"{key} " for key in found["data"])
        return 0, json.dumps(found)

    def _run_apply(self, _rest, flags, _namespace, text):
        manifests = read_manifests(text)
        key, _, value = flags.get("selector", "").partition("!=" if "!=" in flags.get("selector", "") else "=")
        if key:
            is_wanted = "!=" not in flags["selector"]
            manifests = [
                item for item in manifests if (item["metadata"].get("labels", {}).get(key) == value) == is_wanted
            ]
        self.cluster.apply(manifests, flags.get("field-manager", "kubectl"), is_forced="force-conflicts" in flags)
        if flags.get("output") == "json":
            return 0, json.dumps(self._read_back(manifests[0]))
        return 0, ""

    def _read_back(self, manifest):
        key = self.cluster._key_of(manifest)
        return self.cluster.find(key[0], key[1], key[2])

    def _run_diff(self, _rest, _flags, _namespace, text):
        names = self.cluster.find_differences(read_manifests(text))
        return (1, "\n".join(f"diff {name}" for name in names) + "\n") if names else (0, "")

    def _run_patch(self, rest, flags, namespace, _text):
        resource, _, name = rest[0].partition("/")
        found = self.cluster.find(resource, namespace, name)
        patch = json.loads(flags["patch"])
        wanted = patch.get("metadata", {}).pop("resourceVersion", None)
        if wanted is not None and wanted != found["metadata"]["resourceVersion"]:
            raise RefusedError("Error from server (Conflict): the object has been modified")
        if resource == KSERVICE and "traffic" in patch.get("spec", {}):
            self.cluster._check_traffic(patch["spec"]["traffic"])
        short = resource if resource == KSERVICE else resource.partition(".")[0]
        key = (short, namespace, name)
        self.cluster.objects[key].update(patch, flags.get("field-manager", "kubectl-patch"))
        self.cluster.note_change(key)
        return 0, json.dumps(self.cluster.find(resource, namespace, name))

    def _run_annotate(self, rest, *_):
        resource, _, name = rest[0].partition("/")
        self.cluster.annotate(resource, name, rest[1:])
        return 0, ""

    def _run_create(self, _rest, _flags, _namespace, text):
        (manifest,) = read_manifests(text)
        key = self.cluster._key_of(manifest)
        if key in self.cluster.objects:
            raise RefusedError(f'Error from server (AlreadyExists): {key[0]} "{key[2]}" already exists')
        self.cluster.apply([manifest], "kubectl-create", is_forced=True)
        return 0, ""

    def _run_replace(self, _rest, _flags, _namespace, text):
        (manifest,) = read_manifests(text)
        key = self.cluster._key_of(manifest)
        found = self.cluster.find(*key)
        if manifest["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
            raise RefusedError("Error from server (Conflict): the object has been modified")
        self.cluster.objects[key].replace(manifest, "kubectl-replace")
        self.cluster.note_change(key)
        return 0, ""

    def _run_delete(self, rest, _flags, namespace, _text):
        resource, _, name = rest[0].partition("/")
        if resource.startswith("revisions"):
            self.cluster.delete_revision(name)
        else:
            self.cluster.objects.pop((resource.partition(".")[0], namespace, name), None)
        return 0, ""

    def _run_exec(self, rest, *_):
        return 0, self.cluster.read_page(rest[0], rest[-1])

    def _run_logs(self, rest, *_):
        return 0, f"{self.cluster.last_line}\n"

    def _run_rollout(self, rest, flags, namespace, _text):
        assert rest[0] == "undo"
        self.cluster.rollout.undo(flags.get("to-revision"))
        self.cluster.note_change(("deployments", namespace, "gaze-function"))
        return 0, ""

    def _run_wait(self, rest, flags, namespace, _text):
        resource, _, name = rest[0].partition("/")
        wanted = flags["for"]
        for _ in range(WAIT_TICKS):
            self.cluster.tick()
            found = self.cluster.find(resource, namespace, name)
            if wanted.startswith("jsonpath="):
                path, _, value = wanted.removeprefix("jsonpath=").rpartition("=")
                if read_path(found, path) == value:
                    return 0, ""
            else:
                kind = wanted.removeprefix("condition=")
                if {"type": kind, "status": "True"} in found["status"]["conditions"]:
                    return 0, ""
        raise RefusedError("error: timed out waiting for the condition")


def split_arguments(arguments):
    """Return the words of a command line and its options; what follows `--` are words."""
    words, flags = [], {}
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            words += list(waiting)
        elif argument.startswith("--"):
            name, has_value, value = argument.partition("=")
            flags[name[2:]] = value if has_value else (True if name in WITHOUT_VALUE else next(waiting))
        else:
            words.append(argument)
    return words, flags


def read_path(value, path):
    """Return the value of a jsonpath such as `{.status.traffic[0].revisionName}`."""
    for part in re.findall(r"\[(\d+)\]|((?:[^.\\\[\]{}]|\\.)+)", path):
        index, key = part
        try:
            value = value[int(index)] if index else value[key.replace("\\.", ".")]
        except (KeyError, IndexError):
            return ""
    return str(value)


@cache
def convert(text):
    """Return YAML as JSON, by the real kubectl, which needs no cluster for it."""
    command = [KUBECTL, "patch", "--local", "-f", "-", "--type", "merge", "-p", "{}", "-o", "json"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def read_manifests(text):
    if text.lstrip().startswith("{"):
        document = json.loads(text)
        return document["items"] if document["kind"] == "List" else [document]
    decoder, rest, found = json.JSONDecoder(), convert(text).lstrip(), []
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].lstrip()
    return found


class ClusterServer:
    """Answers the program `kubectl` in a folder, from a thread of the test."""

    def __init__(self, cluster: FakeCluster, folder: Path):
        kubectl = FakeKubectl(cluster)
        self.programs = {"kubectl": kubectl.answer}
        lock = threading.Lock()
        programs = self.programs

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                line = json.loads(self.rfile.readline())
                with lock:
                    try:
                        status, output, error = programs[line["program"]](line["arguments"], line.get("text"))
                    except Exception as problem:  # a mistake in the fake must be seen
                        status, output, error = 99, "", f"fake {line}: {problem!r}\n"
                        cluster.log.append(error)
                answer = {"status": status, "output": output, "error": error}
                self.wfile.write(json.dumps(answer).encode() + b"\n")

        self.address = str(folder / "cluster.socket")
        self._server = socketserver.ThreadingUnixStreamServer(self.address, Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        (folder / "kubectl").write_text(CLIENT)
        (folder / "kubectl").chmod(0o755)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
