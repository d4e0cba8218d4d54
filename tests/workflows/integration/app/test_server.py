import unittest

import server


class TestServer(unittest.TestCase):
    def test_it_serves_files(self) -> None:
        self.assertTrue(hasattr(server.Requests, "do_GET"))

    def test_it_logs(self) -> None:
        self.assertIn("log_request", vars(server.Requests))
