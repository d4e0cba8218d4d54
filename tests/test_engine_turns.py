"""One thread listens for all: nobody misses news, and whoever has to be alone gets to be."""

import queue
import threading
import time

from runner.engines.turns import Turns


def test_one_listens_and_the_others_hear_of_it() -> None:
    turns, news = Turns(), queue.SimpleQueue[int]()
    heard: list[int] = []
    woken = threading.Barrier(3)

    def listen() -> None:
        heard.append(news.get(timeout=10))

    def follow() -> None:
        turns.wait(listen, 10)
        woken.wait(10)

    threads = [threading.Thread(target=follow) for _ in range(2)]
    for thread in threads:
        thread.start()
    start = time.monotonic()
    news.put(1)
    news.put(2)  # the second one may have come too late to follow, and listens itself
    woken.wait(10)
    assert time.monotonic() - start < 9
    assert heard[0] == 1
    for thread in threads:
        thread.join()


def test_whoever_has_to_be_alone_is_not_kept_waiting() -> None:
    turns, stop = Turns(), threading.Event()

    def follow() -> None:
        while not stop.is_set():
            turns.wait(lambda: time.sleep(0.01), 0.1)

    threads = [threading.Thread(target=follow) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        with turns.alone():
            pass
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_listener_that_fails_gives_its_turn_back() -> None:
    turns = Turns()

    def fail() -> None:
        raise OSError("gone")

    for _ in range(2):
        try:
            turns.wait(fail, 1)
        except OSError:
            continue
        raise AssertionError("the error was lost")
    with turns.alone():
        pass
