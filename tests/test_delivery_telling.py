"""What people are told of deployments, and what is written down of who did what."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pipe_webhook
import pytest

from runner.delivery import telling
from runner.delivery.call import Nowhere
from runner.delivery.deliver import deliver
from runner.delivery.order import Desk, Order
from runner.delivery.rollback import order_back
from runner.delivery.telling import Teller
from runner.plugin import DeliveryError, Notice
from runner.store import Store, audit, outbox
from runner.store.deliveries import EnvironmentLock, lock_environment, unlock_environment
from tests.certificates import Authority
from tests.deployed import World, desk, order
from tests.hooked import Hook, hook
from tests.leftovers import wait_until

BAD = {"live": [{"version": {"bad": ["2.0"], "within": "100ms", "interval": "10ms"}}]}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world.json")


@pytest.fixture
def store(pipe_home: Path) -> Iterator[Store]:
    with Store.open(pipe_home) as store:
        yield store


@pytest.fixture
def here(store: Store, world: World) -> Desk:
    return desk(store, world, notifiers={each.name: each for each in pipe_webhook.notifiers()})


@pytest.fixture
def chat() -> Iterator[Hook]:
    with hook() as made:
        yield made


def told(chat: Hook, version: str, *on: str, **changes: Any) -> Order:
    """A deployment that tells; the URL is a secret."""
    settings = {"url": chat.url, **({"on": list(on)} if on else {})}
    made = order(version, notify=[{"webhook": settings}], **changes)
    return replace(made, secrets={"HOOK": chat.url})


def nobody_listens() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_people_are_told_how_it_went(here: Desk, chat: Hook) -> None:
    deliver(here, told(chat, "1.0"), Nowhere())
    deliver(here, told(chat, "2.0", verify=BAD), Nowhere())
    assert chat.events == ["started", "succeeded", "started", "rolled-back"]
    texts = [text for _, text, _ in chat.got]
    assert texts[0] == "1.0 of shop in test is being deployed by ann (deployment 1)"
    assert texts[1] == "1.0 of shop in test is live (deployment 1)"
    assert texts[3].startswith("2.0 of shop in test was rolled back (deployment 2): the live check")
    assert len({id_ for id_, _, _ in chat.got}) == 4
    assert chat.got[3][2]["previous"] == 1


def test_only_what_they_want_to_hear(here: Desk, chat: Hook) -> None:
    deliver(here, told(chat, "1.0", "rolled-back", "failed"), Nowhere())
    deliver(here, told(chat, "2.0", "succeeded"), Nowhere())
    deliver(
        here,
        replace(order_back(here, "shop", "test", key="b", owner="bo", secrets={"HOOK": chat.url})),
        Nowhere(),
    )
    assert chat.events == ["succeeded", "rolled-back"]
    assert chat.got[1][1].startswith("1.0 of shop in test is live again")


def test_secrets_are_written_down_by_their_names(here: Desk, store: Store, chat: Hook) -> None:
    deliver(here, told(chat, "1.0"), Nowhere())
    for letter in outbox.letters_of(store.promises, 1):
        assert letter.settings == {"url": "${{ secrets.HOOK }}"}
        assert letter.sent_at is not None


def test_what_is_not_taken_is_tried_again(here: Desk, store: Store, chat: Hook) -> None:
    chat.answers = [500, 302]
    deliver(here, told(chat, "1.0", "started"), Nowhere())
    wait_until(lambda: not outbox.waiting(store.promises), lambda: str(chat.got), 30.0)
    assert chat.events == ["started"] * 3
    assert len({id_ for id_, _, _ in chat.got}) == 1
    [letter] = outbox.letters_of(store.promises, 1)
    assert (letter.attempts, letter.error) == (2, "")


def test_what_one_process_cannot_tell_the_next_one_does(
    here: Desk, store: Store, chat: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "PATIENCE", 0.0)
    monkeypatch.setattr(telling, "_LIFE", 0.0)
    away = replace(chat, port=nobody_listens(), got=[], answers=[])
    ended = deliver(here, told(away, "1.0", "succeeded"), Nowhere())
    assert ended.state == "succeeded"
    assert Teller(here, {}).once() is None
    [letter] = outbox.waiting(store.promises)
    assert letter.attempts <= 1
    known = {"test:HOOK": chat.url}
    wait_until(lambda: Teller(here, known).once() is None, lambda: str(chat.got), 30.0)
    assert chat.events == ["succeeded"]


def test_what_is_too_old_is_given_up(here: Desk, store: Store, chat: Hook) -> None:
    letter = outbox.Letter(
        "x", 1, "webhook", {"url": "${{ secrets.HOOK }}"}, "failed", "t", {}, 0.0
    )
    with store.promises.writing() as database:
        outbox.post(database, [letter])
    assert Teller(here, {}).once() is None
    [posted] = outbox.letters_of(store.promises, 1)
    assert posted.is_given_up()
    assert posted.error == "nobody had the secrets for it in time"
    assert chat.got == []


NOTICE = Notice("failed", "text", {"a": 1}, "one")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:{port}/x?key=s3cret", "127.0.0.1 cannot be told: Connection refused"),
        ("ftp://127.0.0.1/s3cret", "has to begin with https:// or http://"),
        ("http://127.0.0.1:s3cret/", "the `url` is none"),
        ("http://127.0.0.1:{port}/a b", "127.0.0.1 cannot be told"),
    ],
)
def test_who_cannot_be_told_is_named_without_secrets(url: str, said: str) -> None:
    with pytest.raises(DeliveryError) as raised:
        pipe_webhook.send({"url": url.format(port=nobody_listens())}, NOTICE)
    assert said in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_redirects_are_not_followed(chat: Hook) -> None:
    chat.answers = [307]
    with pytest.raises(DeliveryError, match="answered with 307"):
        pipe_webhook.send({"url": chat.url}, NOTICE)
    assert len(chat.got) == 1


def test_a_server_has_to_prove_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    authority.create()
    with hook(authority.context("hook")) as made:
        with pytest.raises(DeliveryError, match="unable to get local issuer certificate"):
            pipe_webhook.send({"url": made.url}, NOTICE)
        assert made.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        pipe_webhook.send({"url": made.url, "headers": {"X-Team": "a"}}, NOTICE)
        assert made.got == [("one", "text", {"a": 1})]


# -- audit


def test_all_that_people_do_is_written_down(here: Desk, store: Store) -> None:
    deliver(here, order("1.0"), Nowhere())
    deliver(here, order("2.0", verify=BAD), Nowhere())
    lock_environment(store.promises, EnvironmentLock("test", "bo", "holidays", 5.0))
    unlock_environment(store.promises, "test", "bo", 6.0)
    lines = audit.lines(store.promises)
    assert [(line.who, line.action) for line in lines] == [
        ("ann", "deploy-started"),
        ("ann", "deploy-ended"),
        ("ann", "deploy-started"),
        ("ann", "rollback-started"),
        ("ann", "rollback-ended"),
        ("ann", "deploy-ended"),
        ("bo", "environment-locked"),
        ("bo", "environment-unlocked"),
    ]
    assert json.loads(lines[5].subject)["state"] == "rolled-back"
    assert list(audit.broken(lines)) == []


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ("UPDATE audit SET who = 'bo' WHERE seq = 2", ["line 2 was changed"]),
        ("DELETE FROM audit WHERE seq = 1", ["line 1 is missing"]),
        ("DELETE FROM audit WHERE seq = 3", ["line 3 is missing"]),
        ("UPDATE audit SET seq = 9 WHERE seq = 4", ["line 4 is missing", "line 9 was changed"]),
        (
            "UPDATE audit SET subject = 'no' WHERE seq = 1",
            ["line 1 was changed"],
        ),
    ],
)
def test_a_change_of_that_shows(here: Desk, store: Store, change: str, problems: list[str]) -> None:
    deliver(here, order("1.0"), Nowhere())
    deliver(here, order("2.0"), Nowhere())
    with store.promises.writing() as database:
        database.execute(change)
    assert list(audit.broken(audit.lines(store.promises))) == problems


def test_what_was_sealed_anew_does_not_follow_any_more(here: Desk, store: Store) -> None:
    deliver(here, order("1.0"), Nowhere())
    first, second = audit.lines(store.promises)
    forged = replace(first, who="bo")
    forged = replace(forged, hash=forged.sealed)
    assert list(audit.broken([forged, second])) == ["line 2 does not follow the one before it"]
