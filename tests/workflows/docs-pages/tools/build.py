import sys
from pathlib import Path

source, target = Path(sys.argv[1]), Path(sys.argv[2])
base, version = sys.argv[sys.argv.index("--base") + 1], sys.argv[sys.argv.index("--version") + 1]
for page in sorted(source.rglob("*.md")):
    made = (target / page.relative_to(source)).with_suffix(".html")
    made.parent.mkdir(parents=True, exist_ok=True)
    lines = [line.replace("](", " -> ").rstrip(")\n") for line in page.read_text().splitlines()]
    links = [f'<a href="{line.split(" -> ")[1]}">' for line in lines if " -> " in line]
    made.write_text(f"<base {base}> {version}: {lines[0]} {''.join(links)}\n")
Path(".cache").mkdir(exist_ok=True)
Path(".cache", "seen").touch()
print("built", version)
