"""Warnings about the options of channels: those without an effect, and namespaces that clients cannot use."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from .channel_options import PROXIED, ChannelOptions
from .config import Config
from .options import options_of, split_list

NEED_HISTORY = (
    "allow_history_for_client",
    "allow_history_for_subscriber",
    "allow_history_for_anonymous",
    "allow_positioning",
    "force_positioning",
    "allow_recovery",
    "force_recovery_mode",
    "allowed_delta_types",
)
"""Options that have no effect in channels without a history."""
LET_V2_RECOVER = (
    "recover",
    "allow_recovery",
    "allow_history_for_client",
    "allow_history_for_subscriber",
    "allow_history_for_anonymous",
)
"""Options with which clients of protocol v2 recover; all except the first one only if the client requests it."""
NEED_PRESENCE = ("allow_presence_for_client", "allow_presence_for_subscriber", "allow_presence_for_anonymous")
"""Options that have no effect in channels without presence."""
ONLY_V1 = ("publish", "anonymous")
"""Rights of clients of protocol v1; all other rights are for clients of protocol v2."""
LET_V2_SUBSCRIBE = ("allow_subscribe_for_client", "allow_subscribe_for_anonymous", "allow_user_limited_channels")
"""Options that let clients of protocol v2 subscribe without a token for the channel."""
ONLY_V2 = tuple(each.name for each in options_of(ChannelOptions) if each.name.startswith(("allow", "force")))
TOKEN_KEYS = (
    "token_hmac_secret_key",
    "token_rsa_public_key",
    "token_ecdsa_public_key",
    "token_jwks_public_endpoint",
)
"""The options with a key for tokens of protocol v2. If one is set, clients of this protocol are expected."""


def channel_warnings(config: Config, derived: Collection[str] = (), is_for_application: bool = False) -> Iterator[str]:
    """Yield warnings for the operator about the options of channels, at the top level and in each namespace.

    `derived` names the options that are not set, but computed from other ones. A derived key for tokens does not mean
    that clients of protocol v2 are expected. A Flask application may have hooks that the configuration does not show.
    """
    expects_tokens = any(getattr(config, key) for key in TOKEN_KEYS if key not in derived)
    places: list[tuple[ChannelOptions, str, str]] = [(config, "", "without a namespace")]
    for index, namespace in enumerate(config.namespaces):
        places.append((namespace, f"namespaces[{index}].", f"of the namespace {namespace.name}"))
    yield from _unused_backends(config, [options for options, _, _ in places])
    for options, path, about in places:
        names = {each.name for each in options_of(ChannelOptions) if getattr(options, each.name) != each.default}
        yield from _missing_options(options, names, path)
        if "force_recovery_mode" in names and not _may_recover(config, options, names):
            yield (
                f"option {path}force_recovery_mode has no effect without recover or allow_recovery: clients of "
                "protocol v2 recover nothing, unless a token or the API overrides force_recovery"
            )
        if (names or path) and not config.insecure:
            if expects_tokens:
                yield from _closed_without_token(names, path, about)
            elif config.allow_anonymous_connect_without_token and not config.checks_tokens:
                if is_for_application or _accepts_anyone(config):  # a hook or a backend may say who the users are
                    yield from _closed_without_token(names, path, about, has_key=False)
                else:
                    yield from _closed_to_anonymous(options, path, about)
        yield from _closed_to_v1(config, names, path)
        if not is_for_application:
            yield from _closed_to_v2(config, names, path)


def _unused_backends(config: Config, places: Sequence[ChannelOptions]) -> Iterator[str]:
    """Yield warnings about backends that decide about channels, if no channel lets them."""
    for name in PROXIED:
        if getattr(config, f"{name}_endpoint") and not any(getattr(options, name) for options in places):
            yield f"option {name}_endpoint has no effect without {name}, at the top level or in a namespace"


def _missing_options(options: ChannelOptions, names: set[str], path: str) -> Iterator[str]:
    """Yield warnings about options that need another one; `names` are those that are set."""
    has_history = bool(options.history_size and options.history_lifetime)
    if options.recover and not has_history:
        yield f"option {path}recover is on, but without history_size and history_lifetime nothing can be recovered"
    elif bool(options.history_size) != bool(options.history_lifetime):
        given, missing = ("size", "lifetime") if options.history_size else ("lifetime", "size")
        yield f"option {path}history_{given} is set, but without {path}history_{missing} no history is stored"
    for name in NEED_HISTORY:
        if name in names and not has_history:
            yield f"option {path}{name} has no effect without history_size and history_lifetime"
    for name in NEED_PRESENCE:
        if name in names and not options.presence:
            yield f"option {path}{name} has no effect without presence"
    if options.force_push_join_leave and not options.join_leave:
        yield f"option {path}force_push_join_leave has no effect without join_leave"


def _may_recover(config: Config, options: ChannelOptions, names: set[str]) -> bool:
    """Return whether clients of protocol v2 may recover, or why they cannot is said already: without a history.

    `names` are the options that are set. A backend can let a client recover by its override.
    """
    if not (options.history_size and options.history_lifetime):
        return True
    asks_backend = options.proxy_subscribe or bool(config.proxy_connect_endpoint)
    return config.insecure or asks_backend or not names.isdisjoint(LET_V2_RECOVER)


def _closed_without_token(names: set[str], path: str, about: str, *, has_key: bool = True) -> Iterator[str]:
    """Yield a warning if no option allows clients of protocol v2 to subscribe without a token.

    If no key can verify a token, they cannot subscribe at all.
    A namespace with any right for these clients is not reported, because its clients are expected to have tokens. A
    hook does not prevent the warning: for these clients it can refuse a subscription, but not allow one.
    """
    if not names.isdisjoint((*ONLY_V2, *PROXIED)):
        return
    if has_key:
        what = f"can subscribe to channels {about} only with a token for the channel"
    else:
        what = f"cannot subscribe to channels {about}; set {path}allow_subscribe_for_client, or a key for tokens"
    yield (
        f"option {path}allow_subscribe_for_client is off: clients of protocol v2 {what}; a hook cannot allow it, but "
        f"with {path}proxy_subscribe a backend can"
    )


def _closed_to_anonymous(options: ChannelOptions, path: str, about: str) -> Iterator[str]:
    """Yield a warning if clients of protocol v2 cannot subscribe because all of them are anonymous."""
    if not (options.allow_subscribe_for_anonymous or options.proxy_subscribe):
        yield (
            f"option {path}allow_subscribe_for_anonymous is off: clients of protocol v2 cannot subscribe to channels "
            f"{about}, since without a key for tokens all of them are anonymous; a hook cannot allow it, but with "
            f"{path}proxy_subscribe a backend can"
        )


def _closed_to_v1(config: Config, names: set[str], path: str) -> Iterator[str]:
    """Yield a warning for each option in `names` that gives a right to clients of protocol v1, if these cannot connect.

    They connect with a signature by `secret`, or if something else accepts them without one. `path` is put before the
    name of the option.
    """
    if config.secret or _accepts_anyone(config):
        return
    for name in ONLY_V1:
        if name in names:
            yield (
                f"option {path}{name} is for clients of protocol v1, which can connect without secret only if a hook "
                "accepts them"
            )


def _closed_to_v2(config: Config, names: set[str], path: str) -> Iterator[str]:
    """Yield a warning for each option in `names` that lets clients of protocol v2 subscribe, if these cannot connect.

    They connect with a token, as anonymous users if an option allows it, or if something else accepts them. `path` is
    put before the name of the option.
    """
    if config.checks_tokens or config.allow_anonymous_connect_without_token or _accepts_anyone(config):
        return
    for name in LET_V2_SUBSCRIBE:
        if name in names:
            is_for_anonymous = name == "allow_subscribe_for_anonymous"
            other = " or allow_anonymous_connect_without_token is on" if is_for_anonymous else ""
            yield (
                f"option {path}{name} is for clients of protocol v2, which can connect without a key for their tokens, "
                f"such as token_hmac_secret_key, only if a hook accepts them{other}"
            )


def _accepts_anyone(config: Config) -> bool:
    """Return whether clients may connect without a signature or token: by `insecure`, a backend or a hook."""
    return config.insecure or bool(config.proxy_connect_endpoint) or "connect" in split_list(config.hook_events)
