"""A second process of pytest for the tests marked `beside`, on the core that the others leave idle.

A run of many tests starts it before its first test. It runs the marked ones in their order and
sends their reports here, where they come last. A run of few tests is an ordinary one.
"""

import ast
import atexit
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

MANY = 1000
"""With fewer tests than these there is no second process."""
NICENESS = 5
_VARIABLE = "ML2021_TEST_REPORTS"
_READER = pytest.StashKey["_Reader"]()


class _Reader:
    """The second process, and what it has said of its tests."""

    def __init__(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "tests").write_text("".join(f"{item.nodeid}\n" for item in items))
        self._config = config
        self._output = folder / "output"
        self._lines = (folder / "reports").open("w+")
        self._reports: dict[str, list[pytest.TestReport]] = {}
        options = ["-p", "no:cacheprovider", "-m", "", f"@{folder / 'tests'}"]
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options],
                cwd=config.rootpath,
                env={**os.environ, _VARIABLE: str(folder / "reports")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        atexit.register(self._end)

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # so that it ends its own processes
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._lines.close()
        self._folder.cleanup()

    def reports_of(self, item: pytest.Item) -> list[pytest.TestReport]:
        """Wait for the reports of a test; without its last one if the process has ended."""
        found = self._reports.setdefault(item.nodeid, [])
        while not (found and found[-1].when == "teardown"):
            has_ended = self._process.poll() is not None
            place = self._lines.tell()
            line = self._lines.readline()
            if line.endswith("\n"):
                hook = self._config.hook.pytest_report_from_serializable
                report = hook(config=self._config, data=ast.literal_eval(line))
                self._reports.setdefault(report.nodeid, []).append(report)
                continue
            if has_ended:
                break
            self._lines.seek(place)
            time.sleep(0.05)
        return found

    def output(self) -> str:
        """Return what the process has printed."""
        return self._output.read_text()


def _is_beside(item: pytest.Item) -> bool:
    """Whether a test runs in the second process; the long suites note figures in the first."""
    return bool(item.get_closest_marker("beside") and not item.get_closest_marker("soak"))


def _is_one_of_several() -> bool:
    """Whether this is the second process, or one of pytest-xdist."""
    return _VARIABLE in os.environ or "PYTEST_XDIST_WORKER" in os.environ


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the second process last."""
    if len(items) >= MANY and not _is_one_of_several():
        items.sort(key=_is_beside)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the second process, if there is enough to do for it and for this one."""
    beside = [item for item in session.items if _is_beside(item)]
    is_short = len(session.items) < MANY or session.config.option.collectonly
    if beside and not is_short and not _is_one_of_several():
        session.config.stash[_READER] = _Reader(session.config, beside)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Report what the second process has found of a test, if it is one of its own."""
    reader = item.config.stash.get(_READER, None)
    if reader is None or not _is_beside(item):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = reader.reports_of(item)
    if not (reports and reports[-1].when == "teardown"):
        what = f"the second process has ended without a report of this test:\n{reader.output()}"
        place = item.nodeid, item.location
        reports.append(pytest.TestReport(*place, {}, "failed", what, when="teardown"))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


class _Writer:
    """In the second process: write each report as a line; JSON would make lists of its tuples."""

    def __init__(self, config: pytest.Config, path: str) -> None:
        os.nice(NICENESS)
        self._config = config
        self._file = Path(path).open("a")  # noqa: SIM115

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a report, of the test itself or of what its fixtures do before and after."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._file.write(f"{data!r}\n")
        self._file.flush()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to write reports, if this is the second process."""
    if path := os.environ.get(_VARIABLE):
        config.pluginmanager.register(_Writer(config, path))
