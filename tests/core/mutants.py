"""Mutants: each rule of the core turned off, one at a time.

A mutant is one function with a few of its words replaced; while it is ``at_large``, everybody who calls the function
meets the mutant, and the product has no switch for it. Each names the tests that must notice. One whose words are
not in its function any more is an error: whoever rewrites a rule rewrites its mutant.

Not here, because the core has no part in them, or because one row alone does not show them:

    A5, A7, A10   the sink's halves (guard, ledger, fence) are in ``stream/push.py``: tests/stages/test_push.py
    C11           whether a record is ours is judged in ``stream/push.py``, too: tests/stages/test_push.py
    A3, A4, C2    several at once (a reading held, an answer lost, a late duplicate): tests/simulation
    D3, B6        how a component heals after a rollback: tests/simulation
"""

from __future__ import annotations
import __future__

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent
from types import FunctionType
from typing import Any

from msgspec import Struct

from stream.core import (
    birth,
    brake,
    conditions,
    creating,
    damping,
    deleting,
    elements,
    index,
    offers,
    orders,
    proposing,
    reading,
    references,
    rosters,
    seeking,
    versions,
    waking,
    writing,
)
from stream.core.flows import View
from stream.core.turn import Turn


class Mutant(Struct, frozen=True):
    """Rule, the function it stands in, its words, what they become, and the tests that notice."""

    rule: str
    function: Any
    words: str
    become: str
    killers: tuple[str, ...]

    @contextmanager
    def at_large(self) -> Iterator[None]:
        """Let everybody meet the mutant; the function itself is back afterwards."""
        function: FunctionType = self.function
        code = function.__code__
        function.__code__ = self._code()
        try:
            yield
        finally:
            function.__code__ = code

    def _code(self) -> Any:
        source = dedent(inspect.getsource(self.function))
        if source.count(self.words) != 1:
            raise LookupError(f"{self.rule}: {self.function.__qualname__} has not one {self.words!r}")
        flags = __future__.annotations.compiler_flag
        made: dict[str, Any] = {}
        text = source.replace(self.words, self.become)
        names = vars(sys.modules[self.function.__module__])
        exec(compile(text, f"<{self.rule}>", "exec", flags), names, made)  # our own source
        return made[self.function.__name__].__code__


def mutant(rule: str, function: Any, words: str, become: str, *killers: str) -> Mutant:
    return Mutant(rule, function, words, become, killers)


