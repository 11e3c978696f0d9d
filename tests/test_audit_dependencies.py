from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "scripts"))
audit = importlib.import_module("audit_dependencies")


def test_all_that_is_needed_at_run_time_has_an_allowed_licence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.audit_licences(tmp_path) == 0, capsys.readouterr().out
    names = {licence.package for licence in audit.licences(audit.read_requirements(audit.NEEDED))}
    assert {"torch", "numpy", "pydantic-core"} <= names  # with what the requirements themselves need


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [("MIT", True), ("Apache-2.0 AND MIT", True), ("GPL-3.0-only OR MIT", True), ("GPL-3.0-only", False),
     ("MIT AND GPL-3.0-only", False), ("", False), ("LicenseRef-NVIDIA-Proprietary", False), ("BSD License", True)],
)  # fmt: skip
def test_licences_are_judged_by_their_expression(expression: str, allowed: bool) -> None:
    assert audit.is_allowed(expression) == allowed


def test_the_lock_has_a_hash_for_everything_and_pins_what_the_requirements_pin() -> None:
    lines = audit.LOCKED.read_text().splitlines()
    locked = {line.partition("==")[0]: line.partition("==")[2].rstrip(" \\") for line in lines if "==" in line}
    for name in locked:
        at = next(number for number, line in enumerate(lines) if line.startswith(f"{name}=="))
        assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", lines[at + 1]), name
    pinned = dict(text.split("==") for text in audit.read_requirements(audit.TESTED))
    different = {
        name: version for name, version in pinned.items() if locked.get(re.sub(r"[-_.]+", "-", name).lower()) != version
    }
    assert different == {}, "run scripts/audit_dependencies.py --lock"
    assert "://" not in audit.LOCKED.read_text()
