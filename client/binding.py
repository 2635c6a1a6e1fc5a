"""Creates methods of clients from the functions that create commands, so that each method is declared only once."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from .command import Command

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Caller(Protocol):
    """Carries out a command, and waits for the result."""

    def _call(self, command: Command[T]) -> T: ...


class AsyncCaller(Protocol):
    """Carries out a command, and returns an awaitable result."""

    async def _call(self, command: Command[T]) -> T: ...


def blocking(make: Callable[P, Command[T]]) -> Callable[Concatenate[Caller, P], T]:
    """Return a method that carries out the command which `make` creates. The method raises ClientError."""

    @wraps(make)
    def method(self: Caller, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._call(make(*args, **kwargs))

    return _with_signature(method, make)


def awaiting(make: Callable[P, Command[T]]) -> Callable[Concatenate[AsyncCaller, P], Awaitable[T]]:
    """Return a coroutine method that carries out the command which `make` creates. It raises ClientError."""

    @wraps(make)
    async def method(self: AsyncCaller, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._call(make(*args, **kwargs))

    return _with_signature(method, make)


def _with_signature(method: F, make: Callable[..., Command[Any]]) -> F:
    """Set the signature that `help` shows: with `self` and with the type of the result."""
    signature = inspect.signature(make)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *signature.parameters.values()]
    result = str(signature.return_annotation).removeprefix("Command[").removesuffix("]")
    method.__signature__ = signature.replace(parameters=parameters, return_annotation=result)  # type: ignore[attr-defined]
    return method