MUTANTS = [
    mutant(
        "A1",
        reading.fresh,
        "seen.read_at > row.written_at + lag",
        "True",
        "test_reading.TestA1Freshness.test_a_stale_replica_after_our_write_is_no_edit",
    ),
    mutant(
        "A2",
        writing.plan,
        "if value == row.remote.get(field):",
        "if False:",
        "test_writing.test_a2_what_the_record_holds_already_is_not_written",
    ),
    mutant(
        "A3",
        reading.hold,
        "row.held = held if len(held) <= HELD else (held[0], *held[2:])",
        "pass",
        "test_reading.TestA3OneWriteInFlight.test_an_edit_read_meanwhile_is_kept_for_the_receipt",
    ),
    mutant(
        "A3 echo",
        reading._was_us,
        "return bool(value == want and",
        "return bool(False and",
        "test_reading.TestA3OneWriteInFlight.test_a_held_reading_of_our_write_is_no_edit",
    ),
    mutant(
        "A4",
        writing._done,
        "if before is not None:",
        "if False:",
        "test_writing.test_a4_an_edit_in_the_pre_image_keeps_its_own_time",
    ),
    mutant(
        "A4 held",
        writing._until,
        "order(seen) < order(limit)",
        "False",
        "test_writing.test_a4_an_edit_in_a_held_reading_keeps_its_own_time",
    ),
    mutant(
        "A5 base",
        writing.plan,
        "row.remote.get(field) for field in dirty",
        "turn.value(field) for field in dirty",
        "test_writing.test_a2_only_what_is_dirty_is_written",
    ),
    mutant(
        "A6",
        reading.show,
        "None if cell.version == version else version",
        "None",
        "test_writing.test_a6_after_done_the_record_carries_the_version_that_was_written_and_no_newer_one",
    ),
    mutant(
        "A6 others",
        writing._echo,
        "if newest:",
        "if False:",
        "test_writing.test_a6_other_fields_of_the_answer_are_read",
    ),
    mutant(
        "A7 number",
        writing.wake,
        "replace(write, due=0)",
        "replace(write, due=0, number=turn.number())",
        "test_writing.TestAttempts.test_retry_waits_and_repeats_under_the_same_number",
    ),
    mutant(
        "A8",
        reading._was_us,
        "seen.by_us is True or alike(value, want)",
        "False",
        "test_writing.TestA8WasItUs.test_a_near_form_of_what_we_wanted_is_ours_after_a_lost_answer",
    ),
    mutant(
        "A8 newer",
        reading._was_us,
        "seen.read_at > since and",
        "True and",
        "test_writing.TestA8WasItUs.test_what_was_read_before_the_guard_is_not_that_write",
    ),
    mutant(
        "A9",
        reading.apply,
        "max(edited_at(seen), floor)",
        "edited_at(seen)",
        "test_writing.test_a9_what_was_typed_over_our_write_is_newer_than_it",
    ),
    mutant(
        "A10",
        writing.receive,
        'if receipt.outcome == "retry":',
        'if receipt.outcome in ("retry", "superseded"):',
        "test_writing.test_a10_a_superseded_write_is_issued_again_under_a_new_number",
    ),
    mutant(
        "A11",
        writing._refused,
        "in named or write.want:",
        "in write.want:",
        "test_writing.TestA11RejectedFields.test_a_refused_field_is_set_aside_and_the_others_are_written",
    ),
    mutant(
        "A11 fixed",
        birth.by_create,
        "field in turn.fact.fixed and",
        "False and",
        "test_creating.TestB2Birth.test_a_field_that_shows_something_of_its_own_is_no_edit",
    ),
    mutant(
        "A12",
        damping.waits,
        "known.not_before > turn.now",
        "False",
        "test_damping.TestA12Damping.test_two_rewriters_slow_down",
    ),
    mutant(
        "A13",
        elements.complete,
        "else None",
        "else remote[field]",
        "test_elements.TestA13Sets.test_what_is_missing_in_a_reading_was_removed",
    ),
    mutant(
        "A13 unread",
        elements.complete,
        "remote[field] if seen.fields.get(name) is not None else None",
        "None",
        "test_elements.TestA13Sets.test_of_a_list_that_is_none_a_person_is_told_and_nothing_is_taken_for_removed",
    ),
    mutant(
        "A13 memory",
        elements.forget,
        "not cell.newer and",
        "True and",
        "test_elements.TestForgetting.test_an_element_that_was_refused_is_remembered",
    ),
    mutant(
        "A13 in flight",
        elements.forget,
        "and field not in written",
        "",
        "test_elements.TestForgetting.test_not_while_it_is_being_written",
    ),
    mutant(
        "A13 bound",
        elements.forget,
        "place >= KEPT or time < now - MONTH",
        "False",
        "test_elements.TestForgetting.test_a_row_remembers_so_many",
        "test_elements.TestForgetting.test_a_removal_is_remembered_until_it_is_a_month_old",
    ),
    mutant(
        "A13 old",
        reading.read,
        "whole(field) not in known",
        "True",
        "test_elements.TestForgetting.test_what_was_removed_and_forgotten_does_not_come_back_with_an_old_reading",
    ),
    mutant(
        "A14",
        reading._untouched,
        "if was == now else now",
        "if False else now",
        "test_fields.TestA14Groups.test_a_part_in_the_systems_own_form_means_what_it_meant",
    ),
    mutant(
        "B1",
        versions.mint,
        "max(time, over.time + TICK)",
        "time",
        "test_reading.TestB1Minting.test_an_answer_is_newer_than_its_question_whatever_the_clocks_say",
    ),
    mutant(
        "B2 empty",
        versions.born,
        "NULL if empty else Version",
        "Version",
        "test_creating.TestB2Birth.test_the_empty_field_of_a_younger_record_erases_nothing",
    ),
    mutant(
        "B2 echo",
        birth.by_create,
        "seen is not None and message.echo",
        "False",
        "test_creating.TestB2Birth.test_a_shortened_value_is_the_normal_form_of_ours",
    ),
    mutant(
        "C8 claimed",
        birth.by_create,
        "elif message.claimed:",
        "elif False:",
        "test_creating.TestC8Adoption.test_of_a_claim_to_an_origin_that_forgot_the_later_time_decides",
    ),
    mutant(
        "B3",
        offers._send,
        "if source != end.edge",
        "if True",
        "test_offers.test_b3_what_came_over_a_link_does_not_go_back_over_it",
    ),
    mutant(
        "B3 repair",
        offers.take,
        "older.append(field)",
        "pass",
        "test_offers.test_b3_an_older_offer_is_answered_with_the_newer_value",
    ),
    mutant(
        "B3 mapped",
        seeking.settle,
        "if anew and changed:",
        "if False:",
        "test_flows.TestPlanChanges.test_a_field_that_was_only_read_is_offered_once_it_is_mapped",
    ),
    mutant(
        "B4",
        reading.edit,
        "carried=version)",
        "carried=None)",
        "test_reading.TestB4LosingEdits.test_an_edit_older_than_the_register_is_told_and_overwritten",
    ),
    mutant(
        "B5",
        versions.lost_unseen,
        "return lost.version.time >= 0",
        "return False",
        "test_offers.test_b5_a_displaced_edit_is_kept_among_the_conflicts",
    ),
    mutant(
        "B6",
        waking._resync,
        "turn.row.plan = 0",
        "pass",
        "test_linking.test_b6_a_resync_tells_all_of_it_again",
    ),
    mutant(
        "B7",
        offers._fuller,
        "if ours == theirs:",
        "if False:",
        "test_fields.TestB7LessSaysNothingNew.test_at_first_contact_the_fuller_value_stays",
    ),
    mutant(
        "B7 parts",
        offers._fuller,
        "if one == other else",
        "if False else",
        "test_fields.TestB7LessSaysNothingNew.test_of_a_group_each_part_that_is_alike",
    ),
    mutant(
        "B8",
        reading.edited_at,
        "seen.updated_at - seen.ahead",
        "seen.updated_at",
        "test_reading.TestB8Clocks.test_an_edit_is_dated_by_our_clock",
    ),
    mutant(
        "B8 first",
        reading.changed_at,
        "row.updated_at - row.ahead",
        "row.updated_at",
        "test_reading.TestB8Clocks.test_so_is_a_value_at_first_contact",
    ),
    mutant(
        "B8 alive",
        reading.known,
        "row.updated_at - row.ahead",
        "row.updated_at",
        "test_reading.TestB8Clocks.test_so_is_the_last_time_that_a_record_was_there",
    ),
    mutant(
        "C1",
        View.open,
        "return self.counted.issuperset(types)",
        "return True",
        "test_creating.test_the_gate_is_shut_until_both_types_were_read",
        "test_matching.test_c1_an_index_is_silent_while_the_gate_is_shut_and_looks_again",
    ),
    mutant(
        "C2",
        proposing.accepted,
        '_refuse(turn, end, message, "given up")',
        "pass",
        "test_linking.TestC2OnlySideAProposes.test_an_accept_that_nobody_waits_for_is_taken_back",
    ),
    mutant(
        "C2 early",
        proposing.accepted,
        "edge.reason == EARLY",
        "False",
        "test_elements.TestA13Sets.test_what_was_offered_before_the_accept_came_is_said_again",
    ),
    mutant(
        "C2 number",
        proposing.declined,
        'edge.number == message.number and edge.state in ("linked", "proposed")',
        'edge.state in ("linked", "proposed")',
        "test_linking.TestC2OnlySideAProposes.test_a_refusal_undoes_just_the_link_with_its_number",
    ),
    mutant(
        "C3",
        index._answer,
        "index.lock is not None and index.lock[0] != claim.sender",
        "False",
        "test_matching.TestC3KeyLock.test_nobody_has_it_and_the_lock_is_given_once",
    ),
    mutant(
        "C4",
        proposing._objection,
        '("linked", "severed")',
        "()",
        "test_linking.TestC4OneCounterpart.test_a_linked_record_refuses_a_second_claimant",
    ),
    mutant(
        "C4 again",
        seeking._go_on,
        "anew or turn.row.remote != turn.before",
        "False",
        "test_creating.TestC9RefusedCreates.test_what_is_refused_altogether_is_tried_again_when_the_record_changes",
    ),
    mutant(
        "C4 doubt",
        index._answer,
        "(*there, *rivals)",
        "there",
        "test_index.TestC4Doubt.test_of_two_for_one_neither_is_taken_until_one_goes",
    ),
    mutant(
        "C4 resolved",
        index._resolved,
        "return [Mail(",
        "[Mail(",
        "test_index.TestC4Doubt.test_of_two_for_one_neither_is_taken_until_one_goes",
    ),
    mutant(
        "C4 late",
        proposing.nudged,
        "elif message.key and edge",
        "elif False and edge",
        "test_index.TestC4Doubt.test_a_request_of_before_the_doubt_links_nobody_by_guess",
    ),
    mutant(
        "C4 next",
        proposing.found,
        "message.taken and edge.position + 1",
        "False and edge.position + 1",
        "test_index.TestSeveralCriteria.test_who_is_linked_by_one_value_leaves_the_next_one_open",
    ),
    mutant(
        "C4 none",
        seeking.free,
        "elif edge.reason == TAKEN:",
        "elif False:",
        "test_index.TestSeveralCriteria.test_nothing_is_created_beside_one_that_is_taken",
    ),
    mutant(
        "C4 later",
        seeking._go_on,
        "if anew or moved(turn, end)",
        "if moved(turn, end)",
        "test_index.TestSeveralCriteria.test_a_match_that_is_configured_later_finds_who_waits",
    ),
    mutant(
        "C3 all",
        proposing._try_again,
        'key=(*keys_of(end, turn.row.remote), "")[0]',
        "key=edge.key",
        "test_index.TestSeveralCriteria.test_a_second_attempt_locks_all_values_again",
    ),
    mutant(
        "C12",
        index._enter,
        "sum(place in places for places in members.values()) >= MOST",
        "False",
        "test_index.TestC12Crowds.test_work_and_bytes_are_bounded",
    ),
    mutant(
        "C12 queue",
        index.decide_index,
        "index.queue = index.queue[:MOST]",
        "pass",
        "test_index.TestC12Crowds.test_those_who_wait_are_bounded",
    ),
    mutant(
        "C12 again",
        proposing.found,
        "turn.again(end)",
        "pass",
        "test_index.TestC12Crowds.test_when_it_empties_the_last_two_find_each_other",
    ),
    mutant(
        "C5",
        creating.attach,
        "owed=tuple(later)",
        "owed=()",
        "test_creating.test_c5_an_edit_meanwhile_is_offered_after_the_link",
    ),
    mutant(
        "C6",
        seeking.hesitates,
        '"claiming"',
        '"none"',
        "test_linking.TestC6MarkedRecords.test_a_record_with_our_marker_claims_its_origin_and_does_nothing_else",
    ),
    mutant(
        "C6 again",
        reading._settled,
        "if edge.state in SEEKING:",
        "if False:",
        "test_linking.TestC6MarkedRecords.test_it_claims_again_when_its_origin_knows_nothing_of_the_link_any_more",
    ),
    mutant(
        "C6 early",
        creating.recognise,
        'edge.state == "creating"',
        "False",
        "test_creating.TestC6Claims.test_while_the_create_is_in_flight_a_claim_is_not_answered",
    ),
    mutant(
        "C7",
        rosters.begin,
        "if end.asks and fresh:",
        "if False:",
        "test_rosters.TestC7Newcomers.test_the_record_that_is_being_created_is_not_created_back",
    ),
    mutant(
        "C7 when it asked",
        rosters.decide_roster,
        "oldest > ticket > 0",
        "False",
        "test_rosters.TestC7Newcomers.test_a_stranger_waits_until_what_was_under_way_when_it_asked_is_over",
    ),
    mutant(
        "C7 first",
        rosters.held,
        "return not end.roster or",
        "return True or",
        "test_rosters.TestC7Origins.test_the_name_is_in_the_roster_before_the_command_is_sent",
    ),
    mutant(
        "C7 registers",
        seeking.settle,
        "    changed, anew = row.plan, register(turn)\n    if hesitates(turn):\n        return\n",
        "    if hesitates(turn):\n        return\n    changed, anew = row.plan, register(turn)\n",
        "test_rosters.TestC7Newcomers.test_it_registers_before_it_is_let_in_and_answers_no_proposal",
    ),
    mutant(
        "C7 leaves",
        rosters.leave,
        "if end.roster and",
        "if False and",
        "test_rosters.test_what_waits_for_a_required_reference_is_not_in_the_roster",
    ),
    mutant(
        "C7 repaired",
        waking._resync,
        "rosters.repair(turn, end)",
        "pass",
        "test_rosters.TestC7Origins.test_a_resync_puts_the_roster_right",
    ),
    mutant(
        "C7 accepted",
        waking._resync,
        "and edge.locks:",
        "and False:",
        "test_rosters.TestC7Origins.test_an_accept_that_was_lost_is_asked_for_again",
    ),
    mutant(
        "C7 full",
        rosters.decide_roster,
        "or len(open_) < ROOM",
        "or True",
        "test_rosters.TestC7Origins.test_a_full_roster_says_nothing_and_is_asked_again_later",
    ),
    mutant(
        "C11",
        creating.receive,
        'case "unknown":',
        'case "never":',
        "test_rosters.TestC11Doubt.test_a_create_in_doubt_is_told_and_not_repeated",
    ),
    mutant(
        "C11 another's",
        proposing.declined,
        "and end.roster in edge.locks",
        "and False",
        "test_rosters.TestC11Doubt.test_a_record_that_was_found_and_is_another_ones_leaves_the_doubt",
    ),
    mutant(
        "C11 sure",
        Turn.move,
        "(old.told, old.sure)",
        "(old.told, 0)",
        "test_rosters.TestC11Doubt.test_or_says_that_there_is_none",
    ),
    mutant(
        "C8",
        birth.by_create,
        "alike(value, want.value) if first is None",
        "value == want.value if first is None",
        "test_creating.TestC8Adoption.test_what_is_found_later",
    ),
    mutant(
        "C9",
        creating.receive,
        "if refused and len(refused) < len(edge.want):",
        "if False:",
        "test_creating.TestC9RefusedCreates.test_refused_fields_are_left_out",
    ),
    mutant(
        "C10",
        creating.recognise,
        "and edge.peer != sender",
        "and False",
        "test_linking.TestC6MarkedRecords.test_a_copy_is_told_and_never_linked",
    ),
    mutant(
        "C10 late",
        proposing.declined,
        'edge.state == "claiming" and message.why == "copy"',
        'edge.state == "claiming"',
        "test_linking.TestC6MarkedRecords.test_a_late_refusal_of_a_former_link_makes_no_copy_of_it",
    ),
    mutant(
        "D1",
        references.answer,
        "or told.number <= known.number",
        "",
        "test_references.TestD1References.test_a_late_answer_does_not_undo_a_newer_one",
    ),
    mutant(
        "D1 required",
        creating.create,
        "if reason:",
        "if False:",
        "test_references.TestD1References.test_a_required_reference_holds_back_the_create",
    ),
    mutant(
        "D1 told",
        references.tell,
        "turn.row.askers.get(edge, ())",
        "()",
        "test_references.TestD1References"
        ".test_who_asked_is_told_when_the_counterpart_is_lost_and_when_it_is_another_one",
    ),
    mutant(
        "D1 ended",
        references.translate,
        "(twin.lost and not ended)",
        "twin.lost",
        "test_elements.TestListsOfReferences.test_a_removed_reference_is_removed_also_when_its_twin_was_lost",
    ),
    mutant(
        "D2",
        deleting._remove,
        "if newer:",
        "if False:",
        "test_deleting.TestD2NewerWins.test_a_newer_value_keeps_the_copy",
    ),
    mutant(
        "D2 time",
        deleting._leave,
        "row.deletion.alive_at if row.deletion is not None else known(row)",
        "known(row)",
        "test_deleting.TestD2NewerWins.test_a_deletion_on_request_passes_on_the_original_time",
        "test_deleting.TestD2NewerWins.test_also_when_the_poller_sees_it_before_the_receipt",
    ),
    mutant(
        "D2 shown",
        deleting._newer,
        "shown is not None and version <= shown",
        "False",
        "test_deleting.TestD2Time.test_what_the_record_showed_is_not_newer",
    ),
    mutant(
        "D2 offered",
        deleting._shown,
        "cell.carried or cell.version",
        "cell.version",
        "test_deleting.TestD2Time.test_what_it_was_only_offered_was_not_seen",
    ),
    mutant(
        "D2 second",
        deleting._newer,
        "if part < COARSE",
        "if False",
        "test_deleting.TestD2Time.test_a_value_of_the_same_whole_second_is_kept",
    ),
    mutant(
        "D2 policy",
        deleting.detached,
        'end.removal == "keep"',
        "False",
        "test_deleting.TestD2Policies.test_keep_severs_the_link_and_says_so",
        "test_deleting.TestD2Policies.test_each_flow_has_its_own",
    ),
    mutant(
        "D2 pause",
        deleting._held,
        "if not patience or",
        "if True or",
        "test_brake.TestD2Leave.test_a_record_that_is_gone_asks_and_stays_linked",
    ),
    mutant(
        "D2 brake",
        brake._judge,
        "brake.held_at or",
        "False or",
        "test_brake.TestD2Brake.test_many_are_held_all_of_them_and_told_of_once",
    ),
    mutant(
        "D2 share",
        brake._counted,
        "links // SHARE",
        "0",
        "test_brake.TestD2Brake.test_of_a_large_type_two_in_a_hundred_may_go",
    ),
    mutant(
        "D2 window",
        brake._counted,
        "if at > now - WINDOW",
        "if True",
        "test_brake.TestD2Brake.test_those_of_long_ago_do_not_count",
    ),
    mutant(
        "D2 cancel",
        deleting._leave,
        'row.leave.verdict == "keep"',
        "False",
        "test_brake.TestD2Leave.test_a_person_keeps_its_copy",
    ),
    mutant(
        "D2 order",
        brake.decide_brake,
        "if at > max(brake.released_at, brake.cancelled_at)",
        "if True",
        "test_brake.TestD2Brake.test_an_order_said_twice_does_not_let_the_next_ones_go",
    ),
    mutant(
        "D2 twice",
        writing._missing,
        "row.missing_at and turn.now >= row.missing_at + TWICE",
        "True",
        "test_deleting.TestD2Evidence.test_one_miss_is_no_deletion",
    ),
    mutant(
        "D2 number",
        deleting.ending,
        "(edge.peer, edge.number) != (message.sender, message.number)",
        "edge.peer != message.sender",
        "test_deleting.TestD2Return.test_nor_does_one_of_a_link_that_never_was",
    ),
    mutant(
        "D2 once",
        deleting.ending,
        "message.number <= edge.ended",
        "False",
        "test_deleting.TestD2Return.test_a_link_that_is_over_does_not_end_again",
    ),
    mutant(
        "D2 over",
        creating.attached,
        "message.number <= edge.ended and",
        "False and",
        "test_deleting.TestD2Return.test_nor_is_it_brought_back_by_an_old_attach",
    ),
    mutant(
        "D2 free",
        proposing.declined,
        "seeking.look(turn, end)\n        enlist(turn, end, keys_of(end, turn.row.remote))",
        "seeking.look(turn, end)",
        "test_deleting.TestD2Return.test_whose_counterpart_is_gone_is_free_for_others",
    ),
    mutant(
        "D2 attach",
        creating.attached,
        'edge.state == "linked" and message.number < edge.number',
        "False",
        "test_deleting.TestD2Return.test_an_old_attach_does_not_make_the_link_older",
    ),
    mutant(
        "D2 judged",
        proposing._gone_too,
        "turn.row.writing is not None",
        "False",
        "test_deleting.TestD2Return.test_a_link_is_not_given_up_before_a_tombstone_is_judged",
    ),
    mutant(
        "D2 offers",
        proposing.offered,
        "if end is None or",
        "if end is None or turn.row.gone_at or",
        "test_deleting.TestD2Return.test_what_is_offered_before_a_tombstone_is_judged_is_taken",
    ),
    mutant(
        "D2 went",
        deleting.receive,
        "receipt.at or turn.now",
        "turn.now",
        "test_deleting.TestD2Return.test_a_removed_record_that_was_brought_back_before_we_heard_is_there",
    ),
    mutant(
        "D1 lost",
        references.answer,
        "not told.twin and not told.later",
        "not told.twin and bool(known.ref or known.lost)",
        "test_references.TestD1References.test_a_record_that_has_no_twin_any_more_is_not_asked_again",
    ),
    mutant(
        "D3",
        Turn.number,
        "max(self.row.last + 1, self.now)",
        "self.row.last + 1",
        "test_writing.test_d3_a_row_that_was_rolled_back_uses_none_of_its_numbers_again",
    ),
    mutant(
        "D4 read",
        proposing.offered,
        "or not turn.row.remote",
        "",
        "test_rosters.TestC7Newcomers.test_a_record_that_was_not_read_yet_asks_for_no_proposal",
    ),
    mutant(
        "D4",
        proposing.offered,
        "turn.mail(message.sender, Nudge(edge=end.peer_edge, sender=turn.key))",
        "pass",
        "test_offers.test_d4_an_offer_over_a_lost_link_makes_it_anew",
    ),
    mutant(
        "F1",
        orders.correct,
        "cell.version != order.over",
        "False",
        "test_orders.TestF1TheValueOfAPerson.test_it_is_not_taken_over_what_was_edited_since",
    ),
    mutant(
        "F1 now",
        orders.correct,
        "turn.now, cell.version",
        "0, cell.version",
        "test_orders.TestF1TheValueOfAPerson.test_it_is_an_edit_of_now_on_both_sides",
    ),
    mutant(
        "F2",
        orders.retry,
        "replace(cell, rejected=None)",
        "cell",
        "test_orders.TestF2TryingAgain.test_a_refused_field_is_written_once_more",
    ),
    mutant(
        "F2 links",
        orders.retry,
        'edge.state == "refused"',
        "False",
        "test_orders.TestF2TryingAgain.test_a_create_that_was_refused_is_made_once_more",
    ),
    mutant(
        "F3",
        orders.part,
        '(edge.state, edge.peer) != ("linked", order.peer)',
        'edge.state != "linked"',
        "test_orders.TestF3Parting.test_only_the_link_that_is_meant_is_ended",
    ),
    mutant(
        "F3 both",
        orders.part,
        "turn.mail(edge.peer, said)",
        "pass",
        "test_orders.TestF3Parting.test_both_records_stay_and_nothing_goes_between_them",
    ),
    mutant(
        "F6",
        waking.wake,
        "message.resync or message.early",
        "message.resync",
        "test_orders.TestF6APauseThatEnds.test_what_waits_for_its_time_goes_at_once",
    ),
    mutant(
        "F6 creates",
        waking._ends,
        " and not early",
        "",
        "test_orders.TestF6APauseThatEnds.test_so_does_a_create",
    ),
    mutant(
        "F4",
        orders.pair,
        "edge.state not in FREE",
        "False",
        "test_orders.TestF4Pairing.test_nobody_is_taken_from_his_counterpart_by_the_way",
    ),
    mutant(
        "F4 other side",
        proposing._objection,
        "message.key == PERSON",
        "False",
        "test_orders.TestF4Pairing.test_they_are_linked_whatever_they_match_by",
    ),
    mutant(
        "F5",
        proposing.found,
        'f"{end.edge}|{each}" not in turn.row.never',
        "True",
        "test_orders.TestF5Never.test_another_one_that_matches_is_found",
    ),
    mutant(
        "F5 mark",
        seeking.marked,
        " and not barred",
        "",
        "test_orders.TestF5Never.test_a_mark_does_not_link_them_again",
    ),
    mutant(
        "F5 claim",
        creating.claimed,
        'f"{end.edge}|{message.sender}" in turn.row.never',
        "False",
        "test_orders.TestF5Never.test_nor_does_a_claim_of_one_that_was_not_told",
    ),
    mutant(
        "F5 other side",
        proposing._objection,
        "barred or ",
        "",
        "test_orders.TestF5Never.test_a_proposal_of_a_barred_record_is_refused",
    ),
    mutant(
        "E1 left",
        conditions._leave,
        "turn.change(end, idle=True, reason=LEFT_ALONE)",
        "pass",
        "test_conditions.TestE1WhoTakesPart.test_a_linked_record_that_stops_meeting_it_is_left_alone_and_told_once",
    ),
    mutant(
        "E1 free",
        conditions._leave,
        "if edge is None or edge.state in FREE:",
        "if False:",
        "test_conditions.TestE1WhoTakesPart.test_what_does_not_meet_it_is_neither_created_nor_found",
    ),
    mutant(
        "E1 take",
        offers.take,
        "if turn.row.edges[end.edge].idle:",
        "if False:",
        "test_conditions.TestE1WhoTakesPart.test_a_linked_record_that_stops_meeting_it_is_left_alone_and_told_once",
    ),
    mutant(
        "E1 give",
        offers.send,
        "and not edge.idle",
        "",
        "test_conditions.TestE1WhoTakesPart.test_a_linked_record_that_stops_meeting_it_is_left_alone_and_told_once",
    ),
    mutant(
        "E1 catch up",
        conditions._return,
        "_ask_anew(turn, end, edge)",
        "pass",
        "test_conditions.TestE1WhoTakesPart.test_what_happened_meanwhile_is_caught_up_with",
    ),
    mutant(
        "E1 anew",
        proposing.proposed,
        "message.anew or ",
        "",
        "test_conditions.TestE1WhoTakesPart.test_what_happened_meanwhile_is_caught_up_with",
    ),
    mutant(
        "E1 claim",
        creating.recognise,
        "[] if idle else",
        "",
        "test_conditions.TestE1WhoTakesPart.test_a_claim_of_its_counterpart_is_answered_without_values",
    ),
    mutant(
        "E1 withdrawn",
        conditions._leave,
        "withdraw(turn, end, {*keys_of(end, turn.before), *keys_of(end, turn.row.remote)})",
        "pass",
        "test_conditions.TestE1WhoTakesPart.test_nobody_finds_a_record_that_left_under_its_old_name_or_its_new_one",
    ),
    mutant(
        "E1 deleted",
        deleting.detached,
        " or edge.idle or message.keep",
        "",
        "test_conditions.TestE1WhoTakesPart.test_deletions_do_not_pass_a_link_that_is_left_alone",
    ),
    mutant(
        "E1 unwritten",
        writing.plan,
        "turn.view.flows.written[turn.type]",
        "turn.view.flows.paths[turn.type]",
        "test_conditions.TestE1WhoTakesPart.test_a_field_that_is_only_read_is_never_written",
    ),
    mutant(
        "E2 give",
        offers.stated,
        "if lead.when is not None and not",
        "if False and not",
        "test_conditions.TestE2WhichFields.test_a_pair_holds_only_while_the_left_record_meets_its_condition",
    ),
    mutant(
        "E2 take",
        offers.take,
        "or whole(field) in closed",
        "",
        "test_conditions.TestE2WhichFields.test_a_pair_holds_only_while_the_left_record_meets_its_condition",
    ),
    mutant(
        "E2 on",
        conditions._guard,
        "if guard.name in edge.off and guard.name not in off",
        "if False",
        "test_conditions.TestE2WhichFields.test_when_it_comes_to_hold_the_newer_value_is_heard",
    ),
    mutant(
        "E3",
        references.unconnected,
        "if translate(turn, reference, each) is not None:",
        "if True:",
        "test_conditions.TestE3Connected.test_a_create_waits_for_one_of_its_connections",
    ),
]
"""All of them; a rule with several halves has one for each."""
