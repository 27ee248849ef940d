from __future__ import annotations

import pytest
from tests.support.fake_openai import FakeOpenAI, as_json

from looplet.backends.ollama import ollama_backend, ollama_base_url, served_models
from looplet.errors import ConnectionFailed


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (None, "http://127.0.0.1:11434/v1"),
        ("", "http://127.0.0.1:11434/v1"),
        ("box", "http://box:11434/v1"),
        ("box:99", "http://box:99/v1"),
        (":99", "http://127.0.0.1:99/v1"),
        ("http://box", "http://box/v1"),
        ("https://box", "https://box/v1"),
        ("https://box:99/", "https://box:99/v1"),
        ("http://box/ollama", "http://box/ollama/v1"),
        ("http://box:99/v1", "http://box:99/v1"),
        ("http://box:99/v1/", "http://box:99/v1"),
        ("[::1]:5", "http://[::1]:5/v1"),
        ("::1", "http://[::1]:11434/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:99", "http://127.0.0.1:99/v1"),
        ("http://[::]:99", "http://[::1]:99/v1"),
        (' "box:99" ', "http://box:99/v1"),
    ],
)
def test_every_form_of_ollama_host_is_understood(value: str | None, url: str) -> None:
    assert ollama_base_url(value) == url


@pytest.mark.parametrize("value", ["box:port", "box:99999", "ftp://box", "[::1"])
def test_an_impossible_value_is_named(value: str) -> None:
    with pytest.raises(ValueError, match="OLLAMA_HOST is"):
        ollama_base_url(value)


def test_the_backend_goes_where_ollama_host_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "box:99")
    assert ollama_backend("llama3.2", transport="http").base_url == "http://box:99/v1"
    assert ollama_backend("llama3.2", "other", transport="http").base_url == "http://other:11434/v1"


def test_models_come_from_ollama_s_own_list() -> None:
    with FakeOpenAI() as server:
        server.pages["/api/tags"] = as_json({"models": [{"name": "llama3.2:latest"}, {"name": "qwen3:4b"}]})
        assert served_models(server.base_url) == ["llama3.2:latest", "qwen3:4b"]


def test_other_servers_are_asked_in_openai_s_way() -> None:
    with FakeOpenAI() as server:
        server.pages["/v1/models"] = as_json({"data": [{"id": "m"}]})
        assert served_models(server.base_url) == ["m"]


def test_nobody_there_says_how_to_start_it() -> None:
    with FakeOpenAI() as server:
        url = server.base_url
    with pytest.raises(ConnectionFailed, match=r"is the server running.*`ollama serve`.*OLLAMA_HOST"):
        served_models(url)
