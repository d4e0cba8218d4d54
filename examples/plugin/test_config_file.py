"""Holds the plugin against what every target and every check has to keep."""

import json
from functools import partial
from pathlib import Path

from pipe_config_file import checks, targets

from runner.testing import Workshop, check_call, delivery_call
from runner.testing.checks import answers, describes_itself
from runner.testing.targets import target_holds


def test_the_target_holds(tmp_path: Path) -> None:
    for version in "12":
        (tmp_path / f"{version}.json").write_text(json.dumps({"version": version}))
    [target] = targets()
    to = str(tmp_path / "etc" / "shop.json")
    (tmp_path / "etc").mkdir()
    target_holds(
        target,
        {"path": "1.json", "to": to},
        {"path": "2.json", "to": to},
        lambda key: delivery_call(tmp_path / "notes", Workshop(tmp_path), key=key),
    )


def test_the_check_answers(tmp_path: Path) -> None:
    [check] = checks()
    file = tmp_path / "shop.json"
    file.write_text('{"currency": "EUR"}')
    make = partial(check_call, tmp_path, Workshop(tmp_path))
    describes_itself(check)
    answers(check, {"file": str(file), "has": {"currency": "EUR"}}, make, "pass")
    answers(check, {"file": str(file), "has": {"currency": "USD"}}, make, "fail")
    answers(check, {"file": f"{file}.old", "has": {}}, make, "fail")
