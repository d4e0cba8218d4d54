"""Run in a box: listens on localhost and passes connections on, `PORT=HOST:PORT ...`.

It says `ready` when it listens. What runs it may be an old Python, so it keeps to what all have.
"""

import socket
import sys
import threading


def _listen(family: int, address: str, port: int) -> "socket.socket | None":
    try:
        server = socket.socket(family, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(128)
    except OSError:
        return None
    return server


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        data = source.recv(65536)
        while data:
            target.sendall(data)
            data = source.recv(65536)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One end is gone: then so is the other.
        source.close()
        target.close()


def _serve(server: socket.socket, host: str, port: int) -> None:
    while True:
        client, _ = server.accept()
        try:
            other = socket.create_connection((host, port))
        except OSError:
            client.close()
            continue
        for ends in ((client, other), (other, client)):
            threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _main() -> None:
    missing, threads = [], []
    for forward in sys.argv[1:]:
        outside, _, target = forward.partition("=")
        host, _, inside = target.partition(":")
        places = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
        servers = [_listen(family, address, int(outside)) for family, address in places]
        for server in filter(None, servers):
            threads.append(threading.Thread(target=_serve, args=(server, host, int(inside))))
        if not any(servers):
            missing.append(outside)
    sys.stdout.write("taken {}\n".format(" ".join(missing)) if missing else "ready\n")
    sys.stdout.flush()
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    _main()
