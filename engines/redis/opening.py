"""Opens connections to Redis servers and Sentinels: TCP, TLS, and the login."""

from __future__ import annotations

import ssl
from typing import Any

import gevent.socket
import gevent.ssl
import hiredis

from . import permissions
from .connection import ConnectionLost, RedisCommand, RedisConnection, reason_of
from .permissions import is_unknown_user, note_default_user
from .settings import ServerAddress, ShardSettings, Timeouts, Tls

NODE_NAME = "gentrifugo"
"""The client name of connections of nodes, for CLIENT LIST."""


def open_connection(address: ServerAddress, timeouts: Timeouts, shard: ShardSettings | None = None) -> RedisConnection:
    """Connect to `address` and log in with the TLS settings, user, password and database of `shard`, if given.

    Each step takes at most `timeouts.connect`, which stays the read timeout of the connection. Raises ConnectionLost.
    """
    try:
        socket = _connect(address, timeouts.connect, shard.tls if shard is not None else None)
    except (OSError, UnicodeError) as error:  # UnicodeError: text that cannot be the name of a host
        raise ConnectionLost(f"cannot connect: {reason_of(error)}") from None
    connection = RedisConnection(socket, address, timeouts)
    try:
        connection.expect_answers_within(timeouts.connect)
        _log_in(connection, shard)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(address: ServerAddress, timeout: float, tls: Tls | None) -> Any:
    socket = gevent.socket.create_connection((address.host, address.port), timeout=timeout)
    try:
        socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        return _encrypt(socket, address.host, tls) if tls is not None else socket
    except BaseException:
        socket.close()
        raise


def _encrypt(socket: Any, host: str, tls: Tls) -> Any:
    """Wrap the socket with TLS, and complete the handshake."""
    # Not create_default_context: the sockets of its context block the process, unless gevent has patched it.
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca_file:
        context.load_verify_locations(tls.ca_file)
    else:
        context.load_default_certs()
    encrypted = context.wrap_socket(socket, server_hostname=host, do_handshake_on_connect=False)
    try:
        encrypted.do_handshake()
    except BaseException:
        encrypted.close()  # it has taken the descriptor over
        raise
    return encrypted


def _log_in(connection: RedisConnection, shard: ShardSettings | None) -> None:
    """Log in. Raises ConnectionLost with the first error that the server reports."""
    if shard is not None and (shard.username or shard.password):
        _authenticate(connection, shard.username, shard.password)
    _check(connection, ("CLIENT", "SETNAME", NODE_NAME), is_needed=False)
    if shard is not None and shard.db:
        _check(connection, ("SELECT", shard.db))


def _authenticate(connection: RedisConnection, username: str, password: str) -> None:
    """Log in; with the password alone if the user does not exist, because some providers give an invented user name."""
    alone: RedisCommand = ("AUTH", password)
    if not username:
        _check(connection, alone)
        return
    (reply,) = connection.ask([("AUTH", username, password)])
    if not isinstance(reply, hiredis.ReplyError):
        return
    if is_unknown_user(reply):
        (accepted,) = connection.ask([alone])
        if not isinstance(accepted, hiredis.ReplyError):
            note_default_user(username, connection.address, reply)
            return
    raise ConnectionLost(str(reply).rstrip("."))


def _check(connection: RedisConnection, command: RedisCommand, is_needed: bool = True) -> None:
    """Raise ConnectionLost if a command fails, unless it is not needed and the user lacks the permission for it."""
    (reply,) = connection.ask([command])
    if isinstance(reply, hiredis.ReplyError) and (is_needed or not permissions.is_refusal(reply)):
        raise ConnectionLost(permissions.explain_error(reply, command))
