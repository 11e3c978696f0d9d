"""Runs the stages of a table, and skips those that are done.

A stage leaves {work}/done/{stage}.json: its command and configuration, the SHA-256 of what it made, and that of what
each stage before it had made. It is done if all of this still holds, and every file that its manifest names is there.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common.config import fingerprint, save_config
from common.errors import UserError
from common.image_io import write_bytes
from common.manifest import FILE_NAME, ManifestError, read_manifest, sha256
from evaluation.tables.stages import Stage

LOG_LINES = 15  # of a failed stage's log that are repeated in the message


class Runner:
    """Runs stages in their order.

    Args:
        work: folder of the table.
        stages: all stages of the table, those that are not run too: others may need them.
    """

    def __init__(self, work: Path, stages: Sequence[Stage]) -> None:
        self._work = work
        self._stages = {stage.name: stage for stage in stages}
        self._numbers = itertools.count(1)

    def is_done(self, stage: Stage) -> bool:
        """Return whether the stage was finished as it would be run now, and all that it made is still there."""
        try:
            stamp = json.loads(self._stamp_path(stage).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        made = digest_of(stage.makes)
        return made is not None and bool(stamp == self._stamp(stage, made))

    def run(self, stages: Sequence[Stage], *, jobs: int) -> None:
        """Run those of `stages` that are not done, cells side by side if `jobs` is above 1.

        Raises:
            UserError: a stage failed, or weights that it reads are missing.
        """
        prepare = [stage for stage in stages if "/" not in stage.name]
        cells: dict[str, list[Stage]] = {}
        for stage in stages:
            if "/" in stage.name:
                cells.setdefault(stage.name.rpartition("/")[0], []).append(stage)
        total, self._numbers = len(stages), itertools.count(1)
        for stage in prepare:
            self._run_one(stage, total=total, quiet=False)
        with ThreadPoolExecutor(jobs) as pool:
            chains = [pool.submit(self._run_chain, chain, total=total, quiet=jobs > 1) for chain in cells.values()]
            try:
                for chain in chains:
                    chain.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _run_chain(self, stages: Sequence[Stage], *, total: int, quiet: bool) -> None:
        for stage in stages:
            self._run_one(stage, total=total, quiet=quiet)

    def _run_one(self, stage: Stage, *, total: int, quiet: bool) -> None:
        head = f"== {next(self._numbers)}/{total} {stage.name}"
        if stage.reads is not None and not stage.reads.is_file():
            print(f"{head}: left out, {stage.reads} is not there", flush=True)
            return
        if self.is_done(stage):
            print(f"{head}: done already", flush=True)
            return
        print(f"{head}\n+ {stage.line}", flush=True)
        begin_s = time.monotonic()
        if stage.config is not None and stage.config_path is not None:
            save_config(stage.config_path, stage.config)
        self._call(stage, quiet=quiet)
        made = digest_of(stage.makes)
        if made is None:
            raise UserError(f"stage {stage.name}: its command ended well, but {stage.makes} is missing or not whole")
        write_bytes(self._stamp_path(stage), (json.dumps(self._stamp(stage, made), indent=2) + "\n").encode())
        print(f"   {stage.name}: {time.monotonic() - begin_s:.1f} s", flush=True)

    def _call(self, stage: Stage, *, quiet: bool) -> None:
        """Run the command of a stage.

        Raises:
            UserError: it failed.
        """
        log = self._work / "logs" / f"{stage.name}.log"
        command = [sys.executable, *stage.command]
        environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
        if quiet:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w", encoding="utf-8") as stream:
                code = subprocess.call(command, env=environment, stdout=stream, stderr=subprocess.STDOUT)
        else:
            code = subprocess.call(command, env=environment)
        if code == 0:
            return
        said = ""
        if quiet:
            last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
            said = f"The end of {log}:\n" + "\n".join(f"  {line}" for line in last)
        raise UserError(
            f"stage {stage.name} failed (exit code {code}): {stage.line}\n"
            f"Mend what it tells{'' if quiet else ' above'} and run the same command again: finished stages are kept. "
            f"{said}"
        )

    def _stamp(self, stage: Stage, made: str) -> dict[str, Any]:
        needs = {name: digest_of(self._stages[name].makes) for name in stage.needs}
        if stage.reads is not None:
            needs[str(stage.reads)] = digest_of(stage.reads)
        return {
            "command": list(stage.command),
            "config_sha256": None if stage.config is None else fingerprint(stage.config),
            "makes": str(stage.makes),
            "sha256": made,
            "needs": needs,
        }

    def _stamp_path(self, stage: Stage) -> Path:
        return self._work / "done" / f"{stage.name}.json"


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file, or of a folder's manifest; None where it or a file that it names is missing."""
    if path.is_file():
        return sha256(path)
    try:
        rows = read_manifest(path)
    except ManifestError:
        return None
    there = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    named = {name for row in rows for name in row.get("files", {}).values()}
    return sha256(path / FILE_NAME) if named <= there else None
