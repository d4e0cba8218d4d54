"""Lets in who knows the user, the password and the database that the environment names."""

import os
import socketserver

KNOWN = " ".join(os.environ[f"POSTGRES_{name}"] for name in ("USER", "PASSWORD", "DB"))


class Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        asked = self.rfile.readline().decode().strip()
        answer = f"welcome to {asked.split()[-1]}" if asked == KNOWN else "who are you?"
        self.wfile.write(f"{answer}\n".encode())


socketserver.ThreadingTCPServer(("", 5432), Connection).serve_forever()
