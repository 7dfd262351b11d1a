//! What every driver promises, wherever it keeps things: one list of tests for all places.

pub mod index;
pub mod place;
pub mod signer;
pub mod store;

/// Runs each test of the list below in `$place`.
macro_rules! keeps_the_contract {
    ($place:ty) => {
        $crate::contract::contract! { $place;
            index:
                an_empty_index_has_no_head_no_journal_and_no_rows,
                a_commit_is_read_back_whole,
                every_field_of_a_status_is_kept,
                texts_are_kept_to_the_letter,
                a_full_change_set_fits_one_commit,
                a_commit_under_a_stale_head_conflicts_and_changes_nothing,
                a_commit_that_fails_in_one_row_changes_no_other,
                one_of_many_commits_at_once_wins,
                the_journal_comes_in_order_and_within_its_limit,
                the_journal_is_read_past_a_thousand_change_sets,
                a_change_set_without_changes_and_texts_is_kept,
                rows_come_in_order_of_serial_and_within_their_limit,
                rows_are_listed_past_a_thousand,
                a_row_under_a_key_that_is_no_serials_is_an_error,
                issuers_do_not_see_each_other,
                a_scope_row_is_replaced_only_as_it_was_read,
                one_of_many_numbers_at_once_is_reserved;
            store:
                a_crl_is_read_back_with_its_label,
                a_shelf_is_replaced_only_as_it_was_read,
                one_of_many_replacements_at_once_wins,
                an_archive_copy_is_never_overwritten,
                an_archive_lists_its_own_numbers_only,
                a_label_is_not_believed_of_other_bytes,
                derived_files_are_written_when_they_differ;
            signer:
                every_kind_of_key_signs_with_all_its_algorithms,
                a_credential_is_kept_as_it_was_given,
                a_credential_of_a_pass_can_be_used;
        }
    };
}
pub(crate) use keeps_the_contract;

macro_rules! contract {
    ($place:ty; $($part:ident: $($test:ident),+;)+) => {
        $($(#[test] fn $test() {
            $crate::support::block_on($crate::contract::$part::$test::<$place>());
        })+)+
    };
}
pub(crate) use contract;
