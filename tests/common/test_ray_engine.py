"""The Ray engine on a cluster of two nodes that is started here; skipped where Ray is not installed."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common import ray_engine
from common.config import validate
from common.engines import Record, Work, died_row
from common.errors import RecordError, UserError
from common.image_io import write_image
from common.jobs import run_job
from common.journal import REPORT_NAME
from common.manifest import Row, read_manifest, read_samples, sha256
from common.ray_engine import RayEngine
from common.seeding import generator
from configs.schema import OcclusionJob
from occlusion_gen.offline import FaceRecord, Occluder, build_occluder
from tests.tiny_world import HOLDOUT, World

ray: Any = importlib.import_module("ray") if importlib.util.find_spec("ray") else None
needs_ray = pytest.mark.skipif(ray is None, reason="Ray is not installed: pip install -r requirements-ray.txt")
RECORDS = 40
STORE_BYTES = 80 * 2**20


@dataclass(frozen=True)
class Number:
    id: str
    index: int


NUMBERS = [Number(f"face{index}", index) for index in range(RECORDS)]


def trace(folder: Path, name: str) -> None:
    """Note that this process begins with a record."""
    node = ray.get_runtime_context().get_node_id() if ray and ray.is_initialized() else "here"
    with (folder / f"{node}_{os.getpid()}.txt").open("a") as stream:
        stream.write(f"{name}\n")


@dataclass(frozen=True)
class Painter:
    """Writes a picture a record, by a path relative to the working directory; each start leaves a trace."""

    folder: Path
    traces: Path

    def __call__(self, record: Number) -> Row:
        trace(self.traces, record.id)
        if record.id.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        if record.id.startswith("bad"):
            raise RecordError(f"{record.id}: is bad", outcome="bad_input")
        if record.id.startswith("fault"):
            raise ZeroDivisionError(record.id)
        name = f"images/{record.id}.png"
        write_image(self.folder / name, generator(5, record.index).integers(0, 256, (48, 48, 3)).astype("uint8"))
        return {
            "id": record.id,
            "outcome": "ok",
            "files": {"image": name},
            "sha256": {"image": sha256(self.folder / name)},
        }


@dataclass
class Cluster:
    """Two nodes of one core each."""

    cluster: Any
    second: Any
    second_id: str

    def kill_second(self, traces: Path) -> None:
        """Kill the second node without warning while it works on a record, as a power cut does: workers, then node."""
        before, end_s = self._begun(traces), time.monotonic() + 60
        while self._begun(traces) == before:
            assert time.monotonic() < end_s, "the second node does nothing"
            time.sleep(0.005)
        for path in traces.glob(f"{self.second_id}_*.txt"):
            os.kill(int(path.stem.split("_")[1]), signal.SIGKILL)
        self.cluster.remove_node(self.second, allow_graceful=False)

    def _begun(self, traces: Path) -> int:
        return sum(path.read_text().count("\n") for path in traces.glob(f"{self.second_id}_*.txt"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if ray is None:
        pytest.skip("Ray is not installed: pip install -r requirements-ray.txt")
    RayCluster = importlib.import_module("ray.cluster_utils").Cluster  # noqa: N806 - a class
    patch = pytest.MonkeyPatch()
    scratch = Path(tempfile.mkdtemp(prefix="occ"))  # short: sockets lie in there, whose paths may have 107 letters
    (scratch / "ray").mkdir()
    patch.setenv("RAY_TMPDIR", str(scratch))
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    heartbeat = {
        "health_check_initial_delay_ms": 500,
        "health_check_period_ms": 500,
        "health_check_failure_threshold": 3,
    }
    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    started = RayCluster(initialize_head=True, head_node_args={**node, "_system_config": heartbeat})
    try:
        second = started.add_node(**node)
        ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
        yield Cluster(started, second, second.node_id)
    finally:
        ray.shutdown()
        started.shutdown()
        patch.undo()
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to write into, relative to a working directory that no node was started in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "traces").mkdir()
    return Path("out")


def paint(folder: Path, numbers: list[Number] = NUMBERS, **options: Any) -> Any:
    work = Painter(folder, Path("traces"))
    return run_job(work, numbers, folder=folder, title="test", **{"engine": RayEngine(), **options})


def traced() -> dict[str, list[str]]:
    """Return what was begun, by the node and process that did."""
    return {path.stem: path.read_text().splitlines() for path in Path("traces").iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != REPORT_NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_without_ray_the_error_says_how_to_install_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-ray\.txt"):
        paint(folder)


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "host.invalid:6379", "nonsense"])
def test_an_address_without_a_cluster_is_told(folder: Path, address: str) -> None:
    with pytest.raises(UserError, match=f"ray_address={address}: no Ray cluster can be reached there"):
        paint(folder, engine=RayEngine(address))


def test_failures_and_killers_become_the_same_rows_as_locally(cluster: Cluster, folder: Path) -> None:
    numbers, killer = [*NUMBERS[:12], Number("bad1", 40)], Number("deadly1", 41)
    report = paint(folder, [killer, *numbers])
    assert report.outcomes == {"ok": 12, "worker_died": 1, "bad_input": 1}
    # Not in processes, which are forked: that does no good to the connection to Ray of this one.
    assert report.rows == [died_row(killer), *paint(Path("local"), numbers, engine=None).rows]


def test_a_fault_of_the_program_comes_with_the_workers_traceback(cluster: Cluster, folder: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        paint(folder, [*NUMBERS[:3], Number("fault", 9)])
    assert "__call__" in caught.value.__notes__[0]


def test_a_worker_that_cannot_begin_is_no_record_that_kills_it(
    cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __init__(self, boxed_errand: list[Any]) -> None:
            raise ModuleNotFoundError("No module named 'cv2'")

        def answers(self, records: Sequence[Record]) -> list[Row]:
            return []

    monkeypatch.setattr(ray_engine, "_Worker", Broken)
    with pytest.raises(UserError, match=r"a Ray worker could not start[\s\S]*No module named 'cv2'"):
        paint(folder, NUMBERS[:3])


def test_nodes_that_do_not_share_the_folder_are_told(
    cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "SHARED_WAIT_S", 0.1)
    errand = ray_engine._Errand(Painter(folder, folder), Path.cwd(), folder.resolve() / "not_here")
    answers = ray_engine._Worker([ray.put(errand)]).answers(NUMBERS[:2])
    with pytest.raises(UserError, match=r"does not see this folder.*one shared file system"):
        ray_engine.row_of(answers[0])


@dataclass(frozen=True)
class Traced:
    """Work of which each start leaves a trace, slow enough for a node to die in the middle."""

    work: Work
    traces: Path

    def __call__(self, record: FaceRecord) -> Row:
        trace(self.traces, record.id)
        time.sleep(0.25)
        return self.work(record)


def test_a_node_killed_in_the_middle_costs_nothing(
    cluster: Cluster, world: World, prepared: Path, folder: Path
) -> None:
    """The real thing: an occluded set is made on two nodes, of which one loses power, and equals the local one."""

    @dataclass(frozen=True)
    class Killing:
        """Ray, with a power cut on one of its nodes once there is a row and that node is at work."""

        def __call__(self, work: Work, records: Sequence[Record], *, folder: Path) -> Generator[Row, None, None]:
            # From a thread: the node gets new records only while the rows of the old ones are taken.
            with ThreadPoolExecutor(1) as pool:
                killing = None
                for row in RayEngine()(work, records, folder=folder):
                    yield row
                    killing = killing or pool.submit(cluster.kill_second, Path("traces").absolute())
                assert killing is not None
                killing.result()

    faces = read_samples(prepared)
    records = [FaceRecord(f"face{index}", index, faces[index % len(faces)]) for index in range(RECORDS)]
    work = Traced(occluder(world, prepared, folder), Path("traces"))
    report = run_job(work, records, folder=folder, title="test", engine=Killing())
    assert len({name.split("_")[0] for name in traced()}) == 2, "both nodes were at work"
    begun = Counter(name for names in traced().values() for name in names)
    assert set(begun) == {record.id for record in records}
    assert max(begun.values()) == 2, "what the dead node had in hand was begun again"
    assert report.outcomes == {"ok": RECORDS}
    assert [row["id"] for row in read_manifest(folder)] == [record.id for record in records]  # none lost, none twice
    run_job(occluder(world, prepared, Path("local")), records, folder=Path("local"), title="test")
    assert contents(folder) == contents(Path("local"))
    assert json.loads((folder / REPORT_NAME).read_text())["reused"] == 0


def occluder(world: World, prepared: Path, output: Path) -> Occluder:
    hands = {"kind": "natocc", "part": "hand", "occluders": str(world.pairs), "holdout_share": HOLDOUT}
    shapes = {"kind": "randocc", "textures": str(world.textures), "holdout_share": HOLDOUT}
    settings = {
        "data": {"root": str(world.root), "prepared": str(prepared)},
        "output": str(output),
        "occlusion": {"generators": {"hands": hands, "shapes": shapes}, "count": [1, 2]},
    }
    return build_occluder(validate(settings, OcclusionJob, source="test"), side_px=64)
