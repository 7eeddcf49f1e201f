//! What a job means wherever it runs: written once, passed by every executor.

mod ends;
mod environment;
mod files;
mod output;
mod traces;
mod venue;

pub(crate) use self::venue::{Venue, repository};

pub(crate) use self::ends::*;
pub(crate) use self::environment::*;
pub(crate) use self::files::*;
pub(crate) use self::output::*;
pub(crate) use self::traces::*;

/// One test for each rule; `$venue` is a function that gives a [`Venue`].
macro_rules! conforms {
    ($venue:path: $($rule:ident)*) => { $(
        #[test]
        fn $rule() {
            crate::conformance::$rule(&$venue());
        }
    )* };
    ($venue:path) => {
        crate::conformance::conforms!($venue:
            the_nearest_layer_of_the_environment_wins
            the_environment_outside_overrides_and_session_names_stay
            awkward_values_arrive_whole
            job_env_reaches_later_steps
            what_steps_say_to_the_engine_is_heard
            packages_come_first_on_the_path
            steps_run_where_workdir_says
            artifacts_keep_modes_links_and_dotfiles
            artifacts_are_found_by_globs_and_missing_ones_fail
            nothing_outside_the_job_directory_is_touched
            the_project_is_there_and_git_works_in_it
            exit_codes_are_kept
            retries_count_and_later_conditions_hold
            a_timeout_ends_the_whole_tree
            a_cancel_reaches_the_step_and_always_steps_run
            a_cancel_in_order_lets_a_step_clean_up
            binary_output_is_exact
            much_output_is_whole
            long_scripts_and_environments_are_taken
            two_streams_stay_two
            memory_is_limited_and_the_log_says_by_what
            a_program_that_is_missing_is_named
            secrets_are_in_no_argument_and_no_log
            a_server_lives_until_its_job_ends
            jobs_run_beside_each_other
            nothing_is_left_behind
        );
    };
}
pub(crate) use conforms;
