"""Parsers of URLs in environment variables. Each raises ValueError with the requirement on the value.

They check all that can be checked without the network, because a wrong URL stays wrong: a frame that fails with it
would be repeated in vain. Messages contain no part of a URL that may be a password.
"""

import difflib
import ipaddress
import re
import ssl
import warnings
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pymongo import MongoClient, uri_parser
from pymongo.common import URI_OPTIONS_VALIDATOR_MAP
from pymongo.errors import ConfigurationError, PyMongoError

_ESCAPING = "must have its user name and password percent-encoded: @ as %40, : as %3A, / as %2F, % as %25"

_DRIVER = "must be a URI that the MongoDB driver accepts: check how its options, database and hosts fit together"

_KEY_FILE = (
    "must have a tlsCertificateKeyFile with a certificate and its key, and the right tlsCertificateKeyFilePassword"
)

_PORTS = "must have ports from 1 to 65535"

_USER_TEXT = re.compile(r"(?:[^%@:/?#\[\]\s]|%[0-9A-Fa-f]{2})*")

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"

_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9_.-]+)?\])(?::(?P<port>[0-9]+))?")

_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])(?::(?P<port>[1-9][0-9]{0,4}))?"
)

_SOCKET = re.compile(r"(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+\.sock")

_MONGO_FILES = {"tlscafile": "tlsCAFile", "tlscertificatekeyfile": "tlsCertificateKeyFile", "tlscrlfile": "tlsCRLFile"}

_SRV_OPTIONS = {"srvservicename", "srvmaxhosts"}

_SWITCHES = {"true", "false", "yes", "no", "on", "off", "1", "0", "t", "f", "y", "n"}
"""Values, in lower case, that people write for an option that is true or false."""


def parse_base_url(text: str) -> str:
    """Return an HTTP or HTTPS URL without user name and without a trailing slash."""
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise ValueError("must be a URL without user name and password")
    return _parse_http_url(text)


def parse_origins(text: str) -> tuple[str, ...]:
    """Return origins as browsers send them: scheme, host in lower case, and the port unless it is the usual one."""
    origins = tuple(part.strip() for part in text.split(","))
    for origin in origins:
        found = _ORIGIN.fullmatch(origin)
        usual = {"http": "80", "https": "443"}
        if found is None or found["port"] == usual[found["scheme"]] or int(found["port"] or 1) > 65535:
            raise ValueError(
                "must be origins separated by commas, such as https://study.example or http://localhost:3000: scheme "
                "and host in lower case, a port only if it is not the usual one, no path and no *"
            )
    return origins


def parse_proxy_url(text: str) -> str:
    """Return the URL of an HTTP proxy, which may contain user name and password, without a trailing slash."""
    authority, _, path = text.partition("://")[2].partition("/")
    users, _, host = authority.rpartition("@")
    user, _, password = users.partition(":")
    if "@" in path or not (_USER_TEXT.fullmatch(user) and _USER_TEXT.fullmatch(password)):
        raise ValueError(_ESCAPING)
    if path:
        raise ValueError("must be the URL of a proxy without a path, such as http://proxy:3128")
    _parse_http_url(f"{text.partition('://')[0]}://{host}")
    return text.rstrip("/")


def parse_mongo_uri(text: str) -> str:
    """Return a MongoDB URI that the driver accepts. For `mongodb+srv`, which needs DNS, only the syntax is checked."""
    scheme, _, rest = text.partition("://")
    if scheme not in {"mongodb", "mongodb+srv"} or not rest:
        raise ValueError("must be a mongodb:// or mongodb+srv:// URI")
    # The driver splits at the first slash or question mark, too.
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    users, _, hosts = authority.rpartition("@")
    user, _, password = users.partition(":")
    path, _, options = rest[len(authority) :].partition("?")
    is_escaped = _USER_TEXT.fullmatch(user) and _USER_TEXT.fullmatch(password) and (user or "@" not in authority)
    if not is_escaped or "@" in path:
        raise ValueError(_ESCAPING)
    try:
        _check_mongo_hosts(hosts, is_srv=scheme.endswith("srv"))
    except ValueError as error:
        # An unescaped slash or question mark in a password ends the authority too early.
        raise ValueError(_ESCAPING if "@" in rest[len(authority) :] else str(error)) from None
    if re.search(r"[\s\x00-\x1f]", text):
        raise ValueError("must not contain white space")
    if user and users.endswith(":"):
        raise ValueError("must have a password after the user name and the colon")
    if options:
        _check_mongo_options(options, is_srv=scheme.endswith("srv"))
    _check_driver_accepts(text)
    return text


def _check_mongo_hosts(hosts: str, *, is_srv: bool) -> None:
    for host in hosts.split(","):
        if not is_srv and _SOCKET.fullmatch(host) and "%" in host:
            continue
        found = _HOST.fullmatch(host)
        if found is None or not _is_address(host):
            has_bad_port = re.fullmatch(r"[A-Za-z0-9_.-]+:[^:]*", host)
            raise ValueError(_PORTS if has_bad_port else "must have a host name, or several with commas between them")
        if found["port"] is not None and not _is_port(found["port"]):
            raise ValueError(_PORTS)
        if is_srv and (found["port"] is not None or "," in hosts):
            raise ValueError("must have one host name without a port after mongodb+srv://")


