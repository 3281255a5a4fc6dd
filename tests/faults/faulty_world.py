"""A function whose three upstream services stand behind faulty proxies."""

import contextlib
from urllib.parse import urlsplit

from gaze_tools.stack import aggregator, session_api
from gaze_tools.stack.launcher import UpstreamServices
from tests.adapters.upstream_services import serve
from tests.faults.faulty_mongo import FaultyMongo
from tests.faults.faulty_proxy import FaultyProxy
from tests.faults.services import QUICK_FUNCTION, run_function

SETTINGS = {
    "THREADS": "16",
    "LANDMARKERS": "2",
    "HTTP_TIMEOUT_S": "0.8",
    "HTTP_RETRIES": "1",
    "MONGO_TIMEOUT_S": "0.8",
    "BARRIER_TIMEOUT_S": "1",
    "LAST_FRAME_TIMEOUT_S": "10",
    "LOG_LEVEL": "ERROR",
}


class FaultyWorld:
    """A running function.

    Attributes:
        function_url: Its address.
        process: Server of the function.
        proxies: The proxy of each upstream service by its name.
        session_api_url: Address of the session API itself, without faults.
        aggregator_url: Address of the aggregator itself, without faults.
    """

    def __init__(self, function_url, process, proxies, session_api_url, aggregator_url):
        self.function_url = function_url
        self.process = process
        self.proxies = proxies
        self.session_api_url = session_api_url
        self.aggregator_url = aggregator_url


@contextlib.contextmanager
def run_faulty_world(mongo_client, mongo_uri, folder, *, name="world", source=QUICK_FUNCTION, settings=None):
    """Run a world until the block ends; `name` tells several apart.

    Its log is the file `name`.log in the folder.
    """
    with contextlib.ExitStack() as stack:
        session_api_url = stack.enter_context(serve(session_api.create_app(mongo_client[f"{name}_sessions"])))
        aggregator_url = stack.enter_context(serve(aggregator.create_app(mongo_client[f"{name}_results"])))
        proxies = {
            "session API": FaultyProxy(urlsplit(session_api_url).port),
            "aggregator": FaultyProxy(urlsplit(aggregator_url).port),
            "MongoDB": FaultyMongo(urlsplit(mongo_uri).port),
        }
        ports = [stack.enter_context(proxy).port for proxy in proxies.values()]
        upstream = UpstreamServices(
            f"mongodb://127.0.0.1:{ports[2]}/?directConnection=true",
            f"http://127.0.0.1:{ports[0]}",
            f"http://127.0.0.1:{ports[1]}",
        )
        environment = SETTINGS if settings is None else settings
        url, process = stack.enter_context(
            run_function(upstream, folder, name=name, settings=environment, source=source)
        )
        yield FaultyWorld(url, process, proxies, session_api_url, aggregator_url)
