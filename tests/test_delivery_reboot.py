"""The machine starts again in the middle of a deployment: its engine, the proxy and all containers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import Engine, own_engine, why_none
from tests.leftovers import wait_until
from tests.shops import IMAGE, PROXIES, Shop, shipping

pytestmark = [
    pytest.mark.docker,
    pytest.mark.faults,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(why_none()), reason=why_none()),
]

ROOT = Path(__file__).parents[1]
HOLDS = "import sys; from tests.shops import read; print(read(sys.argv[1]).holds_together())"
#: What answers users, or nothing.
ASKS = (
    "import sys, urllib.request as r;"
    "print(r.urlopen(f'http://127.0.0.1:{sys.argv[1]}/', timeout=5).read().decode())"
)


@pytest.mark.parametrize("strategy", ["blue-green", "rolling"])
def test_a_machine_that_starts_again(tmp_path: Path, strategy: str) -> None:
    with own_engine() as engine:
        bring(engine, IMAGE, PROXIES["haproxy"])
        shop = Shop(str(tmp_path / "home"), "shop", 8080)
        run(engine, shipping(shop, "v0", strategy=strategy))
        for line in range(2, 20, 3):
            killed = shipping(shop, f"v{line}", lines=line, strategy=strategy)
            assert run(engine, killed, code=-9) == ""
            engine.stop()
            engine.start()
            wait_until(lambda: asked(engine, shop), f"nobody serves after line {line}", 60)
            run(engine, shipping(shop, f"v{line}.1", strategy=strategy))
            assert asked(engine, shop) == held(engine, shop) == f"v{line}.1"


def bring(engine: Engine, *images: str) -> None:
    """Give it images of the engine of this machine."""
    with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
        subprocess.run(engine.inside("docker", "load", "-q"), stdin=saved.stdout, check=True)


def run(engine: Engine, command: list[str], code: int = 0) -> str:
    done = subprocess.run(
        engine.inside(*command), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


def held(engine: Engine, shop: Shop) -> str:
    given = shipping(shop, "")[3]
    return run(engine, [sys.executable, "-c", HOLDS, given])


def asked(engine: Engine, shop: Shop) -> str:
    """Which version answers; "" when none does."""
    command = engine.inside(sys.executable, "-c", ASKS, str(shop.port))
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    return done.stdout.strip()
