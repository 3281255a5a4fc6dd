"""The studio's gateway: serves the page, films and the sample person, makes session ids and forwards frames.

It is the API gateway of the system on one machine. Viewers' browsers talk to it alone; it adds what they cannot know,
such as their address.
"""

import csv
import logging
import mimetypes
import signal
import tempfile
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click
from flask import Flask, Response, jsonify, request, send_file
from pymongo.database import Database
from werkzeug.exceptions import HTTPException

from func.adapters.session_api import HttpSessionStore
from gaze_tools.film import open_film
from gaze_tools.sample_clip import SAMPLE, SAMPLE_FPS, read_truth
from gaze_tools.session.api import is_session_id
from gaze_tools.stack.server import make_server_command
from gaze_tools.studio.conversion import convert
from gaze_tools.studio.films import FilmLibrary
from gaze_tools.studio.forwarding import Forwarder, complete_metadata, is_last, read_frames
from gaze_tools.studio.guard import HEADERS, LOOPBACK_NAMES, check_address, check_origin
from gaze_tools.studio.kept import OVERLAY, START_TIMEOUT_S, KeptSessions, find_ended
from gaze_tools.studio.overlays import Overlays
from gaze_tools.studio.problems import StudioError, answer_problem, bad_request, not_found
from gaze_tools.studio.removal import RemovalTimes, remove_overlays
from gaze_tools.studio.starts import add_starts, find_address
from gaze_tools.studio.uploads import MAX_FILM_BYTES, is_disk_full, refuse_full_disk, refuse_size
from gaze_tools.studio.viewings import CHECK_VIDEO_ID, OpenViewings

PAGE = Path(__file__).with_name("static")
MAX_GAZE_BYTES = 8 * 2**20
"""As MAX_BODY_BYTES of the function."""

OVERLAYS = "studio-overlays"
"""Key of the gateway's `Overlays` among the extensions of its application."""

_MAX_MESSAGE_BYTES = 64 * 1024
_SESSION_API_TIMEOUT_S = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GatewaySetup:
    """What a gateway needs.

    Attributes:
        function_url: Base address of the function.
        session_api_url: Base address of the session API.
        mongo_uri: Address of the MongoDB with the maps.
        directory: Directory for films and finished sessions.
        hosts: Host names under which the gateway may be reached.
        token_key: Key that signs session tokens; None if the function checks none.
        removal_times: Times of the removal of films; None for the usual ones.
        start_timeout_s: Time that the start of a viewing waits for the session API.
    """

    function_url: str
    session_api_url: str
    mongo_uri: str
    directory: Path
    hosts: Collection[str] = LOOPBACK_NAMES
    token_key: bytes | None = None
    removal_times: RemovalTimes | None = None
    start_timeout_s: float = START_TIMEOUT_S


def make_gateway(database: Database[dict[str, Any]], setup: GatewaySetup) -> Flask:
    """Return the gateway as an application.

    Args:
        database: Database of the saliency maps.
        setup: Addresses and directory.
    """
    app = Flask(__name__, static_folder=str(PAGE), static_url_path="/static")
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_GAZE_BYTES
    kept = KeptSessions(
        setup.directory,
        setup.session_api_url,
        setup.mongo_uri,
        database=database.name,
        start_timeout_s=setup.start_timeout_s,
    )
    viewings = OpenViewings(HttpSessionStore(setup.session_api_url, timeout_s=_SESSION_API_TIMEOUT_S, retries=2))
    films = FilmLibrary(
        setup.directory / "films",
        database,
        is_watched=viewings.is_watched,
        on_removed=lambda film_id: remove_overlays(setup.directory / "sessions", film_id),
        removal_times=setup.removal_times,
    )
    _add_guard(app, setup.hosts)
    _add_page(app, setup.directory)
    _add_films(app, films)
    add_starts(app, films, kept, viewings, token_key=setup.token_key)
    _add_frames(app, setup.function_url, kept, viewings)
    _add_sessions(app, films, kept)
    overlays = Overlays(kept, films)
    _add_overlays(app, overlays)
    app.extensions[OVERLAYS] = overlays
    return app


