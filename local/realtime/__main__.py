"""Waits, small, until somebody connects; only then becomes a server."""

import os
import select
import socket


def main() -> None:
    listener = socket.socket(fileno=int(os.environ["REALTIME_SOCKET_FD"]))
    select.select([listener], [], [])

    from local.realtime.server import serve  # noqa: PLC0415 (its imports are what idle costs)

    serve(listener)


if __name__ == "__main__":
    main()
