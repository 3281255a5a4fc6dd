"""URLs in environment variables: all that can be checked without the network is checked, and no password is shown."""

import pytest

from func.errors import SettingsError
from func.setting_urls import parse_base_url, parse_mongo_uri, parse_proxy_url
from func.settings import read_settings
from tests.running import ROOT

ESCAPING = "must have its user name and password percent-encoded: @ as %40, : as %3A, / as %2F, % as %25"
PORTS = "must have ports from 1 to 65535"
HOSTS = "must have a host name, or several with commas between them"
PAIRS = "must have options of the form name=value, with & between them"
DRIVER = "must be a URI that the MongoDB driver accepts: check how its options, database and hosts fit together"

WRONG_MONGO_URIS = [
    ("mongodb://u:p@ss@host/", ESCAPING),
    ("mongodb://u:%zz@host/", ESCAPING),
    ("mongodb://u:50%@host/", ESCAPING),
    ("mongodb://u:pa/ss@host/", ESCAPING),
    ("mongodb://u:12/3@host/", ESCAPING),
    ("mongodb://u:p?ss@host/", ESCAPING),
    ("mongodb://u:p#ss@host/", ESCAPING),
    ("mongodb://u:p:ss@host/", ESCAPING),
    ("mongodb://:secret@host/", ESCAPING),
    ("mongodb://@host/", ESCAPING),
    ("mongodb+srv://u:p@ss@cluster.example.net/", ESCAPING),
    ("mongodb://h:99999/", PORTS),
    ("mongodb://h:0/", PORTS),
    ("mongodb://h:port/", PORTS),
    ("mongodb://a:27017,b:70000/", PORTS),
    ("mongodb://u:@h/", "must have a password after the user name and the colon"),
    ("mongodb://h,/", HOSTS),
    ("mongodb://[12345]/", HOSTS),
    ("mongodb://::1/", HOSTS),
    ("mongodb://h /", HOSTS),
    ("mongodb://?tls=true", HOSTS),
    ("mongodb+srv://a,b/", "must have one host name without a port after mongodb+srv://"),
    ("mongodb+srv://cluster.example.net:27017/", "must have one host name without a port after mongodb+srv://"),
    ("mongodb://h/a b", "must not contain white space"),
    ("mongodb://h/?tls", PAIRS),
    ("mongodb://h/?tls=true&&w=1", PAIRS),
    ("mongodb://h/?tls=yes", "must have a valid value for the option tls: true or false"),
    ("mongodb://h/?retryReads=1", "must have a valid value for the option retryReads: true or false"),
    ("mongodb+srv://cluster.example.net/?tls=yes", "must have a valid value for the option tls: true or false"),
    ("mongodb://h/?authSource=", "must have a valid value for the option authSource"),
    (
        "mongodb+srv://cluster.example.net/?srvMaxHosts=few",
        "must have a valid value for the option srvMaxHosts: a whole number",
    ),
    ("mongodb://h/?connectTimeoutMS=soon", "must have a valid value for the option connectTimeoutMS"),
    ("mongodb://h/?authMechanism=PLAINTEXT", "must have a valid value for the option authMechanism"),
    ("mongodb://h/?tlsCAFlie=/ca.pem", "has the unknown option tlsCAFlie: did you mean tlscafile?"),
    (
        "mongodb://h/?tls=true&tlsCAFile=/nowhere/ca.pem",
        "must have the path of a file as tlsCAFile; there is none at the given path",
    ),
    (
        "mongodb://h/?tls=true&tlsCertificateKeyFile=/",
        "must have the path of a file as tlsCertificateKeyFile; there is none at the given path",
    ),
    (f"mongodb://h/?tls=true&tlsCAFile={ROOT}/pyproject.toml", "must have the path of a PEM file as tlsCAFile"),
    ("mongodb://h/?tls=true&ssl=false", DRIVER),
    ("mongodb://a,b/?directConnection=true", DRIVER),
    ("mongodb://h/?authMechanism=SCRAM-SHA-256", DRIVER),
    ("http://h/", "must be a mongodb:// or mongodb+srv:// URI"),
    ("mongodb:h", "must be a mongodb:// or mongodb+srv:// URI"),
]


@pytest.mark.parametrize(("uri", "requirement"), WRONG_MONGO_URIS)
def test_a_wrong_mongo_uri_is_refused_at_start_with_what_to_do(uri, requirement):
    with pytest.raises(SettingsError) as caught:
        read_settings({"MONGO_URI": uri})

    assert str(caught.value) == f"MONGO_URI {requirement}"