def _add_guard(app: Flask, hosts: Collection[str]) -> None:
    @app.before_request
    def refuse_others() -> None:
        check_address(request.remote_addr, hosts)
        check_origin(
            request.headers.get("Host", ""),
            request.headers.get("Origin"),
            # Links and bookmarks lead to the page from anywhere; they read and change nothing.
            None if request.path == "/" and request.method == "GET" else request.headers.get("Sec-Fetch-Site"),
            hosts,
        )
        limit = MAX_GAZE_BYTES if request.path == "/gaze" else _MAX_MESSAGE_BYTES
        request.max_content_length = MAX_FILM_BYTES if request.path == "/api/films" else limit

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(StudioError)
    def refuse(error: StudioError) -> Response:
        return answer_problem(error)

    @app.errorhandler(HTTPException)
    def answer_http(error: HTTPException) -> Response:
        code = error.code or 500
        if code == 413 and request.path == "/api/films":
            return answer_problem(refuse_size())
        slug = error.name.lower().replace(" ", "-")
        return answer_problem(StudioError(code, slug, error.name, f"{error.name}."))

    @app.errorhandler(Exception)
    def fail(error: Exception) -> Response:
        if isinstance(error, OSError) and is_disk_full(error):
            return answer_problem(refuse_full_disk())
        _log.error("a request failed: %s", type(error).__name__)
        return answer_problem(StudioError(500, "unexpected", "Unexpected error", "The gateway failed."))


def _add_page(app: Flask, directory: Path) -> None:
    one_at_a_time = threading.Lock()

    @app.get("/")
    def page() -> Response:
        response = send_file(PAGE / "index.html", max_age=0)
        response.headers["Cache-Control"] = "no-cache"
        return response

    @app.get("/favicon.ico")
    def icon() -> Response:
        return send_file(PAGE / "icon.svg", mimetype="image/svg+xml")

    @app.get("/api/sample-person")
    def sample_person() -> Response:
        """Return the images of the rendered person who stands in for a camera."""
        truth = read_truth()
        with (SAMPLE / "recording" / "targets.csv").open(newline="", encoding="utf-8") as file:
            rows = [
                {"url": f"/api/sample-person/{row['frame']}", "target": [float(row["x"]), float(row["y"])]}
                for row in csv.DictReader(file)
            ]
        return jsonify(
            targets=rows,
            clip="/api/sample-person/clip.webm",
            frames_per_s=SAMPLE_FPS,
            screen=truth["screen"],
            camera=truth["camera"],
        )

    @app.get("/api/sample-person/<name>")
    def sample_image(name: str) -> Response:
        if name == "clip.webm":
            clip = directory / "clip.webm"
            with one_at_a_time:
                if not clip.is_file():
                    convert(SAMPLE / "clip.mp4", clip)
            return send_file(clip, mimetype="video/webm", conditional=True)
        known = {path.name: path for path in (SAMPLE / "recording" / "frames").iterdir()}
        if name not in known:
            raise not_found("There is no such image.")
        return send_file(known[name], max_age=3600)


def _add_films(app: Flask, films: FilmLibrary) -> None:
    @app.get("/api/films")
    def list_films() -> Response:
        return jsonify(films=[film.as_json() for film in films.list_films()])

    @app.post("/api/films")
    def add_film() -> tuple[Response, int]:
        title = request.args.get("name", "")
        if not title or len(title) > 300 or not title.isprintable():
            raise bad_request("The name of the film is missing.")
        return jsonify(films.add(title, request.stream).as_json()), 201  # type: ignore[arg-type]

    @app.get("/api/films/<film_id>")
    def get_film(film_id: str) -> Response:
        return jsonify(films.get(film_id).as_json())

    @app.post("/api/films/<film_id>/maps")
    def compute_again(film_id: str) -> tuple[Response, int]:
        return jsonify(films.prepare(film_id).as_json()), 202

    @app.delete("/api/films/<film_id>")
    def remove_film(film_id: str) -> Response:
        films.remove(film_id)
        return jsonify(message="Film removed")

    @app.get("/api/films/<film_id>/video")
    def play_film(film_id: str) -> Response:
        path = films.find_playable(film_id)
        kind = mimetypes.guess_type(path.name)[0] or "video/mp4"
        return _send_kept(path, mimetype=kind, conditional=True, max_age=0)


