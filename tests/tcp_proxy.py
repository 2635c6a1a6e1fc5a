"""A TCP proxy between a client and a server, which simulates a failure of the network."""

from __future__ import annotations

import selectors
import socket
import threading


class TcpProxy:
    """Forwards data until `break_connections` closes every connection. New ones are closed too, until `restore`."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        """Where new connections go."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_broken = False
        self._drops_data = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def break_connections(self) -> None:
        """Close all connections, and every new one immediately."""
        with self._lock:
            self._is_broken = True
            for pair in self._pairs:
                for end in pair:
                    _hang_up(end)
            self._pairs.clear()

    def drop_data(self) -> None:
        """Receive all data without forwarding it. Connections stay open."""
        self._drops_data = True

    def restore(self) -> None:
        """Forward data and accept new connections again."""
        self._is_broken = False

    def __enter__(self) -> TcpProxy:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        _hang_up(self._listener)
        self.break_connections()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_broken:
                    client.close()
                    continue
                server = socket.create_connection(self.target)
                self._pairs.append((client, server))
                thread = threading.Thread(target=self._pump, args=(client, server))
                self._threads.append(thread)
            thread.start()

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        """Forward data in both directions until either end closes the connection."""
        other = {client: server, server: client}
        with selectors.DefaultSelector() as selector, client, server:
            for watched in other:
                selector.register(watched, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    end = key.fileobj
                    assert isinstance(end, socket.socket)
                    try:
                        data = end.recv(65536)
                        if not data:
                            return
                        if not self._drops_data:
                            other[end].sendall(data)
                    except OSError:
                        return


def _hang_up(end: socket.socket) -> None:
    """Shut a socket down, to wake greenlets that wait for it; it may be closed already."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