PEM_WITHOUT_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_certificates_of_mongodb_are_loaded_at_start(tmp_path):
    (tmp_path / "ca.pem").write_text(PEM_WITHOUT_CERTIFICATE)

    with pytest.raises(ValueError, match="with valid certificates"):
        parse_mongo_uri(f"mongodb://h/?tls=true&tlsCAFile={tmp_path}/ca.pem")


def test_an_encrypted_key_needs_its_password_in_the_uri_and_nobody_is_asked_for_it(tmp_path):
    key_file = tmp_path / "key.pem"
    key_file.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    uri = f"mongodb://h/?tls=true&tlsCertificateKeyFile={key_file}"

    with pytest.raises(ValueError, match="must have tlsCertificateKeyFilePassword, because"):
        parse_mongo_uri(uri)
    with pytest.raises(ValueError, match="the right tlsCertificateKeyFilePassword"):
        parse_mongo_uri(f"{uri}&tlsCertificateKeyFilePassword=wrong")


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://localhost",
        "mongodb://u:p%40ss%2F%25@h:27017/saliency_db?authSource=admin",
        "mongodb://a:27017,b:27018/?replicaSet=rs0&readPreference=nearest&readPreferenceTags=dc:a",
        "mongodb://[::1]:27017",
        "mongodb://[fe80::1%25eth0]:27017",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock",
        "mongodb://mongo_1.gaze.svc.cluster.local.:27017/?tls=true&w=majority",
        "mongodb://h/?appName=me@home",
        "mongodb://h/?x-of-another-driver=1",
        "mongodb+srv://u:p@cluster.example.net/?retryWrites=true&w=majority",
        "mongodb+srv://cluster.example.net/?srvMaxHosts=3&srvServiceName=mongo&tls=false",
    ],
)
def test_a_mongo_uri_that_the_driver_accepts_is_unchanged(uri):
    assert parse_mongo_uri(uri) == uri


URL = "must be an http:// or https:// URL without query and fragment, such as http://host:8080"


@pytest.mark.parametrize(
    ("url", "requirement"),
    [
        ("ftp://h", URL),
        ("h:80", URL),
        ("http:/h", URL),
        ("http:///path", URL),
        ("http://a..b", URL),
        ("http://::1", URL),
        ("http://h?x=1", URL),
        ("http://h#x", URL),
        ("http://h:99999", "must have a port from 1 to 65535"),
        ("http://h:0", "must have a port from 1 to 65535"),
        ("http://h /", "must be a URL without white space"),
        ("http://h/a b", "must be a URL without white space"),
        ("http://u:secret@h", "must be a URL without user name and password"),
        ("http://h/%zz", "must have a path of URL characters, all others percent-encoded"),
        ("http://h/ü", "must have a path of URL characters, all others percent-encoded"),
    ],
)
@pytest.mark.parametrize("variable", ["SESSION_API_URL", "AGGREGATOR_URL"])
def test_a_wrong_url_of_an_upstream_service_is_refused_at_start(variable, url, requirement):
    with pytest.raises(SettingsError) as caught:
        read_settings({"MONGO_URI": "mongodb://h", variable: url})

    assert str(caught.value).startswith(f"{variable} {requirement}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://h", "https://h:8443/api/v1", "http://[::1]:80", "http://10.0.0.1", "http://a_b"]
)
def test_a_url_keeps_everything_but_its_trailing_slash(url):
    assert parse_base_url(f"{url}/") == url


@pytest.mark.parametrize(
    ("url", "requirement"),
    [
        ("http://u:p@ss@h:3128", ESCAPING),
        ("http://u:%zz@h:3128", ESCAPING),
        ("http://u:pa/ss@h:3128", ESCAPING),
        ("http://h:3128/path", "must be the URL of a proxy without a path, such as http://proxy:3128"),
        ("socks5://h:1080", URL),
        ("http://u:secret@h:99999", "must have a port from 1 to 65535"),
    ],
)
def test_a_wrong_proxy_is_refused_at_start_without_showing_its_password(url, requirement):
    with pytest.raises(SettingsError) as caught:
        read_settings({"MONGO_URI": "mongodb://h", "OUTBOUND_PROXY": url})

    assert str(caught.value) == f"OUTBOUND_PROXY {requirement}"


def test_a_proxy_may_have_a_user_name_and_a_password():
    assert parse_proxy_url("http://u:p%40ss@proxy:3128/") == "http://u:p%40ss@proxy:3128"
