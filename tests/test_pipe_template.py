"""The step `uses: template`: where its files go, what it renders, and what it says of mistakes."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pipe_template
import pytest

from runner.engines.globs import parse_patterns, selects, walk_order
from runner.parse import check_schema
from runner.plugin import Completed, StepCall, StepFailedError
from runner.plugins import load_plugins
from runner.source import load

WORKSPACE = "/github/workspace"


@dataclass
class Workspace:
    """A call of a step whose files are in memory."""

    with_: Mapping[str, Any]
    files: dict[str, bytes]
    env: Mapping[str, str] = field(default_factory=dict)
    workspace: str = WORKSPACE
    modes: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    errors: list[tuple[str, int, str]] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    def read_file(self, path: str) -> bytes:
        if path not in self.files:
            raise StepFailedError(f"cannot read `{path}`")
        return self.files[path]

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.files[posixpath.normpath(path)] = data
        self.modes[posixpath.normpath(path)] = mode

    def glob(self, pattern: str) -> list[str]:
        patterns = parse_patterns([pattern], WORKSPACE, "/root")
        found = (path for path in self.files if selects(patterns, f"{WORKSPACE}/{path}"))
        return sorted(found, key=walk_order)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        input: bytes | None = None,  # noqa: A002 - as in the API
    ) -> Completed:
        raise AssertionError("a template runs no program")

    def log(self, text: str) -> None:
        self.printed.append(text)

    def pack(self, path: str) -> Iterator[bytes]:
        raise AssertionError(path)

    def go_on(self) -> None:
        raise AssertionError("a template takes no time")

    def set_output(self, name: str, value: str) -> None:
        self.outputs[name] = value

    def warning(self, message: str, file: str = "", line: int = 0) -> None:
        raise AssertionError(message)

    def error(self, message: str, file: str = "", line: int = 0) -> None:
        self.errors.append((file, line, message))

    def mask(self, value: str) -> None:
        raise AssertionError("a template has no secrets")


def render(files: Mapping[str, str], **with_: Any) -> Workspace:
    """Run the step over text files."""
    workspace = Workspace(with_, {name: text.encode() for name, text in files.items()})
    call: StepCall = workspace
    pipe_template.run(call)
    return workspace


def text(template: str, **names: Any) -> str:
    """What one template becomes."""
    rendered = render({"a.j2": template}, src="a.j2", dest="a", vars=names)
    return rendered.files["a"].decode()


@pytest.mark.parametrize(
    ("template", "names", "rendered"),
    [
        ("port {{ port }}\n", {"port": 80}, "port 80\n"),
        ("no newline", {}, "no newline"),
        ("two\n\n", {}, "two\n\n"),
        ("a\r\nb {{ x }}\r\n", {"x": 1}, "a\r\nb 1\r\n"),
        ("<{{ x }}>", {"x": "<&>"}, "<<&>>"),
        ("{{ x | tojson }}", {"x": {"a": [1, True, None]}}, '{"a": [1, true, null]}'),
        ("{% for x in xs %}{{ x }},{% endfor %}", {"xs": [1, 2]}, "1,2,"),
        ("{{ x | default('none') }}", {}, "none"),
        ("{{ a.b }}", {"a": {"b": "\u00e9"}}, "\u00e9"),
    ],
)
def test_rendering(template: str, names: dict[str, Any], rendered: str) -> None:
    assert text(template, **names) == rendered


FILES = dict.fromkeys(["conf/a.j2", "conf/sub/b.txt", "conf/sub/c.jinja", "top.conf.j2"], "x")


@pytest.mark.parametrize(
    ("src", "dest", "written"),
    [
        ("top.conf.j2", "out.conf", "out.conf"),
        ("top.conf.j2", "new/out.conf", "new/out.conf"),
        ("top.conf.j2", "out/", "out/top.conf"),
        ("./top.conf.j2", "out.conf", "out.conf"),
        (f"{WORKSPACE}/top.conf.j2", "out.conf", "out.conf"),
        ("conf/sub/b.txt", "out/", "out/b.txt"),
        ("conf", "out", "out/a out/sub/b.txt out/sub/c"),
        ("conf/", "out/", "out/a out/sub/b.txt out/sub/c"),
        ("conf/**/*.jinja", "out", "out/sub/c"),
        ("conf/*/*", "/etc/app", "/etc/app/sub/b.txt /etc/app/sub/c"),
        ("**/*.j2", ".", "conf/a top.conf"),
        ("conf\n!conf/sub/b.txt", "out", "out/a out/sub/c"),
        ("top.conf.j2\nconf/a.j2", "out", "out/conf/a out/top.conf"),
    ],
)
def test_where_files_go(src: str, dest: str, written: str) -> None:
    rendered = render(FILES, src=src, dest=dest)
    assert sorted(rendered.modes) == written.split()
    assert sorted(rendered.outputs["files"].split("\n")) == written.split()
    assert len(rendered.printed) == len(rendered.modes)


@pytest.mark.parametrize(("mode", "bits"), [(None, 0o644), ("0755", 0o755), ("600", 0o600)])
def test_modes(mode: str | None, bits: int) -> None:
    assert render({"a": ""}, src="a", dest="b", mode=mode).modes == {"b": bits}


@pytest.mark.parametrize(
    ("template", "line", "message"),
    [
        ("a\n{{ nmae }}\n", 2, "'nmae' is undefined"),
        ("\n\n{{ name.frist }}", 3, "'dict object' has no attribute 'frist'"),
        ("{% if name %}\n{% endfor %}", 2, "unknown tag 'endfor'"),
        ("\n{{ name", 2, "unexpected end of template"),
        ("{{ name | nope }}", 1, "No filter named 'nope'"),
        ("\n{{ 1 / 0 }}", 2, "division by zero"),
        ("\n{{ ''.__class__.__mro__ }}", 2, "unsafe"),
        ("{% for i in range(10**9) %}{% endfor %}", 1, "Range too big"),
        ("\n{% include 'absent' %}", 2, "there is no file `absent`"),
    ],
)
def test_a_mistake_names_its_line(template: str, line: int, message: str) -> None:
    workspace = Workspace(
        {"src": "a.j2", "dest": "a", "vars": {"name": {}}}, {"a.j2": template.encode()}
    )
    with pytest.raises(StepFailedError, match="nothing was written: 1 of 1 failed"):
        pipe_template.run(workspace)
    [(file, found, told)] = workspace.errors
    assert (file, found) == ("a.j2", line)
    assert message in told


def test_a_mistake_in_an_included_file_is_found_there() -> None:
    files = {"a": b"{% include 'lib/b' %}", "lib/b": b"\n{{ absent }}", "c": b"{{ absent }}"}
    workspace = Workspace({"src": "a\nc", "dest": "out"}, files)
    with pytest.raises(StepFailedError, match="2 of 2 failed"):
        pipe_template.run(workspace)
    assert [(file, line) for file, line, _ in workspace.errors] == [("lib/b", 2), ("c", 1)]
    assert workspace.modes == {}


def test_bytes_that_are_no_text_are_refused() -> None:
    workspace = Workspace({"src": "a", "dest": "b"}, {"a": b"\xff\xfe"})
    with pytest.raises(StepFailedError):
        pipe_template.run(workspace)
    assert workspace.errors == [("a", 0, "a template is not UTF-8 text")]


@pytest.mark.parametrize(
    ("with_", "message"),
    [
        ({"src": "absent", "dest": "b"}, "no file matches `src: absent`"),
        ({"src": "", "dest": "b"}, "`src` is '' and not a path"),
        ({"src": "a", "dest": None}, "`dest` is None and not a path"),
        ({"src": "a", "dest": "b", "vars": "x"}, "`vars` is 'x' and not a map"),
        ({"src": "a", "dest": "b", "mode": 420}, "`mode` is 420 and not permissions in quotes"),
        ({"src": "a", "dest": "b", "mode": "0o644"}, "`mode` is '0o644'"),
        ({"src": "twin.j2\ntwin", "dest": "out"}, "twin and twin.j2 would both be written to"),
    ],
)
def test_inputs_that_are_wrong_fail_the_step(with_: dict[str, Any], message: str) -> None:
    files = {"a": b"", "twin": b"", "twin.j2": b""}
    with pytest.raises(StepFailedError, match=message):
        pipe_template.run(Workspace(with_, files))


@pytest.mark.parametrize(
    ("with_", "valid"),
    [
        ("{src: a, dest: b}", True),
        ("{src: a, dest: b, vars: {x: [1]}, mode: '0755'}", True),
        ("{src: '${{ env.A }}', dest: b, vars: '${{ fromJSON(env.B) }}'}", True),
        ("{src: a}", False),
        ("{src: a, dest: b, mode: 0644}", False),
        ("{src: a, dest: b, mode: '999'}", False),
        ("{src: a, dest: b, vars: x}", False),
        ("{src: a, dest: b, template: c}", False),
    ],
)
def test_schema(with_: str, valid: bool) -> None:
    document = load(with_, "with.yaml")
    problems = check_schema(pipe_template.SCHEMA, document.data, document, ())
    assert (problems == []) is valid


def test_every_input_is_described() -> None:
    for name, rules in pipe_template.SCHEMA["properties"].items():
        assert rules["description"].endswith("."), name


def test_it_comes_with_the_runner() -> None:
    plugins = load_plugins(None)
    assert plugins.problems == []
    assert plugins.steps["template"].run is pipe_template.run
