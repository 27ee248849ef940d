"""Which files and names become evals."""

from __future__ import annotations

import pytest
from tests.support.plugin_files import EVALS, INI, executions, write_suite


def _ids(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    result = pytester.runpytest("--collect-only", "-q", *arguments)
    return [line for line in result.outlines if "::" in line]


def test_one_item_a_case_with_the_case_id(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    assert _ids(pytester, "-k", "amount") == [
        f"evals/eval_shop.py::eval_amount[refund-{order}]" for order in (17, 18, 19)
    ]
    assert executions(pytester) == [], "collecting runs nothing"


@pytest.mark.parametrize(
    ("file", "is_collected"),
    [
        ("evals/eval_x.py", True),
        ("evals/deep/er/eval_x.py", True),
        ("package/evals/eval_x.py", True),
        ("eval_x.py", False),
        ("models/eval_x.py", False),
        ("evals/eval_support/helpers.py", False),
        ("evals/retrieval_x.py", False),
        ("evals/x_eval.py", False),
        (".hidden/evals/eval_x.py", False),
        ("my_evals/eval_x.py", False),
    ],
)
def test_only_eval_files_below_an_evals_directory_are_imported(
    pytester: pytest.Pytester, file: str, is_collected: bool
) -> None:
    pytester.makeini(INI + "norecursedirs =\n")
    target = pytester.path / file
    target.parent.mkdir(parents=True, exist_ok=True)
    imported = pytester.path / "imported"
    target.write_text(f"open({str(imported)!r}, 'w').close()\ndef eval_one(): return 1.0\ndef test_two(): pass\n")
    found = _ids(pytester)
    assert [name.split("::")[1] for name in found] == (["eval_one", "test_two"] if is_collected else [])
    assert imported.exists() == is_collected


def test_a_file_given_on_the_command_line_is_collected_wherever_it_stands(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{"scripts/eval_given": "def eval_one(): return 1.0"})
    assert _ids(pytester, "scripts/eval_given.py") == ["scripts/eval_given.py::eval_one"]
    assert _ids(pytester) == []


def test_ini_widens_files_and_functions(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI + "looplet_files = quality/**/check_*.py\nlooplet_functions = eval_* quality_*\n")
    text = "def quality_one(): return 1.0\ndef eval_two(): return 1.0\ndef check_three(): return 1.0\n"
    pytester.makepyfile(**{"quality/check_a": text, "quality/deep/check_b": text, "quality/other": text})
    assert _ids(pytester) == [
        "quality/check_a.py::quality_one",
        "quality/check_a.py::eval_two",
        "quality/deep/check_b.py::quality_one",
        "quality/deep/check_b.py::eval_two",
    ]


def test_files_that_the_ini_file_names_by_any_name_are_collected(pytester: pytest.Pytester) -> None:
    write_suite(pytester, ini="looplet_files = checks/**/*.py\n")
    pytester.makepyfile(**{"checks/deep/one": EVALS, "other/one": "raise ValueError('imported')"})
    assert len(_ids(pytester, "checks")) == len(_ids(pytester, "evals")) == 6
    assert len(_ids(pytester)) == 12


def test_eval_files_that_are_tests_by_python_files_stay_tests(pytester: pytest.Pytester) -> None:
    write_suite(pytester, ini="python_files = eval_*.py\n")
    pytester.makepyfile(**{"elsewhere/eval_more": "def test_more(): pass\n"})
    assert "elsewhere/eval_more.py::test_more" in _ids(pytester)


def test_imported_evals_are_out_and_assigned_ones_are_in(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        **{
            "evals/eval_base": "def eval_shared(): return 1.0\n",
            "evals/eval_more": """
                from eval_base import eval_shared

                def make_eval():
                    def inner(): return 1.0
                    return inner

                eval_made = make_eval()
                if True:
                    def eval_in_branch(): return 1.0
            """,
        }
    )
    assert _ids(pytester) == [
        "evals/eval_base.py::eval_shared",
        "evals/eval_more.py::eval_made",
        "evals/eval_more.py::eval_in_branch",
    ]


def test_classes_hold_evals_too(pytester: pytest.Pytester) -> None:
    text = """
        class EvalShop:
            def eval_one(self): return 1.0
            def helper(self): return 1.0

        class Other:
            def eval_two(self): return 1.0
    """
    pytester.makepyfile(**{"evals/eval_classes": text})
    assert _ids(pytester) == ["evals/eval_classes.py::EvalShop::eval_one"]
    pytester.runpytest().assert_outcomes(passed=1)


def test_a_file_without_evals_and_tests_is_not_imported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{"evals/eval_data": "raise SystemExit('imported')\nROWS = []"})
    assert pytester.runpytest().ret == 5


def test_a_broken_eval_file_is_a_collection_error(pytester: pytest.Pytester) -> None:
    write_suite(pytester, "import no_such_module\n" + "def eval_one(run): return 1.0\n")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*No module named 'no_such_module'"])
    write_suite(pytester, "def eval_one(run) return 1.0\n")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*SyntaxError*"])
    assert result.ret == 2


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_asserts_of_eval_files_are_explained(pytester: pytest.Pytester, mode: str) -> None:
    pytester.makepyfile(**{"evals/eval_assert": "def eval_one():\n    left = 3\n    assert left == 4\n"})
    pytester.runpytest(f"--import-mode={mode}").stdout.fnmatch_lines(["E*assert 3 == 4"])


def test_keywords_marks_and_parametrize_select_evals_like_tests(pytester: pytest.Pytester) -> None:
    evals = (
        EVALS
        + """
    @pytest.mark.parametrize("least", [1, 2])
    def eval_steps(run, least):
        return len(run.steps) >= least
    """
    )
    write_suite(pytester, evals)
    result = pytester.runpytest("-k", "eval_steps and refund-18")
    result.assert_outcomes(passed=2, deselected=10)
    assert executions(pytester) == ["Refund order 18"], "a deselected case is not run"


def test_marks_of_a_case_apply_to_its_items(pytester: pytest.Pytester) -> None:
    evals = EVALS.replace('"script": script(order)}', '"script": script(order), "marks": ["slow"] * (order == 18)}')
    write_suite(pytester, evals, ini="markers = slow\n")
    pytester.runpytest("-m", "slow").assert_outcomes(passed=2, deselected=4)
