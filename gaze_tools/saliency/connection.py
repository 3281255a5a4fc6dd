"""Connect to the MongoDB with the maps; every problem is one line without the password."""

import re
import warnings
from typing import Any

import click
import pymongo
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

CONNECT_TIMEOUT_S = 3.0
"""Time within which a server must respond before a command starts."""

_OPERATION_TIMEOUT_S = 10.0
_AUTHENTICATION_FAILED = 18


def connect(uri: str) -> MongoClient[dict[str, Any]]:
    """Return a client of a server that responds.

    Args:
        uri: Address, as in the environment variable MONGO_URI.

    Raises:
        click.ClickException: The address is malformed, or the server does not respond or refuses the user.
    """
    client = _create_client(uri)
    try:
        with pymongo.timeout(CONNECT_TIMEOUT_S):
            client.admin.command("ping")
    except OperationFailure as error:
        client.close()
        refused = "refuses the user name or password" if error.code == _AUTHENTICATION_FAILED else "refuses a ping"
        raise click.ClickException(f"MongoDB at {find_hosts(uri)} {refused}: check MONGO_URI.") from error
    except PyMongoError as error:
        client.close()
        raise click.ClickException(
            f"MongoDB at {find_hosts(uri)} does not respond within {CONNECT_TIMEOUT_S:g} s: start it, or change "
            "MONGO_URI (--mongo-uri)."
        ) from error
    return client


def check_connection(uri: str) -> None:
    """Raise `click.ClickException` unless the server at an address responds."""
    connect(uri).close()


def find_hosts(uri: str) -> str:
    """Return the hosts and ports of an address, without user name and password."""
    return uri.rpartition("://")[2].partition("?")[0].rpartition("@")[2].partition("/")[0]


def _create_client(uri: str) -> MongoClient[dict[str, Any]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)  # of other clients
        try:
            client: MongoClient[dict[str, Any]] = MongoClient(
                uri,
                appname="gaze",
                connectTimeoutMS=round(CONNECT_TIMEOUT_S * 1000),
                serverSelectionTimeoutMS=round(_OPERATION_TIMEOUT_S * 1000),
            )
        except OSError as error:
            raise click.ClickException(f"MONGO_URI names a file that cannot be read: {error}") from error
        except (PyMongoError, ValueError) as error:
            raise click.ClickException(f"MONGO_URI cannot be used: {_without_secrets(str(error), uri)}") from error
    for warning in caught:
        reason = _without_secrets(str(warning.message), uri)
        # pymongo ignores an option with a wrong value, such as tls=yes.
        if " must be " in reason:
            client.close()
            raise click.ClickException(f"MONGO_URI cannot be used: {reason}")
        click.echo(f"MONGO_URI: {reason}", err=True)
    return client


def _without_secrets(reason: str, uri: str) -> str:
    """Return the first line of a driver's message, unless it repeats a part of user name or password."""
    user_info = uri.partition("://")[2].rpartition("@")[0]
    secrets = [part for part in re.split(r"[:@/]", user_info) if part]
    if not reason or "must be escaped" in reason or any(secret in reason for secret in secrets):
        return "it is malformed; in user name and password, write @ as %40, : as %3A, / as %2F and % as %25"
    return reason.splitlines()[0]
