"""A CancelToken may be used from anywhere, a signal handler included."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from looplet import CancelToken


def test_cancelling_may_interrupt_the_token_itself() -> None:
    """A signal handler runs in the thread it interrupts, which may hold the token's lock just then."""
    token = CancelToken()

    class Interrupting(str):
        __slots__ = ()

        def __hash__(self) -> int:  # taken while the token keeps the call's id
            token.cancel()
            return 0

    thread = threading.Thread(target=token.cancel_call, args=[Interrupting("c1")], daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert token.cancelled


@pytest.mark.skipif(sys.platform == "win32", reason="no signals between threads")
def test_a_signal_handler_ends_a_wait() -> None:
    token, main = CancelToken(), threading.get_ident()
    before = signal.signal(signal.SIGUSR1, lambda *_: token.cancel())
    try:
        threading.Thread(target=signal.pthread_kill, args=[main, signal.SIGUSR1]).start()
        assert token.wait(100)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_wait_is_ended_by_the_end_of_the_run_and_not_by_that_of_one_call() -> None:
    token = CancelToken()
    thread = threading.Thread(target=token.cancel_call, args=["c1"])
    thread.start()
    assert not token.wait(0.01)
    thread.join()
    threading.Thread(target=token.cancel).start()
    assert token.wait(100)
    assert token.wait(0)


def test_whoever_unsubscribed_hears_nothing() -> None:
    token, heard = CancelToken(), []
    token.subscribe(lambda: heard.append("a"))
    token.subscribe(lambda: heard.append("b"))()
    token.cancel()
    assert heard == ["a"]
