"""Answers PING, SET and GET in Redis' protocol."""

import socketserver

KEPT: dict[str, str] = {}


class Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(answer(*line.decode().split()))


def answer(command: str, key: str = "", value: str = "") -> bytes:
    if command == "SET":
        KEPT[key] = value
        return b"+OK\r\n"
    found = KEPT.get(key, "")
    return f"${len(found)}\r\n{found}\r\n".encode() if command == "GET" else b"+PONG\r\n"


socketserver.ThreadingTCPServer(("", 6379), Connection).serve_forever()
