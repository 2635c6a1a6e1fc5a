"""Looks up the address of a master with Sentinel."""

from __future__ import annotations

from .connection import ConnectionLost
from .opening import open_connection
from .settings import Sentinels, ServerAddress, Timeouts


class MasterFinder:
    """Queries the Sentinels of a master one after the other, starting with the Sentinel that answered last time."""

    def __init__(self, sentinels: Sentinels, timeouts: Timeouts) -> None:
        self._name = sentinels.master
        self._addresses = list(sentinels.addresses)
        self._timeouts = timeouts

    def master(self) -> ServerAddress:
        """Look up the address of the master. Raises ConnectionLost if no Sentinel knows it."""
        answers = []
        for address in list(self._addresses):
            try:
                master = self._ask(address)
            except ConnectionLost as error:
                answers.append(f"{address}: {error}")
                continue
            self._addresses.remove(address)
            self._addresses.insert(0, address)
            return master
        raise ConnectionLost(f"no Sentinel knows the address of the master {self._name} ({'; '.join(answers)})")

    def _ask(self, address: ServerAddress) -> ServerAddress:
        connection = open_connection(address, self._timeouts)
        try:
            (answer,) = connection.ask([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)])
        finally:
            connection.close()
        if not isinstance(answer, list):
            raise ConnectionLost("unknown master" if answer is None else str(answer))
        return ServerAddress(answer[0].decode(), int(answer[1]))
