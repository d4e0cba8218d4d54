import re
import sys
import tarfile
from pathlib import Path

CONFIG = Path("pyproject.toml").read_text()


def pythons() -> list[str]:
    return re.findall(r"Python :: (3\.\d+(?:-dev)?)\"", CONFIG)


if __name__ == "__main__":
    name, version = re.search(r'name = "(.+)"', CONFIG)[1], re.search(r'version = "(.+)"', CONFIG)[1]
    Path(sys.argv[1]).mkdir()
    with tarfile.open(Path(sys.argv[1], f"{name}-{version}.tar.gz"), "w:gz") as archive:
        for path in ("pyproject.toml", "src", "tests"):
            archive.add(path, f"{name}-{version}/{path}")
    print("built", name, version)
