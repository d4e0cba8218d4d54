"""One thread listens for all: nobody misses news, and whoever has to be alone gets to be."""

import os
import queue
import selectors
import threading
import time

import pytest

from runner.engines.pipes import Pipes
from runner.engines.turns import Turns, Waker


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


def test_a_listener_that_hears_nothing_is_woken_for_who_has_to_be_alone() -> None:
    waker, selector = Waker(), selectors.DefaultSelector()
    selector.register(waker, selectors.EVENT_READ)
    turns, listening = Turns(waker.wake), threading.Event()

    def listen() -> None:
        listening.set()
        selector.select(10)
        waker.calm()

    thread = threading.Thread(target=turns.wait, args=(listen, 10))
    thread.start()
    listening.wait(10)
    start = time.monotonic()
    with turns.alone():
        assert time.monotonic() - start < 5
    thread.join()
    assert selector.select(0) == []
    selector.close()
    waker.close()


def test_an_error_about_output_is_told_to_the_one_whose_output_it_is() -> None:
    selector = selectors.DefaultSelector()
    pipes, printed = Pipes(selector), list[bytes]()

    def refuse(_: bytes) -> None:
        raise OSError("no space")

    flows = []
    for write in (refuse, printed.append):
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        flows.append(pipes.watch(reading, write))
        os.write(writing, b"text")
        os.close(writing)
    for key, _ in selector.select(0):
        pipes.pump(key.fd)
    flows[1].check()
    assert printed == [b"text"]
    with pytest.raises(OSError, match="no space"):
        flows[0].check()
    pipes.close()
    selector.close()
