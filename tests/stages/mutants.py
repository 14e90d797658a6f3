"""Mutants of the stages: the sink's halves of the rules (guard, ledger, fence), the reader's, and the census.

As in ``tests.core.mutants``; the tests that notice are those of this folder. One without any is noticed by random
histories alone (``tests.simulation.mutants``).
"""

from __future__ import annotations

from stream import look_ups, push, resync
from stream.absence import Absence
from stream.core.census import Census
from stream.join import Join
from stream.look_ups import LookUps
from stream.poll import Reader
from stream.push import Push
from tests.core.mutants import mutant

MUTANTS = [
    mutant(
        "A5 guard",
        Push._guard,
        "if any(seen.fields.get(field) != command.base.get(field)",
        "if any(False",
        "test_push.TestUpdates.test_another_value_than_the_base_is_stale",
    ),
    mutant(
        "A7 look-up",
        Push._look_up,
        "if job.note is None or job.note.number <= command.sure:",
        "if True:",
        "test_push.TestCreateOnce.test_a_crash_after_the_note_looks_before_it_creates",
    ),
    mutant(
        "A7 settle",
        LookUps.look,
        "if left > 0:",
        "if False:",
        "test_push.TestCreateOnce.test_what_is_not_found_is_believed_only_when_nothing_can_arrive_any_more",
    ),
    mutant(
        "C11",
        LookUps.look,
        'if traits.look_up == "none":',
        "if False:",
        "test_push.TestCreateOnce.test_without_any_look_up_doubt_is_told_to_a_person",
    ),
    mutant(
        "C11 two",
        LookUps._resembling,
        "if len(same) == 1:",
        "if same:",
        "test_push.TestC11RecordsWithoutAMarker.test_two_are_in_doubt",
    ),
    mutant(
        "A7 pre-image",
        Push._guard,
        "before = note.before if begun and note is not None else None",
        "before = None",
        "test_push.TestUpdates.test_after_a_lost_answer_the_first_pre_image_comes_back",
    ),
    mutant(
        "A7 ended",
        Push._answer,
        "elif _ended(job.command, receipt):",
        "elif False:",
        "test_push.TestUpdates.test_one_that_ended_without_a_write_is_over",
    ),
    mutant(
        "A7 missing",
        push._ended,
        '(*ENDED, "missing")',
        "ENDED",
        "test_push.TestRemovals.test_one_that_was_missing_is_not_removed_when_it_comes_back",
    ),
    mutant(
        "A7 undone",
        Push._answer,
        "elif job.undone:",
        "elif False:",
        "test_push.TestUpdates.test_what_surely_was_not_written_leaves_no_beginning",
    ),
    mutant(
        "A8 guard",
        Push._guard,
        "job.since = note.guard_at if begun and note is not None else None",
        "job.since = None",
        "test_push.TestUpdates.test_after_a_lost_answer_a_stale_receipt_names_the_guard",
    ),
    mutant(
        "A10 fence",
        look_ups.later,
        "command.number < note.number or",
        "False and",
        "test_push.TestUpdates.test_an_older_number_than_the_ledger_has_is_superseded",
    ),
    mutant(
        "C1 census",
        Census.complete,
        "and len(mark.sources) == mark.of",
        "",
        "test_join.test_nothing_is_created_before_every_partition_of_both_types_was_counted",
    ),
    mutant(
        "C1 life",
        Census.hear,
        "if counted.life != self.life:",
        "if False:",
        "test_resync.test_marks_of_what_was_read_before_the_loss_open_nothing",
    ),
    mutant(
        "C1 rows",
        Census.complete,
        "if self.life and ROWS not in whole:",
        "if False:",
        "test_resync.test_after_a_loss_nothing_is_created_before_all_was_told_and_read_anew",
    ),
    mutant(
        "C1 told",
        Join._resync,
        "message.life == unit.loss.at",
        "True",
        "test_resync.test_the_end_of_a_sweep_before_the_loss_opens_nothing",
    ),
    mutant(
        "C1 loss",
        Join._census,
        "if census.life != unit.loss.at:",
        "if False:",
        "test_resync.test_after_a_loss_nothing_is_created_before_all_was_told_and_read_anew",
    ),
    mutant(
        "C5 forgotten",
        look_ups.forgotten,
        'if command.kind != "create" or not loss.at or',
        "if True or",
        "test_push.TestALogThatWasSetBack.test_a_create_looks_for_its_record_first",
    ),
    mutant(
        "C8 lost",
        look_ups.forgotten,
        "forgotten=not known",
        "forgotten=False",
        "test_push.TestALogThatWasSetBack.test_what_that_asked_for_is_known_of_a_command_that_is_older_alone",
    ),
    mutant(
        "C8 lost key",
        Push._write,
        "forgotten=job.again and",
        "forgotten=False and",
        "test_push.TestALogThatWasSetBack.test_the_same_where_the_system_answers_a_key_that_it_has_seen",
    ),
    mutant(
        "C11 decided",
        look_ups.forgotten,
        "command.sure > loss.at or ",
        "",
        "test_push.TestALogThatWasSetBack.test_nor_what_a_person_decided_since",
    ),
    mutant(
        "I8 anew",
        Reader._state,
        "anew = max(state.anew, unit.loss.at)",
        "anew = state.anew",
        "test_resync.test_after_a_loss_everything_is_read_and_told_although_nothing_looks_new",
    ),
    mutant(
        "I8 on its way",
        Reader.read,
        "if self._state(unit).anew != state.anew:",
        "if False:",
        "test_poll.test_a_page_that_was_on_its_way_when_all_was_to_be_read_anew_is_of_no_use",
    ),
    mutant(
        "B6 sweep",
        resync.go_on,
        "left = sweep.left if more else sweep.left[1:]",
        "left = sweep.left[1:]",
        "test_resync.test_once_a_day_every_row_is_told_a_few_at_a_time",
    ),
    mutant(
        "I8 plan",
        Reader._state,
        "if (state.plan, state.anew) == (self._plan, anew):",
        "if state.anew == anew:",
        "test_poll.test_another_plan_reads_everything_again",
    ),
    mutant(
        "I8 expired",
        Reader.read,
        "if state.cursor is None:",
        "if True:",
        "test_poll.test_a_cursor_of_no_use_means_from_the_beginning",
    ),
    mutant(
        "I8 order",
        Reader.obey,
        "unit.put(DIGEST + ref.encode(), None)",
        "pass",
        "test_poll.test_a_record_that_was_written_elsewhere_is_published_again",
    ),
    mutant(
        "D2 absent twice",
        Absence.look,
        "if one[0] not in once)",
        "if False)",
        "test_absence.test_a_record_that_is_missing_twice_is_gone_and_told_once",
    ),
    mutant(
        "D2 absent apart",
        Absence.look,
        "if at + APART <= self._clock()",
        "if True",
        "test_absence.test_the_second_look_is_apart_from_the_first",
    ),
    mutant(
        "D2 absent alone",
        Absence.look,
        "there.append(id)",
        "missing.append((id, asked_at))",
        "test_absence.test_what_is_there_and_not_listed_is_not_gone_and_is_news_when_it_is_listed_again",
        "test_absence.test_what_came_back_between_two_looks_is_not_gone",
    ),
    mutant(
        "D2 absent whole",
        Absence.saw,
        "if page.whole is None:",
        "if False:",
        "test_absence.test_what_changed_since_is_no_whole_list",
    ),
    mutant(
        "I13 alarms",
        Join.load,
        "for key, at in unit.scan(WAKE)",
        "for key, at in ()",
        "test_join.test_alarms_are_kept_with_the_rows_and_learnt_anew_after_a_start",
    ),
]
