"""The spool: what is appended is read once by every sink, whatever kills, tears or fills the disk (F1, F2)."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealquest.tracing.log import Log
from dealquest.tracing.owner import describe_process, is_alive, take_ownership
from dealquest.tracing.records import Record, decode_line, encode_line
from dealquest.tracing.segments import SEGMENT_BYTES, FileSegment
from dealquest.tracing.spool import find_orphans


def lines(count: int, start: int = 0) -> list[bytes]:
    return [encode_line(Record("s", b'{"span_id":"%036d"}' % number)) for number in range(start, start + count)]


def open_log(folder: Path | None, sinks: tuple[str, ...] = ("a",), *, ring_bytes: int = 1 << 20, fsync: bool = False) -> Log:
    clock = iter(range(0, 10_000_000, 10))
    return Log(sinks, folder=folder, ring_bytes=ring_bytes, fsync=fsync, monotonic=lambda: float(next(clock)), warn=lambda *_: None)


def read_all(log: Log, sink: str, *, at_a_time: int = 7) -> list[str]:
    found: list[str] = []
    while (batch := log.read(sink, max_records=at_a_time, max_bytes=1 << 20)) is not None:
        found += [record.key for record in batch.records]
        assert log.acknowledge(sink, batch)
    return found


def adopt(spool: Path, sinks: tuple[str, ...] = ("a",)) -> list[Log]:
    return [Log.adopt(folder, owned, sinks, warn=lambda *_: None) for folder, owned in find_orphans(spool, spool / "none")]


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("on_disk", [False, True])
def test_each_sink_reads_everything_once(tmp_path: Path, on_disk: bool, fsync: bool) -> None:
    """Two sinks at different paces both get every record, in order, and then the log is empty."""
    log = open_log(tmp_path / "own" if on_disk else None, ("a", "b"), fsync=fsync)
    log.append(lines(10))
    assert read_all(log, "a") == [f"{number:036d}" for number in range(10)]
    log.append(lines(5, 10))
    assert read_all(log, "a") == [f"{number:036d}" for number in range(10, 15)]
    assert log.count_pending("b") == 15
    assert read_all(log, "b", at_a_time=4) == [f"{number:036d}" for number in range(15)]
    assert log.is_done
    log.close()
    assert not (tmp_path / "own").exists()


def test_files_and_folders_are_private(tmp_path: Path) -> None:
    """Segments and cursors are 0600 in a 0700 folder."""
    log = open_log(tmp_path / "own")
    log.append(lines(1))
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "own").iterdir()} == {0o600}
    log.close()


def test_segments_go_when_every_sink_is_past_them(tmp_path: Path) -> None:
    """A megabyte makes a segment; a dead sink keeps it, the last acknowledgement deletes it."""
    log = open_log(tmp_path / "own", ("a", "b"))
    many = lines(1000)
    while log.disk_bytes < 3 * SEGMENT_BYTES:
        log.append(many)
    assert len(list((tmp_path / "own").glob("*.seg"))) >= 3
    while (batch := log.read("a", max_records=500, max_bytes=1 << 20)) is not None:
        log.acknowledge("a", batch)
    assert len(list((tmp_path / "own").glob("*.seg"))) >= 3
    while (batch := log.read("b", max_records=500, max_bytes=1 << 20)) is not None:
        log.acknowledge("b", batch)
    assert len(list((tmp_path / "own").glob("*.seg"))) == 1
    log.close()


@given(cut=st.integers(1, 200), taken=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_f2_a_torn_tail_is_counted_and_the_rest_adopted(tmp_path_factory: pytest.TempPathFactory, cut: int, taken: int) -> None:
    """However a kill cuts the last lines, every whole line not yet acknowledged is read by the next process."""
    spool = tmp_path_factory.mktemp("spool")
    log = open_log(spool / "one")
    log.append(lines(20))
    if taken:
        batch = log.read("a", max_records=taken, max_bytes=1 << 20)
        assert batch is not None
        log.acknowledge("a", batch)
    log.abandon()
    segment = next((spool / "one").glob("*.seg"))
    size = segment.stat().st_size
    os.truncate(segment, max(0, size - cut))
    whole = segment.read_bytes().count(b"\n")
    adopted = adopt(spool)
    assert len(adopted) == 1
    torn = size - cut > 0 and not segment.read_bytes().endswith(b"\n")
    assert adopted[0].torn == int(torn)
    expected = [f"{number:036d}" for number in range(min(taken, 20), whole)]
    assert read_all(adopted[0], "a") == expected


@given(position=st.integers(0, 600), value=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_f2_a_changed_byte_never_passes(tmp_path_factory: pytest.TempPathFactory, position: int, value: int) -> None:
    """A line with a flipped byte is not read as a record; its neighbours are."""
    spool = tmp_path_factory.mktemp("spool")
    log = open_log(spool / "one")
    log.append(lines(10))
    log.abandon()
    segment = next((spool / "one").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    changed = data[position] != value
    data[position] = value
    segment.write_bytes(bytes(data))
    found = read_all(adopt(spool)[0], "a")
    known = {f"{number:036d}" for number in range(10)}
    assert set(found) <= known
    assert len(found) >= 8
    assert (len(found) < 10) == changed


@given(st.binary(max_size=60))
def test_no_line_of_chance_decodes(line: bytes) -> None:
    """Only a line with its checksum is a record."""
    assert decode_line(line + b"\n") is None


def test_a_living_owner_keeps_its_folder(tmp_path: Path) -> None:
    """What a living process spools is not taken from it."""
    log = open_log(tmp_path / "one")
    log.append(lines(1))
    assert adopt(tmp_path) == []
    log.close()
    assert len(adopt(tmp_path)) == 1


def test_rows_for_a_sink_of_another_program_stay(tmp_path: Path) -> None:
    """A process with other sinks leaves what waits for a sink it does not have."""
    log = open_log(tmp_path / "one", ("a",))
    log.append(lines(3))
    log.abandon()
    other = adopt(tmp_path, ("b",))[0]
    assert other.is_done
    other.close()
    assert read_all(adopt(tmp_path, ("a",))[0], "a") == [f"{number:036d}" for number in range(3)]


def test_evicted_segments_are_counted_for_whom_they_waited(tmp_path: Path) -> None:
    """Dropping the oldest segment counts only what a sink had not yet acknowledged."""
    log = open_log(tmp_path / "own", ("a", "b"))
    while log.disk_bytes < 2 * SEGMENT_BYTES:
        log.append(lines(1000))
    batch = log.read("a", max_records=10, max_bytes=1 << 20)
    assert batch is not None
    log.acknowledge("a", batch)
    before = {name: log.count_pending(name) for name in "ab"}
    late = log.read("a", max_records=10, max_bytes=1 << 20)
    assert log.evict_oldest("spool_full")
    assert late is not None
    assert not log.acknowledge("a", late)
    for name in "ab":
        assert log.count_pending(name) + log.dropped[name]["spool_full"] == before[name]
    assert log.dropped["b"]["spool_full"] - log.dropped["a"]["spool_full"] == 10
    log.close()


def test_memory_is_bounded_and_counted() -> None:
    """Without a spool the oldest lines give way, and their number is known."""
    log = open_log(None, ring_bytes=2 * SEGMENT_BYTES)
    total = 0
    for _ in range(100):
        log.append(lines(1000))
        total += 1000
    assert log.dropped["a"]["memory_full"] + log.count_pending("a") == total
    assert log.count_pending("a") * len(lines(1)[0]) < 4 * SEGMENT_BYTES


FULL_DISK = """
import resource, sys
from pathlib import Path
from dealquest.tracing.log import Log
from dealquest.tracing.spool import find_orphans
from dealquest.tracing.records import Record, encode_line
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
warned = []
now = [0.0]
warn = lambda reason, text: warned.append(reason)
log = Log(["a"], folder=Path(sys.argv[1]), ring_bytes=1 << 22, fsync=False, monotonic=lambda: now[0], warn=warn)
line = lambda number: encode_line(Record("s", b'{"span_id":"%036d"}' % number))
for start in range(0, 2000, 50):
    now[0] += 1.0
    log.append([line(number) for number in range(start, start + 50)])
