"""A run as JUnit XML: a job is a test suite, a step a test case."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from runner.events import Result, StepFinished
from runner.terminal.ledger import Job, Ledger, Step, last_steps
from runner.terminal.transcript import Read
from runner.terminal.words import visible

#: Lines of output that a failure shows.
MOST_LINES = 50
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: What the attributes count, and the elements that are counted.
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def junit(ledger: Ledger, read: Read) -> bytes:
    """The document; of a job that was tried several times, the last attempt counts."""
    root = ET.Element("testsuites", name=_clean(ledger.started.name if ledger.started else ""))
    for job in ledger.jobs.values():
        root.append(_suite(job, read))
    root.set("time", f"{ledger.seconds():.3f}")
    _count(root)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(job: Job, read: Read) -> ET.Element:
    suite = ET.Element("testsuite", name=_clean(job.name))
    softly = job.finished is not None and job.finished.softly
    for step in last_steps(job):
        if step.finished and (step.finished.step > 0 or step.finished.conclusion == "failure"):
            suite.append(_case(step, step.finished, job, softly, read))
    if not _explains(suite, job):
        suite.append(_case_of_job(job, softly))
    if job.attempts and (first := job.attempts[min(job.attempts)].started):
        begun = datetime.fromtimestamp(first.time, UTC)
        suite.set("timestamp", begun.isoformat(timespec="seconds").removesuffix("+00:00"))
        end = job.finished.time if job.finished else first.time
        suite.set("time", f"{end - first.time:.3f}")
    _count(suite)
    return suite


def _case(step: Step, end: StepFinished, job: Job, softly: bool, read: Read) -> ET.Element:
    case = ET.Element("testcase", name=_clean(end.name), classname=_clean(job.name))
    case.set("time", f"{step.seconds():.3f}")
    mark = _mark(case, end.conclusion, _why(end), softly)
    if mark is not None and end.conclusion == "failure":
        mark.text = _clean("\n".join(step.last_lines(read).splitlines()[-MOST_LINES:]))
    return case


def _why(end: StepFinished) -> str:
    code = f"exit code {end.exit_code}" if end.exit_code else ""
    place = f"at {end.position}" if end.conclusion == "failure" and end.position else ""
    return " ".join(filter(None, [code, f"({end.reason})" if end.reason else "", place]))


def _explains(suite: ET.Element, job: Job) -> bool:
    """Whether the cases show how the job ended."""
    result = job.finished.result if job.finished else "cancelled"
    wanted = {"failure": ("failure", "skipped"), "cancelled": ("error",), "skipped": ("skipped",)}
    if result == "success":
        return not (job.finished and job.finished.reused_from)
    return any(suite.find(f"./testcase/{tag}") is not None for tag in wanted[result])


def _case_of_job(job: Job, softly: bool) -> ET.Element:
    case = ET.Element("testcase", name="job", classname=_clean(job.name), time="0.000")
    result: Result = job.finished.result if job.finished else "cancelled"
    _mark(case, result, job.finished.reason if job.finished else "it did not end", softly)
    if job.finished and job.finished.reused_from:
        ET.SubElement(case, "system-out").text = _clean(job.finished.reason)
    return case


def _mark(case: ET.Element, result: Result, why: str, softly: bool) -> ET.Element | None:
    """The element that says that a case did not succeed, inside of it."""
    if result == "success":
        return None
    tags = {"failure": "failure", "cancelled": "error", "skipped": "skipped"}
    tag = tags[result]
    if softly and tag == "failure":
        tag, why = "skipped", f"failed, and continue-on-error is set: {why}"
    mark = ET.SubElement(case, tag, message=_clean(visible(why) or result))
    if tag != "skipped":
        mark.set("type", result)
    return mark


def _count(element: ET.Element) -> None:
    element.set("tests", str(len(list(element.iter("testcase")))))
    for name, tag in _COUNTED.items():
        element.set(name, str(len(list(element.iter(tag)))))


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
