import json
import threading
import unittest
import urllib.request

from counter import count, serve


class CountTest(unittest.TestCase):
    def test_counts_words_regardless_of_case(self) -> None:
        self.assertEqual(count("To be or not to be"), {"to": 2, "be": 2, "or": 1, "not": 1})

    def test_answers_over_http(self) -> None:
        with serve(0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}/"
            with urllib.request.urlopen(url, data=b"a b a") as answer:
                self.assertEqual(json.load(answer), {"a": 2, "b": 1})
            server.shutdown()


if __name__ == "__main__":
    unittest.main()
