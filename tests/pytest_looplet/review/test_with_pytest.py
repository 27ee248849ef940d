"""What pytest leaves behind is what the review shows, and what the review accepts is what pytest then replays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.plugin_files import EVALS, LIVE, SHOP, executions, write_suite

from looplet import cli

if TYPE_CHECKING:
    import pytest

EVALS_WITHOUT_SCRIPT = EVALS.replace(', "script": script(order)', "")


def recorded(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS_WITHOUT_SCRIPT, conftest=LIVE)
    pytester.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=6)
    executions(pytester)


def listed(pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    cli.main(["review", str(pytester.path), "--list", "--json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["pending"]
    return found


def test_an_accepted_recording_is_replayed_without_a_model(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    recorded(pytester)
    pytester.makepyfile(shop=SHOP.replace('"Find an order."', '"Look an order up."'))
    assert pytester.runpytest().ret == 1
    entries = listed(pytester, capsys)
    assert [entry["id"] for entry in entries] == [
        f"evals/eval_shop.py::recording[agent/refund-{order}]" for order in (17, 18, 19)
    ]
    assert {change["kind"] for entry in entries for change in entry["changes"]} == {"prompt"}
    assert [entry["acceptable"] for entry in entries] == [True, True, True]
    assert cli.main(["review", str(pytester.path), "--accept", "*"]) == 0
    executions(pytester)
    result = pytester.runpytest()
    result.assert_outcomes(passed=6)
    assert result.ret == 0
    assert "live call" not in executions(pytester)


def test_a_recording_of_another_behaviour_waits_for_a_new_one(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    recorded(pytester)
    pytester.makepyfile(shop=SHOP.replace('"amount": order + 8}', '"amount": order + 9}'))
    assert pytester.runpytest("-k", "refund-17").ret == 1
    (entry,) = listed(pytester, capsys)
    assert not entry["acceptable"]
    assert entry["command"] in entry["refusal"]
    assert cli.main(["review", str(pytester.path), "--accept", "*"]) == 1
    pytester.makepyfile(shop=SHOP)
    assert pytester.runpytest("-k", "refund-17").ret == 0
    assert listed(pytester, capsys) == []
