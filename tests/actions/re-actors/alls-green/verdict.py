import json
import os
import sys

jobs = json.loads(os.environ["JOBS"])
may_fail, may_skip = ({name.strip() for name in os.environ[key].split(",")} for key in ("FAILURES", "SKIPS"))


def is_fine(name: str, result: str) -> bool:
    return (
        result == "success"
        or (result == "failure" and name in may_fail)
        or (result == "skipped" and name in may_skip)
    )


bad = [name for name, job in jobs.items() if not is_fine(name, job["result"])]
for name, job in jobs.items():
    print(f"{'bad' if name in bad else 'fine'}: {name} -> {job['result']}")
with open(os.environ["GITHUB_OUTPUT"], "a") as output:
    print(f"result={'failure' if bad else 'success'}", file=output)
sys.exit(1 if bad else 0)
