import json
import pathlib
import re
import subprocess
import sys


def spaces(path: pathlib.Path) -> str:
    lines = path.read_text().splitlines()
    return next((f"{path}:{at}: trailing space" for at, line in enumerate(lines, 1) if line.endswith(" ")), "")


def valid_json(path: pathlib.Path) -> str:
    try:
        json.loads(path.read_text() if path.suffix == ".json" else "{}")
    except ValueError as error:
        return f"{path}: {error}"
    return ""


hooks = {"trailing-whitespace": spaces, "check-json": valid_json}
wanted = re.findall(r"- id: (\S+)", pathlib.Path(".pre-commit-config.yaml").read_text())
kept = pathlib.Path.home() / ".cache/pre-commit"
kept.mkdir(parents=True, exist_ok=True)
files = [pathlib.Path(name) for name in subprocess.check_output(["git", "ls-files"], text=True).split()]
failed = False
for hook in wanted:
    state = "known" if (kept / hook).exists() else "installed"
    (kept / hook).touch()
    found = [text for text in map(hooks[hook], files) if text]
    print(f"{hook} ({state}, {' '.join(sys.argv[1:])}) {'Failed' if found else 'Passed'}")
    for text in found:
        print(text)
    failed = failed or bool(found)
sys.exit(failed)
