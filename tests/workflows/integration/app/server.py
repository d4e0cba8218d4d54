import functools
import http.server
import os
import signal
import sys


class Requests(http.server.SimpleHTTPRequestHandler):
    def log_request(self, code: object = "-", size: object = "-") -> None:
        with open("requests.log", "a") as log:
            print(self.path, code, file=log)


def stop(*_: object) -> None:
    print("server was told to stop")
    os._exit(0)


if __name__ == "__main__":
    if os.environ.get("BREAK") == "server":
        sys.exit("server cannot start")
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    handler = functools.partial(Requests, directory=sys.argv[1])
    http.server.ThreadingHTTPServer(("localhost", int(sys.argv[2])), handler).serve_forever()
