"""An agent that writes, wherever it can write, what a page or a terminal might mistake for its own."""

from __future__ import annotations

HOSTILE = {
    "script": "<script>document.title='owned'; window.owned = 1</script>",
    "handler": '"onerror="window.owned = 1" x="',
    "quote": "' autofocus onfocus='window.owned = 1",
    "image": "<img src=https://example.invalid/pixel.png onerror='window.owned = 1'>",
    "style": "</style><style>body { display: none }</style>",
    "template": "</template></details><b id=escaped>out</b>",
    "end": "</script><script>window.owned = 1</script>",
    "comment": "<!-- <script>",
    "cdata": "]]><!--",
    "jinja": "{{ 7 * 7 }} {% raw %} {# gone #}",
    "entity": "&lt;b&gt; &amp;amp;",
    "ansi": "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "bidi": "\u202egnp.exe\u202c \u2066x\u2069",
    "nul": "a\x00b",
    "surrogate": "lone \ud800 half",
    "separator": "one\u2028two",
    "markdown": "[bold]x[/bold] [link](javascript:alert(1))",
}

SHOP = f"""
    from looplet import ToolCall, Usage, composable_loop, tool
    from looplet.messages import RawCall, Reply

    HOSTILE = {HOSTILE!r}
    ALL = "\\n".join(HOSTILE.values())

    @tool
    def look(text: str) -> dict:
        "Look."
        return {{"text": ALL, **{{value: key for key, value in HOSTILE.items()}}}}

    @tool
    def fail() -> str:
        "Fail."
        raise ValueError(ALL)

    @tool
    def done(answer: str) -> str:
        "Finish."
        return answer

    def script():
        text = [Reply(ALL, (RawCall("look", {{"text": ALL}}, "c1"),), reasoning=ALL)]
        return [*text, ToolCall("fail", {{}}, reasoning=ALL), ToolCall(ALL, {{}}), ToolCall("done", {{"answer": ALL}})]

    def agent(task, llm):
        return composable_loop(llm=llm, task=ALL, tools=[look, fail, done], system_prompt=ALL)

    def broken(task, llm):
        raise RuntimeError(ALL)

    def foreign(task):
        return [{{"role": "user", "content": task}}, {{"role": "assistant", "content": ALL}}]

    def twice(task, llm):
        for part in (1, 2):
            for step in composable_loop(llm=llm, task=f"part {{part}}", tools=[done]):
                pass
"""

EVALS = """
    import pytest
    from shop import ALL, HOSTILE, agent, broken, foreign, script, twice
    from looplet import ToolCall

    pytestmark = pytest.mark.looplet(agent=agent, cases=[{"id": "hostile", "task": "Look.", "script": script()}])

    def eval_output(run):
        assert run.output == "x", ALL

    def eval_label(run):
        return {"label": ALL, "reason": ALL, ALL: 1.5, "score": 0.5}

    @pytest.mark.skip(reason=ALL)
    def eval_skipped(run):
        pass

    @pytest.mark.looplet(agent=broken, cases=[{"id": "broken", "task": "Break.", "script": []}])
    def eval_broken(run):
        pass

    @pytest.mark.looplet(agent=foreign, cases=[{"id": "foreign", "task": "Talk.", "script": []}])
    def eval_foreign(run):
        assert run.output

    LOOPS = [ToolCall("done", {"answer": str(number)}) for number in (1, 2)]

    @pytest.mark.looplet(agent=twice, cases=[{"id": "twice", "task": "Do it twice.", "script": LOOPS}])
    def eval_twice(run):
        assert len(run.all) == 2

    def eval_without_a_run():
        assert ALL
"""
