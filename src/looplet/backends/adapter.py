"""`adapt`: one form for every model a user may pass: a backend, a `generate` object, sync or async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet.messages import Capabilities, Prompt, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.protocols import Model

_COROUTINE = 0x80  # inspect.CO_COROUTINE; `inspect` is not loaded by `import looplet`
_WHEN_REQUIRED: dict[str, Any] = {"max_tokens": 2048, "temperature": 0.0, "system_prompt": ""}


def adapt(llm: object) -> Model:
    """Return `llm` in the form the loop uses, or raise TypeError saying what to pass instead.

    An object with `chat(prompt) -> Reply` stays what it is, its `stream(prompt, on_chunk)` too; missing `name` and
    `capabilities` are supplied.
    An object with `generate(prompt, *, max_tokens, system_prompt, temperature) -> str` becomes a text-mode model.
    The result has `is_async = True` when its `chat` must be awaited.
    """
    if llm is None:
        raise TypeError(f"llm is None; {_FIX}")
    if isinstance(llm, type):
        raise TypeError(f"llm is the class {llm.__name__}; pass an instance of it")
    if callable(chat := getattr(llm, "chat", None)):
        return _with_chat(llm, chat)
    if callable(generate := getattr(llm, "generate", None)):
        return (_AsyncTextModel if is_coroutine_function(generate) else _TextModel)(llm, generate)
    if hasattr(chat, "completions"):
        kind = type(llm).__name__
        raise TypeError(f"llm is a raw {kind} client; wrap it: OpenAIBackend(client, model=...)")
    raise TypeError(f"llm is {_describe(llm)}, which has neither chat(prompt) nor generate(prompt); {_FIX}")


_FIX = "pass a backend such as OpenAIBackend.from_env() or MockLLMBackend([...])"


def is_coroutine_function(function: object) -> bool:
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & _COROUTINE)


def _with_chat(llm: Any, chat: Callable[[Prompt], Any]) -> Model:
    is_async = bool(getattr(llm, "is_async", is_coroutine_function(chat)))
    complete = hasattr(llm, "name") and _declares(llm, "capabilities") and (hasattr(llm, "is_async") or not is_async)
    model: Model = llm if complete else _ChatModel(llm, is_async)
    return model


def _declares(llm: object, attribute: str) -> bool:
    """Like `hasattr`, without reading it: looking up what a server can do may mean a request."""
    return any(attribute in vars(owner) for owner in (llm, *type(llm).__mro__) if hasattr(owner, "__dict__"))


def _name(llm: object) -> str:
    for attribute in ("name", "model"):
        value = getattr(llm, attribute, None)
        if isinstance(value, str) and value:
            return value
    return type(llm).__name__


def _describe(llm: object) -> str:
    return repr(llm) if isinstance(llm, str) else f"an instance of {type(llm).__name__}"


class _ChatModel:
    """Supplies what a minimal `chat` object leaves out; everything else is forwarded."""

    def __init__(self, llm: Any, is_async: bool) -> None:
        self._llm = llm
        self.chat = llm.chat
        self.is_async = is_async

    @property
    def name(self) -> str:
        return _name(self._llm)

    @property
    def capabilities(self) -> Capabilities:
        found: Capabilities = getattr(self._llm, "capabilities", _DEFAULT)
        return found

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._llm, attribute)


_DEFAULT = Capabilities()


class _TextModel:
    """A `generate` object as a model without native tools. What its signature cannot take is not passed."""

    is_async = False

    def __init__(self, llm: Any, generate: Callable[..., Any]) -> None:
        self._llm = llm
        self._generate = generate
        self._accepted, self._required = _keywords(_name(llm), generate)
        self.name = _name(llm)
        self.capabilities = Capabilities(native_tools=False)

    def chat(self, prompt: Prompt) -> Reply:
        return self._reply(self._generate(self._text(prompt), **self._settings(prompt)))

    def _text(self, prompt: Prompt) -> str:
        """The conversation as one text: a single message is its own content, several are headed by their roles."""
        if self._takes("system_prompt") or not prompt.system:
            return prompt.messages[0].content if len(prompt.messages) == 1 else str(prompt.replace(system=""))
        return str(prompt)

    def _settings(self, prompt: Prompt) -> dict[str, Any]:
        settings = prompt.settings
        values = {
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "system_prompt": prompt.system or None,
            **settings.extra,
        }
        chosen = {key: value for key, value in values.items() if value is not None and self._takes(key)}
        return self._required | chosen

    def _takes(self, keyword: str) -> bool:
        return self._accepted is None or keyword in self._accepted

    def _reply(self, text: object) -> Reply:
        if not isinstance(text, str):
            raise TypeError(f"{self.name}.generate() returned {_describe(text)}; it must return the reply as a str")
        return Reply(text=text, model=self.name)

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "stream":  # the object's own would take a text, and not this prompt
            raise AttributeError(f"{self.name} has no stream(prompt, on_chunk)")
        return getattr(self._llm, attribute)


class _AsyncTextModel(_TextModel):
    is_async = True

    async def chat(self, prompt: Prompt) -> Reply:  # type: ignore[override]  # the async form of the same protocol
        return self._reply(await self._generate(self._text(prompt), **self._settings(prompt)))


def _keywords(owner: str, generate: Callable[..., Any]) -> tuple[frozenset[str] | None, dict[str, Any]]:
    """The keywords `generate` accepts (None: any), and values for those it insists on."""
    import inspect  # costs more than the rest of `import looplet`; only `generate` objects need it

    try:
        parameters = list(inspect.signature(generate).parameters.values())[1:]  # without the prompt
    except (TypeError, ValueError):  # built in C, without a signature
        return frozenset(), {}
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p.name for p in named if p.default is p.empty]
    if unknown := [name for name in required if name not in _WHEN_REQUIRED]:
        raise TypeError(
            f"{owner}.generate() requires {', '.join(unknown)}, which looplet does not know; "
            "give them defaults: generate(prompt, *, max_tokens=..., system_prompt='', temperature=...)"
        )
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    accepted = None if anything else frozenset(p.name for p in named)
    return accepted, {name: _WHEN_REQUIRED[name] for name in required}