def _check_mongo_options(options: str, *, is_srv: bool) -> None:
    """Check each option by itself, so that the message can name it."""
    has_key_password = re.search(r"(?i)(?:^|[&;])tlsCertificateKeyFilePassword=", options) is not None
    for option in re.split(r"[&;]", options):
        name, equals, value = option.partition("=")
        if not equals or "=" in value:
            raise ValueError("must have options of the form name=value, with & between them")
        shown = _MONGO_FILES.get(name.lower(), name if re.fullmatch(r"[A-Za-z]{1,40}", name) else "an option")
        if name.lower() in _MONGO_FILES:
            content = _check_pem(shown, unquote(value))
            # OpenSSL would ask the terminal for the password, and wait.
            if name.lower() == "tlscertificatekeyfile" and b"ENCRYPTED" in content and not has_key_password:
                raise ValueError(
                    "must have tlsCertificateKeyFilePassword, because the key in tlsCertificateKeyFile is encrypted"
                )
        elif is_srv and name.lower() == "srvmaxhosts" and not re.fullmatch(r"[0-9]{1,9}", value):
            raise ValueError("must have a valid value for the option srvMaxHosts: a whole number")
        elif not (is_srv and name.lower() in _SRV_OPTIONS):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    uri_parser.split_options(option)
            except (PyMongoError, ValueError, TypeError):
                _refuse_mongo_option(shown, value)


def _refuse_mongo_option(name: str, value: str) -> None:
    """Raise for an option that the driver does not accept, unless it is one that the driver ignores."""
    if name.lower() not in URI_OPTIONS_VALIDATOR_MAP:
        near = difflib.get_close_matches(name.lower(), URI_OPTIONS_VALIDATOR_MAP, n=1, cutoff=0.8)
        if near:
            raise ValueError(f"has the unknown option {name}: did you mean {near[0]}?")
        return
    choices = ": true or false" if value.lower() in _SWITCHES else ""
    raise ValueError(f"must have a valid value for the option {name}{choices}")


def _check_pem(option: str, path: str) -> bytes:
    """Return the content of a file that can be read and contains PEM; what it must contain is checked by the driver."""
    try:
        if not Path(path).is_file():
            raise ValueError(f"must have the path of a file as {option}; there is none at the given path")
        with Path(path).open("rb") as file:
            content = file.read(4 * 2**20)
    except OSError:
        raise ValueError(f"must have the path of a readable file as {option}") from None
    if b"-----BEGIN " not in content:
        raise ValueError(f"must have the path of a PEM file as {option}")
    return content


def _check_driver_accepts(uri: str) -> None:
    """Let the driver read the URI without connecting, which also loads the certificates."""
    if uri.startswith("mongodb+srv://"):
        # With this scheme the driver would ask DNS. Other than the hosts, it reads both schemes alike.
        names = "|".join(_SRV_OPTIONS)
        uri = re.sub(rf"(?i)(?<=[?&;])(?:{names})=[^&;]*[&;]?", "", uri.replace("mongodb+srv://", "mongodb://", 1))
        uri = uri.rstrip("?&;")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MongoClient[dict[str, object]](uri, connect=False).close()
    except ConfigurationError as error:
        # Of `SSLContext.load_cert_chain`, without a class of its own.
        requirement = _KEY_FILE if str(error).startswith("Private key") else _DRIVER
        raise ValueError(requirement) from None
    except ssl.SSLError:
        raise ValueError("must have tlsCAFile, tlsCertificateKeyFile and tlsCRLFile with valid certificates") from None
    except (PyMongoError, ValueError, TypeError, OSError):
        raise ValueError(_DRIVER) from None


def _parse_http_url(text: str) -> str:
    if re.search(r"[\s\x00-\x20\x7f]", text):
        raise ValueError("must be a URL without white space")
    try:
        url = urlsplit(text)
        host = url.netloc.rpartition("@")[2]
    except ValueError:
        url, host = urlsplit(""), ""
    found = _HOST.fullmatch(host)
    if found is not None and found["port"] is not None and not _is_port(found["port"]):
        raise ValueError("must have a port from 1 to 65535")
    if url.scheme not in {"http", "https"} or found is None or url.query or url.fragment or text[-1:] in "?#":
        raise ValueError("must be an http:// or https:// URL without query and fragment, such as http://host:8080")
    if re.search(r"[^A-Za-z0-9._~!$&'()*+,;=:@%/-]|%(?![0-9A-Fa-f]{2})", url.path):
        raise ValueError("must have a path of URL characters, all others percent-encoded")
    return text.rstrip("/")


def _is_address(host: str) -> bool:
    """Return whether what a host has in brackets, if it has any, is an IPv6 address."""
    bracketed = re.match(r"\[([^%\]]*)", host)
    try:
        return bracketed is None or bool(ipaddress.IPv6Address(bracketed[1]))
    except ValueError:
        return False


def _is_port(digits: str) -> bool:
    return len(digits) <= 5 and 1 <= int(digits) <= 65535
