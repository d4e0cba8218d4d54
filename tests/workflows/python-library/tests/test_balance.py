import os
import unittest

from ledgerlib import balance


class TestBalance(unittest.TestCase):
    def test_entries_are_added(self) -> None:
        self.assertEqual(balance([5, -2]), 3)

    def test_the_preview_is_not_ready(self) -> None:
        if os.environ["PYTHON_SET_UP"].endswith("-dev"):
            raise RuntimeError('the preview is broken')
