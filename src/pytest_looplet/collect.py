"""Eval files as pytest collectors: which names are evals. The items themselves stay plain `pytest.Function`s."""

from __future__ import annotations

import ast
import fnmatch
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_looplet.files import is_eval_file, is_given_eval_file, module_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


_IS_EVAL = pytest.StashKey[bool]()


def is_eval_name(name: str, config: pytest.Config) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in config.getini("looplet_functions"))


class EvalModule(pytest.Module):
    """A module whose `eval_*` functions are items. A file without evals and tests is not even imported."""

    _bound: frozenset[str] | None

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        bound = self.bound_names()
        return super().collect() if bound is None or any(map(self._is_wanted, bound)) else []

    def _is_wanted(self, name: str) -> bool:
        return is_eval_name(name, self.config) or super().funcnamefilter(name) or self.is_class_name(name)

    def is_class_name(self, name: str) -> bool:
        return name.startswith("Eval") or self.classnamefilter(name)

    def funcnamefilter(self, name: str) -> bool:
        if is_eval_name(name, self.config):
            return name in (self.bound_names() or ())
        return super().funcnamefilter(name)

    def bound_names(self) -> frozenset[str] | None:
        """Names the file itself binds: an imported eval belongs to the file it comes from. None: it does not parse."""
        if not hasattr(self, "_bound"):
            try:
                tree = ast.parse(self.path.read_bytes())
            except (SyntaxError, ValueError):
                self._bound = None  # importing it reports the error, with its place
            else:
                self._bound = frozenset(_bindings(tree.body))
        return self._bound


class EvalClass(pytest.Class):
    """A class of an eval file, with `eval_*` methods."""

    def funcnamefilter(self, name: str) -> bool:
        return is_eval_name(name, self.config) or super().funcnamefilter(name)


def make_module(path: Path, parent: pytest.Collector) -> EvalModule | None:
    if not is_given_eval_file(path, parent.session) and not is_eval_file(path, parent.config):
        return None
    names = [name for name in module_names(path, parent.config.rootpath) if name not in sys.modules]
    pytest.register_assert_rewrite(*names)
    module: EvalModule = EvalModule.from_parent(parent, path=path)
    return module


def make_class(collector: pytest.Collector, name: str, obj: object) -> EvalClass | None:
    """Make the collector of a class named Eval*, or as python_classes say, in an eval file."""
    if not isinstance(collector, (EvalModule, EvalClass)) or not isinstance(obj, type):
        return None
    module = collector.getparent(EvalModule)
    if module is None or not module.is_class_name(name) or (collector is module and not _is_bound(module, name)):
        return None
    if any(base.__module__ == "unittest.case" for base in obj.__mro__):
        return None  # pytest's own collector knows those
    made: EvalClass = EvalClass.from_parent(collector, name=name, obj=obj)
    return made


def _is_bound(module: EvalModule, name: str) -> bool:
    return name in (module.bound_names() or ())


def is_eval(item: pytest.Item) -> bool:
    """Say whether this item is an eval and not an ordinary test (which may stand in an eval file, too)."""
    known = item.stash.get(_IS_EVAL, None)  # asked at each of its phases
    if known is None:
        known = item.stash[_IS_EVAL] = (
            isinstance(item, pytest.Function)
            and item.getparent(EvalModule) is not None
            and is_eval_name(item.originalname, item.config)
        )
    return known


def _bindings(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name))
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            for branch in ("body", "orelse", "finalbody"):
                yield from _bindings(getattr(node, branch, ()))
            for handler in getattr(node, "handlers", ()):
                yield from _bindings(handler.body)
