"""An agent that cleans a table up: `python -m looplet.examples.data_agent [--clean] [--resume] [--yes] [--mock]`.

A person approves what deletes, a long conversation is compacted, and the run survives `kill -9`: what it has done is in
its state folder, and `--resume` goes on from there. Exit status: 0 finished, 1 not finished, 3 waiting for approval.
"""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet import (
    ApprovalHook,
    Capabilities,
    CheckpointHook,
    DefaultState,
    LoopletError,
    MockLLMBackend,
    Prune,
    ThresholdCompactHook,
    Truncate,
    compact_chain,
    composable_loop,
)
from looplet.events import Compacted
from looplet.examples.cleanup.scripted import scripted_model
from looplet.examples.cleanup.state_folder import StateFolder
from looplet.examples.cleanup.tools import INSTRUCTIONS, TASK, tools
from looplet.examples.common import add_run_options, how_it_ended, model_for, show

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from looplet import Run, ToolCall

PROGRAM = "data_agent"
MOCK_WINDOW = 600  # tokens: small, so that the mock's conversation is compacted, too
_WAITING_STATUS = 3


class SayCompacted:
    def on_event(self, event: object) -> None:
        if isinstance(event, Compacted):
            print(f"compacted: {event.before} messages became {event.after}", flush=True)


def agent(llm: Any, state: StateFolder, approve: Callable[[ToolCall], bool | str] | None, max_steps: int) -> Run:
    return composable_loop(
        llm=llm,
        task=TASK,
        tools=tools(state.contacts),
        hooks=[
            CheckpointHook(state.run),
            ThresholdCompactHook(compact_chain(Prune(keep=2), Truncate(keep=2))),
            ApprovalHook(approve),
            SayCompacted(),
        ],
        system_prompt=INSTRUCTIONS,
        max_steps=max_steps,
        resume=state.run if state.stop_reason is not None else None,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    scripted = MockLLMBackend(scripted_model, capabilities=Capabilities(context_window=MOCK_WINDOW))
    llm = model_for(options, PROGRAM, scripted)
    try:
        with StateFolder(Path(options.dir)) as state:
            if opened(state, options):
                with agent(llm, state, approver(yes=options.yes), options.max_steps) as run:
                    show(run)
                conclude(run, state, options)
    except (LoopletError, OSError) as error:
        sys.exit(f"{PROGRAM}: {error}")


def parsed(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(prog=PROGRAM, description="Clean up a table of contacts; a person approves deletions.")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--clean", action="store_true", help="remove what earlier runs left, then begin")
    begin.add_argument("--resume", action="store_true", help="go on with the run that was interrupted or waits")
    parser.add_argument("--yes", action="store_true", help="approve every deletion")
    parser.add_argument("--dir", default="data_agent_state", help="the state folder (default: ./%(default)s)")
    add_run_options(parser, max_steps=40)
    return parser.parse_args(arguments)


def opened(state: StateFolder, options: Namespace) -> bool:
    """Bring the state folder to where the run begins or goes on, and say so. False: there is nothing to do."""
    reason = state.stop_reason
    if options.resume and reason == "done":
        print(f"{PROGRAM}: the run in {state.path} is finished; --clean begins anew")
        return False
    if options.clean:
        print(f"{PROGRAM}: removed {', '.join(map(str, state.wipe())) or 'nothing: there was no earlier state'}")
    elif options.resume:
        going_on = f"going on with the run in {state.path} ({reason})"
        print(f"{PROGRAM}: {going_on if reason else f'there is no run in {state.path}; a new one starts'}")
    elif state.used:
        print(f"{PROGRAM}: a new run starts; the earlier one ({reason}) is now in {state.put_aside()}")
        instead = "" if reason in (None, "done") else "--resume would have gone on with it, "
        print(f"{PROGRAM}: {instead}--clean would have removed it")
    state.prepare()
    sys.stdout.flush()
    return True


def approver(*, yes: bool) -> Callable[[ToolCall], bool | str] | None:
    """Who is asked about deletions: nobody with --yes, the person at the terminal, or later (None) whoever resumes."""
    if yes:
        return lambda call: True  # noqa: ARG005  # whatever it deletes
    return ask if sys.stdin.isatty() and sys.stdout.isatty() else None


def ask(call: ToolCall) -> bool | str:
    """Anything but a yes is a no, and its reason."""
    try:
        answer = input(f"⏸ delete rows {call.args['ids']} because {call.args['reason']!r}? [y/N or why not] ").strip()
    except EOFError:
        return False
    return answer.lower() in ("y", "yes") or (answer if len(answer) > 1 else False)


def conclude(run: Run, state: StateFolder, options: Namespace) -> None:
    """The last line, and the exit status."""
    result = run.result
    if result.status == "completed":
        print(f"{PROGRAM}: finished in {len(result.steps)} steps; the table is {state.contacts.path}")
    elif result.status == "paused":
        call = waiting_call(run)
        print(f"{PROGRAM}: {call} waits for approval. To approve it and go on:")
        print(f"  {command(options, '--yes')}")
        sys.exit(_WAITING_STATUS)
    else:
        sys.exit(f"{PROGRAM}: not finished: {how_it_ended(result)}. To go on:\n  {command(options)}")


def waiting_call(run: Run) -> str:
    call = run.state.pending_approval if isinstance(run.state, DefaultState) else None
    return f"{call.tool}({', '.join(f'{name}={value!r}' for name, value in call.args.items())})" if call else "a call"


def command(options: Namespace, *more: str) -> str:
    """The command line that goes on with this run, with what was said for it."""
    words = ["python", "-m", "looplet.examples.data_agent", "--resume", *more]
    usual = vars(parsed([]))
    for name in ("dir", "max_steps", "max_tokens", "model"):
        if getattr(options, name) != usual[name]:
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return shlex.join([*words, "--mock"] if options.mock else words)


if __name__ == "__main__":
    main()
