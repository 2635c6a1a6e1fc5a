"""A client of protocol v2 for tests, over WebSocket, in JSON or Protobuf. Its codec is independent of the package."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Iterator
from typing import Any

from centrifuge.protocol import client_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.credentials import jwt
from tests.protocol_client import Reachable
from tests.websocket_client import BINARY, CLOSE, PATIENCE, PING, PONG, QUIET, TEXT, Closed, WebSocketClient

FORMATS = ("json", "protobuf")
PATH = "/connection/websocket"

ALWAYS_THERE: dict[str, dict[str, Any]] = {
    "HistoryResult": {"publications": [], "epoch": "", "offset": 0},
    "PresenceResult": {"presence": {}},
    "PresenceStatsResult": {"num_clients": 0, "num_users": 0},
    "ClientInfo": {"user": "", "client": ""},
}
"""Fields of messages that JSON shows when they are empty, and Protobuf cannot show."""


def _declared() -> tuple[type[Message], type[Message]]:
    """Commands and replies as declared in centrifuge-python, with the epoch of publications added."""
    declaration = FileDescriptorProto()
    client_pb2.DESCRIPTOR.CopyToProto(declaration)
    (publication,) = (message for message in declaration.message_type if message.name == "Publication")
    publication.field.add(
        name="epoch", number=14, type=FieldDescriptorProto.TYPE_STRING, label=FieldDescriptorProto.LABEL_OPTIONAL
    )
    pool = DescriptorPool()
    pool.Add(declaration)
    package = client_pb2.DESCRIPTOR.package
    command, reply = (GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in ("Command", "Reply"))
    return command, reply


_Command, _Reply = _declared()


def encode(commands: list[Any], format_: str) -> bytes:
    """Return one frame with these commands. Payloads are any values of JSON."""
    if format_ == "json":
        return b"\n".join(json.dumps(command).encode() for command in commands)
    return b"".join(_delimited(filled(_Command(), command).SerializeToString()) for command in commands)


def decode(frame: bytes, format_: str) -> list[Any]:
    """Return the replies and pushes in one frame, in their form in JSON."""
    if format_ == "json":
        return [json.loads(line) for line in frame.split(b"\n") if line]
    return [_shown(_Reply.FromString(message)) for message in split(frame)]


def filled(message: Message, values: dict[str, Any]) -> Message:
    """Return a message with the values of an object of JSON. Bytes are the JSON text of a payload."""
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        target = getattr(message, name)
        if _is_map(field) and isinstance(value, dict):
            for key, one in value.items():
                if isinstance(one, dict):
                    filled(target[key], one)
                else:
                    target[key] = one
        elif field.is_repeated:
            for one in value:
                filled(target.add(), one) if isinstance(one, dict) else target.append(one)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            target.SetInParent()
            filled(target, value)
        else:
            setattr(message, name, json.dumps(value).encode() if field.type == FieldDescriptor.TYPE_BYTES else value)
    return message


def _shown(message: Message) -> dict[str, Any]:
    shown = {field.name: _shown_value(field, value) for field, value in message.ListFields()}
    return {**ALWAYS_THERE.get(message.DESCRIPTOR.name, {}), **shown}


def _shown_value(field: FieldDescriptor, value: Any) -> Any:
    if _is_map(field):
        return {key: _shown(one) if isinstance(one, Message) else one for key, one in value.items()}
    if field.is_repeated:
        return [_shown(one) if isinstance(one, Message) else one for one in value]
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _shown(value)
    return json.loads(value) if field.type == FieldDescriptor.TYPE_BYTES else value


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _delimited(message: bytes) -> bytes:
    return varint(len(message)) + message


def varint(number: int) -> bytes:
    """Return a number as Protobuf writes it: seven bits in a byte, the lowest first."""
    *more, last = (number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7))
    return bytes([*(byte | 0x80 for byte in more), last])


def split(frame: bytes) -> Iterator[bytes]:
    """Yield the messages in one frame of Protobuf, without their lengths."""
    position = 0
    while position < len(frame):
        length = shift = 0
        while True:
            byte = frame[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield frame[position : position + length]
        position += length


class ProtocolClientV2:
    """One connection. `connected` is the reply to `connect`, if the client has a user."""

    def __init__(self, server: Reachable, user: str | None = None, format_: str = "json", **claims: Any) -> None:
        headers = {"Sec-WebSocket-Protocol": "centrifuge-protobuf"} if format_ == "protobuf" else {}
        self.format = format_
        self.is_closed = False
        self.socket = WebSocketClient.connect(server.host, server.port, PATH, headers)
        self._ids = itertools.count(1)
        self._messages: deque[Any] = deque()
        self._pushes: deque[dict[str, Any]] = deque()
        if user is not None:
            self.connected = self.call("connect", token=jwt(sub=user, **claims))
            self.id = str(self.connected["client"])

    def send(self, *commands: Any) -> None:
        """Send one frame."""
        opcode = BINARY if self.format == "protobuf" else TEXT
        self.socket.send_frame(opcode, encode(list(commands), self.format))

    def send_messages(self, *commands: Message) -> None:
        """Send one frame with messages of Protobuf."""
        self.socket.send_frame(BINARY, b"".join(_delimited(command.SerializeToString()) for command in commands))

    def recv(self, timeout: float = PATIENCE) -> Any:
        """Return the next reply or push. Pings are answered, those of WebSocket too. Raises TimeoutError and Closed."""
        while not self._messages:
            frame = self.recv_frame(timeout)
            for message in decode(frame, self.format):
                if message:
                    self._messages.append(message)
                else:
                    self.send({})
        return self._messages.popleft()

    def recv_frame(self, timeout: float = PATIENCE) -> bytes:
        """Return the next frame with messages. Raises TimeoutError, and Closed when the server closes."""
        while True:
            frame = self.socket.recv_frame(timeout)
            if frame.opcode == CLOSE:
                closed = Closed(int.from_bytes(frame.payload[:2], "big"), frame.payload[2:].decode())
                self.is_closed = True
                self.socket.close()
                raise closed
            if frame.opcode == PING:
                self.socket.send_frame(PONG, frame.payload)
                continue
            assert frame.opcode == (BINARY if self.format == "protobuf" else TEXT), frame
            return frame.payload

    def call(self, method: str, /, **request: Any) -> dict[str, Any]:
        """Carry out one command, and return its result, or the reply's `error` as the only key."""
        id_ = next(self._ids)
        self.send({"id": id_, method: request})
        while True:
            message = self.recv()
            if message.get("id") == id_:
                return {"error": message["error"]} if "error" in message else dict(message[method])
            self._pushes.append(message["push"])

    def subscribe(self, channel: str, **request: Any) -> dict[str, Any]:
        """Subscribe, which must succeed, and return the result."""
        result = self.call("subscribe", channel=channel, **request)
        assert "error" not in result, result
        return result

    def push(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next push."""
        return self._pushes.popleft() if self._pushes else dict(self.recv(timeout)["push"])

    def wait_closed(self, timeout: float = PATIENCE) -> Closed:
        """Wait until the server closes the connection, and return how. A message before that is an error."""
        try:
            message = self.recv(timeout)
        except Closed as closed:
            return closed
        raise AssertionError(f"a message instead of the close: {message}")

    def assert_quiet(self, duration: float = QUIET) -> None:
        """Check that no message except pings arrives for a while, and that the connection stays open."""
        try:
            message = self.recv(duration)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected message: {message}")

    def close(self) -> None:
        """Close the connection from this side."""
        self.socket.close()

    def __enter__(self) -> ProtocolClientV2:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