def _add_frames(app: Flask, function_url: str, kept: KeptSessions, viewings: OpenViewings) -> None:
    forwarder = Forwarder(function_url)

    @app.get("/api/health")
    def health() -> tuple[Response, int]:
        is_ready = forwarder.is_ready()
        return jsonify(function="ready" if is_ready else "not ready"), 200 if is_ready else 503

    @app.post("/gaze")
    def forward() -> Response:
        metadata, images = read_frames(request)
        session_id = metadata.get("session_id")
        is_check = metadata.get("video_id") == CHECK_VIDEO_ID
        # The function refuses malformed ids.
        if isinstance(session_id, str) and is_session_id(session_id) and not is_check:
            try:
                viewings.require(session_id, is_last=is_last(metadata))
            except StudioError as error:
                stored = kept.find_answer(session_id) if error.status == 410 and metadata.get("last_frame") else None
                if stored is None:
                    raise
                return jsonify(stored)  # a repeat: the session was scored and has expired since
        answer = forwarder.post(complete_metadata(metadata, find_address()), images)
        ended = find_ended(answer.get_data()) if answer.status_code == 200 else None
        if ended is not None:
            kept.keep(ended)
            viewings.end(ended.session_id)
        return answer


def _add_sessions(app: Flask, films: FilmLibrary, kept: KeptSessions) -> None:
    @app.get("/api/sessions")
    def list_sessions() -> Response:
        return jsonify(sessions=kept.list_sessions())

    @app.get("/api/sessions/<session_id>/<name>")
    def get_file(session_id: str, name: str) -> Response:
        video = None
        if name != "session.json":
            try:
                video = films.find_original(kept.read_about(session_id).video_id)
            except StudioError as error:
                if error.status != 404:
                    raise
        path = kept.find_file(session_id, name, video)
        response = _send_kept(path, as_attachment=name != "report.html")
        # Where somebody looked does not belong into the cache of a browser.
        response.headers["Cache-Control"] = "no-store"
        if name == "report.html":
            # The report contains its images and styles; it runs no script.
            response.headers["Content-Security-Policy"] = (
                "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'"
            )
        return response


def _add_overlays(app: Flask, overlays: Overlays) -> None:
    @app.get("/api/overlays")
    def list_overlays() -> Response:
        return jsonify(overlays=[overlay.as_json() for overlay in overlays.list_overlays()])

    @app.get("/api/sessions/<session_id>/overlay")
    def get_overlay(session_id: str) -> Response:
        return jsonify(overlays.get(session_id).as_json())

    @app.post("/api/sessions/<session_id>/overlay")
    def make_overlay(session_id: str) -> tuple[Response, int]:
        return jsonify(overlays.make(session_id).as_json()), 202

    @app.delete("/api/sessions/<session_id>/overlay")
    def remove_overlay(session_id: str) -> Response:
        overlays.remove(session_id)
        return jsonify(message="Overlay removed")

    @app.get(f"/api/sessions/<session_id>/{OVERLAY}")
    def get_overlay_file(session_id: str) -> Response:
        response = _send_kept(overlays.await_file(session_id), as_attachment=True, conditional=True)
        response.headers["Cache-Control"] = "no-store"
        return response


def _send_kept(path: Path, **options: Any) -> Response:  # noqa: ANN401  options of `send_file`
    """Answer with a file that may be removed at any time.

    Raises:
        StudioError: It was removed after it was found (404).
    """
    try:
        return send_file(path, **options)
    except FileNotFoundError as error:
        raise not_found("The file has just been removed.") from error


def _create_app(
    database: Database[dict[str, Any]],
    *,
    maps_uri: str,
    function_url: str,
    session_api_url: str,
    data: str | None,
) -> Flask:
    directory = Path(data) if data else Path(tempfile.mkdtemp(prefix="studio-"))
    directory.mkdir(parents=True, exist_ok=True)
    with open_film(SAMPLE / "video.mp4"):
        pass  # PyAV and its libraries are loaded before the first viewer comes
    app = make_gateway(database, GatewaySetup(function_url, session_api_url, maps_uri, directory))
    _call_when_stopped(app.extensions[OVERLAYS].note_stop)
    return app


def _call_when_stopped(note_stop: Callable[[], None]) -> None:
    """Call a function as soon as the server asks this process to stop: soon afterwards, it kills it."""

    def call_before(earlier: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            note_stop()
            earlier(number, frame)

        return handle

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        earlier = signal.getsignal(number)
        if callable(earlier):
            signal.signal(number, call_before(earlier))
            signal.siginterrupt(number, False)  # as the server does for its own


main = make_server_command(
    _create_app,
    database="saliency_db",
    help_text=__doc__,
    app_options=[
        click.Option(["--function-url"], required=True, help="Base address of the function."),
        click.Option(["--session-api-url"], required=True, help="Base address of the session API."),
        click.Option(["--maps-uri"], required=True, help="Address of the MongoDB with the maps."),
        click.Option(["--data"], help="Directory for films and finished sessions.  [default: a temporary one]"),
    ],
)


if __name__ == "__main__":
    main()
