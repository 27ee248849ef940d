"""The workflow in docs/ci.md: valid by GitHub's published schema, and its pytest commands do what the page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.docs.test_documents import DOCUMENTS, Reader
from tests.docs.test_documents import endpoint as endpoint
from tests.support.markdown import blocks_of

if TYPE_CHECKING:
    from tests.support.scripted_endpoint import ScriptedEndpoint

BLOCKS = blocks_of(DOCUMENTS["docs/ci.md"])
FILES = {block.markers["file"]: block.text for block in BLOCKS if "file" in block.markers}
WORKFLOW = FILES[".github/workflows/evals.yml"]


def with_comment() -> str:
    """The workflow with the permissions and steps of the second example in the job it is meant for."""
    workflow, more = yaml.safe_load(WORKFLOW), yaml.safe_load(FILES["comment.yml"])
    replay = workflow["jobs"]["replay"]
    replay["permissions"] = more["permissions"]
    replay["steps"] += more["steps"]
    workflow["on"] = workflow.pop(True)  # YAML 1.1 reads `on` so
    return str(yaml.safe_dump(workflow))


@pytest.mark.parametrize("text", [WORKFLOW, with_comment()], ids=["workflow", "with a comment"])
def test_the_workflow_is_of_the_published_form(text: str, tmp_path: Path) -> None:
    file = tmp_path / "evals.yml"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_jobs_hold_no_more_rights_than_they_need() -> None:
    workflow = yaml.safe_load(WORKFLOW)
    assert workflow["permissions"] == {"contents": "read"}
    checkouts = [
        step for job in workflow["jobs"].values() for step in job["steps"] if "checkout" in step.get("uses", "")
    ]
    assert [step["with"] for step in checkouts] == [{"persist-credentials": False}] * 2
    assert "secrets." not in json.dumps(workflow["jobs"]["replay"]), "forks have none"
    runs = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert not [run for run in runs if "${{" in run], "text of an event must not become a command"


def pytest_command(job: str) -> str:
    [command] = [step["run"] for step in jobs()[job]["steps"] if step.get("run", "").startswith("pytest")]
    return str(command)


def jobs() -> dict[str, Any]:
    return dict(yaml.safe_load(WORKFLOW)["jobs"])


def test_the_commands_of_both_jobs_run(endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(DOCUMENTS["docs/ci.md"], endpoint)
    for block in BLOCKS:
        if "exit" in block.markers:  # there the page begins to break things
            break
        reader.follow(block)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")

    shell(pytest_command("replay"))
    assert {path.name for path in Path("report").iterdir()} == {"evals.html", "evals.xml"}

    # the endpoint is no OpenAI: its model has another name and another price
    live = {name: value for name, value in jobs()["live"]["env"].items() if name.startswith("LOOPLET_")}
    assert sorted(live) == ["LOOPLET_BACKEND", "LOOPLET_MODEL"]
    environment = live | {"LOOPLET_MODEL": "scripted", "PYTEST_ADDOPTS": "-o 'looplet_prices=scripted 0.25 2'"}
    shell("pytest --looplet-trials 5 --looplet-report evals/baseline.json", **environment)
    shell(pytest_command("live"), **environment)
    report = json.loads(Path("report/evals.json").read_text(encoding="utf-8"))
    [row] = report["evals"]
    assert (row["n_cases"], row["n_trials"], row["baseline"]["verdict"]) == (1, 5, "same")
    assert Path("summary.md").read_text(encoding="utf-8").count("### ✅ Evals passed") == 3


def shell(command: str, **environment: str) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
