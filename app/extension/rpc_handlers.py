"""Converts functions of an application that handle calls and messages of clients to hooks (docs/rpc.md).

A handler receives the context and the client's data, which is checked against the type hint of that parameter.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from types import MethodType, SimpleNamespace
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw
from werkzeug.wrappers import Response

from ..model.json_codec import InvalidJSON, check_nesting, decode_embedded, decode_values, encode_value
from ..node.hooks import Context, Refuse, RPCError, check_hook
from ..protocol.v2.errors import ERROR_BAD_REQUEST

Handler: TypeAlias = Callable[[Context, Any], object]


def handler_hook(event: str, handler: Handler) -> Callable[[Context], object]:
    """Return a hook that calls `handler` with the context and the decoded data, and returns its result as JSON (Raw).

    The hook raises RPCError for data that does not fit the type hint, TypeError or InvalidJSON for a result that JSON
    cannot hold, and whatever the handler raises. Raises TypeError for a handler that is a coroutine or does not have
    two parameters, and for a type hint with which JSON cannot be checked.
    """
    check_hook(event, handler)
    read = _reader(_type_of_data(handler))

    @functools.wraps(handler)
    def hook(context: Context) -> object:
        context.data = read(bytes(context.data))
        result = handler(context, context.data)
        if isinstance(result, Response):
            raise Refuse  # of a decorator for views, which has not called the handler
        return Raw(encode_value(result))

    return hook


def own_signature(function: Callable[..., object]) -> inspect.Signature:
    """Return the signature of a function: for that of a decorator not the one of the function that it wraps.

    Raises TypeError or ValueError for objects without a signature.
    """
    return inspect.signature(function, follow_wrapped=False)


def _type_of_data(handler: Handler) -> Any:
    """Return the type hint of the second parameter; Any without one.

    If that of a decorator has none, such as `*args`, it is that of the function that it wraps, if this one could be
    called with the same arguments.
    """
    if not _takes_two(handler):
        raise TypeError(
            f"handler {getattr(handler, '__qualname__', handler)} must take two arguments: the context and the data"
        )
    function: Any = handler
    while function is not None and _takes_two(function):
        if (hint := _hint_of_second(function)) is not None:
            return hint
        function = _wrapped_by(function)
    return Any


def _takes_two(function: Callable[..., object]) -> bool:
    try:
        own_signature(function).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def _hint_of_second(function: Callable[..., object]) -> Any:
    """Return the type hint of the second parameter by position; None without one."""
    parameters = list(own_signature(function).parameters.values())
    if len(parameters) < 2 or parameters[0].kind == inspect.Parameter.VAR_POSITIONAL:
        return None
    return _hint_of(parameters[1].name, _annotated(function))


def _annotated(function: Callable[..., object]) -> Callable[..., object]:
    """Return the function that has the annotations of a callable: also of a partial, and of an object with __call__."""
    if isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _hint_of(parameter: str, function: Callable[..., object]) -> Any:
    """Return the type hint of a parameter; None without one. Raises TypeError for one that cannot be evaluated.

    The other hints are not evaluated: they may have names that are imported for type checkers only.
    """
    try:
        hints = {name: hint for name, hint in getattr(function, "__annotations__", {}).items() if name == parameter}
        names = getattr(inspect.unwrap(function), "__globals__", {})
        return typing.get_type_hints(SimpleNamespace(__annotations__=hints), names, include_extras=True).get(parameter)
    except Exception as error:  # it can be any expression, in quotes
        advice = ". Define or import it at the top of the module, not in a function or for type checkers only"
        raise TypeError(
            f"the type hint of the data of handler {getattr(function, '__qualname__', function)} cannot be evaluated: "
            f"{error}{advice if isinstance(error, NameError) else ''}"
        ) from None


def _wrapped_by(function: Any) -> Any:
    """Return the function that the one of a decorator wraps, bound to the same object; None if there is none."""
    if not inspect.isroutine(function) and not hasattr(function, "__wrapped__"):
        function = function.__call__
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None and inspect.ismethod(function):
        return MethodType(wrapped, function.__self__)
    return wrapped


def _reader(type_: Any) -> Callable[[bytes], Any]:
    """Return a function that decodes JSON of a client, and raises RPCError for other data; None for no data.

    Raises TypeError for a type that JSON cannot represent.
    """
    if type_ is Any:
        return _read_anything
    decoder = msgspec.json.Decoder(type_)

    def read(data: bytes) -> Any:
        try:
            check_nesting(data)
            return decode_values(decoder, data or b"null")
        except InvalidJSON as error:
            raise RPCError(ERROR_BAD_REQUEST.code, f"{ERROR_BAD_REQUEST.message}: {error}") from None

    return read


def _read_anything(data: bytes) -> Any:
    try:
        return decode_embedded(data)
    except InvalidJSON as error:
        raise RPCError(ERROR_BAD_REQUEST.code, f"{ERROR_BAD_REQUEST.message}: {error}") from None