assert "disk" in warned
assert log.count_pending("a", durable=False) > 0 < log.count_pending("a", durable=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.rescue()
assert log.count_pending("a", durable=False) == 0
found = []
while (batch := log.read("a", max_records=100, max_bytes=1 << 20)) is not None:
    found += [int(record.key) for record in batch.records]
    log.acknowledge("a", batch)
assert found == list(range(2000)), len(found)
log.close()
print("whole")
"""


def test_f1_a_full_disk_sends_lines_to_memory_and_back(tmp_path: Path) -> None:
    """While the disk takes no more, lines wait in memory; when space returns they are on disk; none is lost or doubled."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path / "own")], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "whole", done.stderr


class FailingSegment(FileSegment):
    """Fails its n-th write half way."""

    fails_at = 3
    writes = 0

    def append(self, added: list[bytes]) -> None:
        type(self).writes += 1
        if type(self).writes == self.fails_at:
            os.write(self._fd, b"".join(added)[:37])
            self._give_up()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().append(added)


@pytest.mark.parametrize("fails_at", range(1, 6))
def test_f2_a_write_that_fails_half_way_is_cut_back(tmp_path: Path, fails_at: int) -> None:
    """An I/O error at the n-th write leaves whole lines before it, and the segment takes no more."""
    FailingSegment.fails_at, FailingSegment.writes = fails_at, 0
    segment = FailingSegment(tmp_path / "1.seg")
    segment.create()
    written = 0
    for number in range(6):
        if segment.full:
            break
        try:
            segment.append(lines(1, number))
        except OSError:
            continue
        written += 1
    again = FileSegment(tmp_path / "1.seg")
    assert (again.adopt(), again.records) == (0, written) == (0, fails_at - 1)


def test_a_read_only_disk_is_survived(tmp_path: Path) -> None:
    """A spool that cannot be made costs a warning and memory, not spans."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    log = open_log(blocked / "own")
    log.append(lines(5))
    assert len(read_all(log, "a")) == 5
    log.close()


def test_dead_and_living_processes_are_told_apart(tmp_path: Path) -> None:
    """Where there are no locks, a process id with its start time says whether the owner lives."""
    assert is_alive(describe_process(os.getpid()))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    description = describe_process(child.pid)
    assert is_alive(description)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not is_alive(description)
    assert not is_alive(b"%d 1" % os.getpid())
    assert not is_alive(b"")
    assert not is_alive(b"junk x y")


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    """Whoever can write the folder cannot make us open another file."""
    (tmp_path / "target").write_text("")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"):
        take_ownership(tmp_path)


def test_limits_of_open_files_are_survived(tmp_path: Path) -> None:
    """With no file handle left the lines wait in memory, and go to disk later."""
    log = open_log(tmp_path / "own")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used // 2, hard))
    try:
        log.append(lines(5))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert log.count_pending("a", durable=False) == 5
    log.rescue()
    assert log.count_pending("a", durable=True) == 5
    assert Counter(read_all(log, "a")) == Counter(f"{number:036d}" for number in range(5))
    log.close()


def test_a_folder_deleted_under_us_is_made_anew(tmp_path: Path) -> None:
    """Somebody deletes the spool while it is in use: what was in it is counted as dropped, what follows is kept."""
    log = open_log(tmp_path / "own")
    log.append(lines(5))
    shutil.rmtree(tmp_path / "own")
    assert read_all(log, "a") == []
    assert log.dropped["a"]["spool_deleted"] == 5
    for start in range(5, 8):
        log.append(lines(1, start))
    assert log.count_pending("a", durable=True) > 0
    assert read_all(log, "a") == [f"{number:036d}" for number in range(5, 8)]
    log.close()
    assert not (tmp_path / "own").exists()
