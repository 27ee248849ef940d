"""Mistakes that other agent loops made, and the test that would fail if we made them.

The table is read by people; what is checked is that every test it names exists.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

LESSONS = {
    # a loop that went before us
    "text results never reached the model, lists only as 'N items'": [
        ("looplet/_core/test_tool_turn.py", "test_string_and_list_results_reach_the_model_in_full")
    ],
    "break skipped teardown and checkpoints": [
        (
            "looplet/_core/test_loop.py",
            "test_break_out_of_an_unnamed_run_tears_it_down_at_once_without_the_garbage_collector",
        ),
        ("looplet/test_resume.py", "test_a_closed_run_goes_on_in_the_same_journal_with_its_budget"),
    ],
    "all calls of a turn ran before the first step was shown": [
        ("looplet/_core/test_loop.py", "test_calls_of_a_turn_run_as_the_consumer_advances")
    ],
    "six calls ran under max_steps=2": [("looplet/_core/test_loop.py", "test_one_turn_never_exceeds_the_budget")],
    "a string task crashed": [("looplet/_core/test_loop.py", "test_every_value_of_the_task_reaches_the_model")],
    "a stop in pre_dispatch was ignored": [
        ("looplet/_core/test_tool_turn.py", "test_stop_in_pre_dispatch_ends_the_run_before_the_call")
    ],
    "a person was asked twice": [
        ("looplet/hooks/test_permission.py", "test_a_handler_is_asked_once_and_its_answer_holds"),
        ("looplet/hooks/test_approval.py", "test_a_handler_answers_in_place"),
    ],
    "asking without a handler allowed": [
        ("looplet/hooks/test_permission.py", "test_asking_without_a_handler_is_a_denial")
    ],
    "approval crashed on list results": [
        ("looplet/test_laws.py", "test_a_list_result_does_not_trouble_an_approval_hook")
    ],
    "a rejected, invalid or failed done completed the run": [
        ("looplet/_core/test_loop.py", "test_a_done_with_wrong_arguments_is_not_a_completion"),
        ("looplet/_core/test_loop.py", "test_a_failing_done_is_not_a_completion"),
        ("looplet/_core/test_tool_turn.py", "test_a_denied_done_does_not_complete_the_run"),
        ("looplet/_core/test_tool_turn.py", "test_check_done_rejects_a_completion_with_a_reason_the_model_reads"),
    ],
    "the stop reason was guessed, and lost on disk": [
        ("looplet/test_laws.py", "test_a_run_finishes_exactly_once_however_it_ends"),
        ("looplet/test_laws.py", "test_a_datetime_result_does_not_stop_a_checkpointed_run"),
        ("looplet/test_resume.py", "test_a_closed_run_goes_on_in_the_same_journal_with_its_budget"),
    ],
    "replay exhaustion was swallowed": [
        ("looplet/trace/test_replay.py", "test_asking_for_more_than_was_recorded_is_a_mismatch_at_once"),
        ("looplet/test_laws.py", "test_a_replay_that_runs_out_leaves_the_loop_as_an_error"),
    ],
    "stale files stayed when a directory was used again": [
        (
            "looplet/trace/test_directory.py",
            "test_a_finished_trace_is_set_aside_and_removed_when_the_new_one_is_complete",
        )
    ],
    "resume lost steps and conversation": [
        ("looplet/test_resume.py", "test_killed_at_any_event_and_resumed_equals_uninterrupted")
    ],
    "resume restarted the budget": [
        ("looplet/test_resume.py", "test_a_closed_run_goes_on_in_the_same_journal_with_its_budget")
    ],
    "resume went on with finished and foreign runs": [
        ("looplet/test_resume.py", "test_a_finished_run_is_never_continued"),
        ("looplet/test_resume.py", "test_a_run_of_another_task_is_never_continued_and_nothing_is_lost"),
    ],
    "a datetime result killed a checkpointed run": [
        ("looplet/test_laws.py", "test_a_datetime_result_does_not_stop_a_checkpointed_run")
    ],
    "wrong argument types were accepted": [
        ("looplet/_core/test_validate.py", "test_a_value_that_does_not_fit_is_named_with_what_was_expected"),
        ("looplet/_core/test_loop.py", "test_failed_and_invalid_steps_count_against_the_budget"),
    ],
    "the parser failed on dirty replies": [
        ("looplet/_core/test_parse.py", "test_any_reply_becomes_calls_or_a_complaint_and_history_that_can_be_sent"),
        ("looplet/_core/test_parse.py", "test_one_call_is_found_in_every_shape"),
    ],
    "the summariser's own prompt overflowed": [
        ("looplet/hooks/test_compaction.py", "test_a_question_that_is_too_long_is_asked_in_smaller_parts"),
        ("looplet/hooks/test_compaction.py", "test_the_laws_of_compaction"),
    ],
    "the summariser doubled braces": [
        ("looplet/hooks/test_compaction.py", "test_braces_in_a_record_reach_the_model_as_they_are")
    ],
    "retries multiplied": [("looplet/backends/test_openai.py", "test_a_client_is_used_as_it_is")],
    "usage was never recorded": [
        ("looplet/backends/test_openai.py", "test_carries_text_usage_finish_reason_and_request_id")
    ],
    "wrappers dropped usage and options": [
        ("looplet/backends/test_adapter.py", "test_extra_settings_reach_a_generate_that_takes_them"),
        ("looplet/_core/test_loop.py", "test_usage_is_summed_and_each_step_holds_what_was_spent_for_it"),
        ("looplet/backends/test_adapter.py", "test_no_wrapper_drops_usage_or_settings"),
    ],
    "the async copy lacked features and blocked the event loop": [
        ("looplet/test_parity.py", "test_every_setting_is_in_the_table"),
        ("looplet/test_parity.py", "test_every_event_is_told"),
        ("looplet/_drivers/test_waves.py", "test_a_blocking_tool_leaves_the_event_loop_free"),
        ("looplet/_core/test_model_turn.py", "test_capabilities_are_looked_up_off_the_event_loop"),
        ("looplet/test_parity.py", "test_a_setting_has_its_effect"),
        ("looplet/test_parity.py", "test_every_hook_method_may_be_async_under_the_async_driver"),
        ("looplet/_drivers/test_waves.py", "test_a_blocking_backend_leaves_the_event_loop_free"),
    ],
    "documents showed what did not exist": [("docs/test_documents.py", "test_the_document_does_what_it_says")],
    # what a run must survive
    "a tool raises, exits, hangs, or returns anything at all": [
        ("looplet/test_told.py", "test_what_the_model_is_told_is_reviewed_text"),
        ("looplet/_core/test_tool_turn.py", "test_whatever_a_tool_raises_becomes_a_result"),
    ],
    "two calls with one id": [("looplet/_core/test_tool_turn.py", "test_two_calls_with_one_id_both_get_their_result")],
    "a truncated reply or stream": [
        ("looplet/_core/test_model_turn.py", "test_a_truncated_reply_never_becomes_a_call"),
        ("looplet/backends/test_openai_streaming.py", "test_a_stream_that_just_stops_is_cut_off"),
    ],
    "endless identical calls": [
        ("looplet/hooks/test_stagnation.py", "test_the_same_call_with_the_same_result_is_noted_then_stopped")
    ],
    "no connection, once or for ever": [
        ("looplet/_core/test_model_turn.py", "test_pythons_own_connection_errors_are_transient"),
        ("looplet/_core/test_model_turn.py", "test_retries_are_bounded_and_then_the_provider_is_at_fault"),
    ],
    "429 with Retry-After": [("looplet/_core/test_model_turn.py", "test_retry_after_is_obeyed")],
    "500, 413 and whatever else a server says": [
        ("looplet/backends/test_provider_errors.py", "test_servers_say_the_same_thing_in_many_words"),
        ("looplet/backends/test_provider_errors.py", "test_any_bytes_become_one_typed_error"),
    ],
    "malformed, double-encoded, empty and wrong-typed arguments": [
        ("looplet/_core/test_parse.py", "test_unusable_arguments_are_a_problem_and_history_stays_json"),
        ("looplet/_core/test_parse.py", "test_no_arguments_are_an_empty_object"),
    ],
    "a read-only directory": [
        ("looplet/trace/test_directory.py", "test_a_directory_that_cannot_be_written_is_an_error_at_the_start")
    ],
    "context overflow": [
        ("looplet/_core/test_model_turn.py", "test_context_overflow_compacts_and_goes_on_with_valid_pairs")
    ],
    "a hook raises": [("looplet/_core/test_model_turn.py", "test_a_hook_that_raises_stops_the_run_and_is_named")],
    "the consumer breaks, raises, or never comes back": [
        ("looplet/test_laws.py", "test_a_run_finishes_exactly_once_however_it_ends"),
        ("looplet/_core/test_loop.py", "test_a_named_run_goes_on_after_break_and_finishes_once"),
        ("looplet/test_laws.py", "test_a_dropped_run_ends_as_closed"),
    ],
    "cancelled during a request, during a call, between": [
        ("looplet/_drivers/test_waves.py", "test_cancelling_during_a_model_call_abandons_it"),
        ("looplet/_drivers/test_waves.py", "test_cancelling_during_a_call_ends_the_run_and_keeps_what_ran"),
        ("looplet/_drivers/test_waves.py", "test_cancelling_between_steps_ends_the_run_before_the_next_request"),
    ],
    "kill -9 anywhere": [
        ("looplet/test_resume.py", "test_killed_at_any_event_and_resumed_equals_uninterrupted"),
        ("looplet/test_resume.py", "test_results_of_a_wave_that_are_on_disk_are_not_run_again"),
        ("looplet/test_resume.py", "test_a_call_that_was_interrupted_is_reported_and_never_repeated"),
        ("looplet/trace/test_journal.py", "test_every_event_is_on_disk_before_the_next_one"),
    ],
    "a full disk": [
        ("looplet/trace/test_journal.py", "test_a_disk_that_fills_up_marks_the_trace_incomplete_and_warns_once"),
        ("looplet/trace/test_journal.py", "test_a_write_that_takes_only_a_part_is_gone_on_with"),
    ],
    "two processes on one trace": [
        ("looplet/trace/test_directory.py", "test_two_processes_never_write_one_trace_and_a_killed_one_frees_it")
    ],
    "a clock that jumps": [
        ("looplet/test_laws.py", "test_a_clock_that_jumps_changes_no_deadline"),
        ("looplet/_drivers/test_waves.py", "test_a_deadline_is_not_wall_time"),
    ],
}


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_tests_of_a_lesson_exist(lesson: str) -> None:
    for file, name in LESSONS[lesson]:
        assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8"), f"{file} has no {name}"
