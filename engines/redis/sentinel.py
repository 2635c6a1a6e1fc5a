"""Asks Sentinels for the address of a master."""

from __future__ import annotations

from .connection import ConnectionLost
from .opening import open_connection
from .settings import Endpoint, Sentinels, Timeouts


class MasterFinder:
    """Asks the Sentinels of one master one after the other, beginning with the last one that answered."""

    def __init__(self, sentinels: Sentinels, timeouts: Timeouts) -> None:
        self._name = sentinels.master
        self._endpoints = list(sentinels.endpoints)
        self._timeouts = timeouts

    def master(self) -> Endpoint:
        """The address of the master. Raises ConnectionLost when no Sentinel knows it."""
        answers = []
        for endpoint in list(self._endpoints):
            try:
                master = self._ask(endpoint)
            except ConnectionLost as error:
                answers.append(f"{endpoint}: {error}")
                continue
            self._endpoints.remove(endpoint)
            self._endpoints.insert(0, endpoint)
            return master
        raise ConnectionLost(f"no Sentinel knows the address of the master {self._name} ({'; '.join(answers)})")

    def _ask(self, endpoint: Endpoint) -> Endpoint:
        connection = open_connection(endpoint, self._timeouts)
        try:
            (answer,) = connection.ask([("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)])
        finally:
            connection.close()
        if not isinstance(answer, list):
            raise ConnectionLost("does not know that master" if answer is None else str(answer))
        return Endpoint(answer[0].decode(), int(answer[1]))
