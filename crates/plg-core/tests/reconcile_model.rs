//! `reconcile` over random histories: events, damaged counters, lost rows, and earlier runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod ledger;

use ledger::{Ledger, Range, Step, explainable, history, lose, range, record, sum};
use plg_core::catalogue::Counter;
use plg_core::quota::{Counters, PerCounter};
use plg_core::reconcile::{Facts, Verdict, reconcile};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

const CASES: u32 = 1_024;
/// How often a history has damage or a loss, beside 8 recorded events; and never.
const OFTEN: u32 = 2;
const NEVER: u32 = 0;

fn config() -> ProptestConfig {
    // A failing input is printed; files beside the sources would only be left behind.
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

/// What the verdict adds to each counter; at most one correction for each.
fn deltas(facts: &Facts, verdict: &Verdict) -> Counters {
    let deltas = PerCounter::from_fn(|counter| {
        let of_counter = verdict.corrections.iter().filter(|c| c.counter == counter);
        of_counter.map(|correction| correction.delta()).sum()
    });
    assert_eq!(sum(&facts.live, &deltas), verdict.verified, "target, and what is verified");
    assert!(verdict.corrections.iter().all(|c| c.before == facts.live[c.counter]));
    assert!(verdict.corrections.iter().all(|c| c.delta() != 0));
    deltas
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn without_losses_the_target_is_exact(ledger in history(OFTEN, NEVER), range in range()) {
        let verdict = reconcile(&ledger.facts(range));
        prop_assert_eq!(verdict.verified, ledger.truth);
        prop_assert_eq!((verdict.missing, verdict.missing_in_month), (0, 0));
    }

    #[test]
    fn losses_alone_correct_nothing(ledger in history(NEVER, OFTEN), range in range()) {
        let verdict = reconcile(&ledger.facts(range));
        prop_assert_eq!(verdict.corrections, []);
        prop_assert_eq!(ledger.live, ledger.truth, "nor has any run before");
    }

    #[test]
    fn missing_is_what_was_lost(ledger in history(OFTEN, OFTEN), range in range()) {
        let facts = ledger.facts(range);
        let verdict = reconcile(&facts);
        let counted_from = if range == Range::Whole { 0 } else { facts.rolled_seq };
        let missing = ledger.lost_after(counted_from);
        prop_assert_eq!(verdict.missing, missing);
        let known = if range == Range::Whole { 0 } else { facts.known_missing };
        prop_assert_eq!(verdict.missing_in_month, known + missing);
    }

    #[test]
    fn a_second_run_changes_nothing(
        ledger in history(OFTEN, OFTEN),
        ranges in vec(range(), 2..6),
    ) {
        runs_change_nothing_after_the_first(ledger, &ranges)?;
    }

    #[test]
    fn a_correction_undoes_damage_and_no_more(
        ledger in history(OFTEN, OFTEN),
        range in range(),
    ) {
        undoes_damage_and_no_more(&ledger, range)?;
    }

    #[test]
    fn the_target_is_the_nearest_that_the_events_explain(
        ledger in history(OFTEN, OFTEN),
        range in range(),
    ) {
        is_nearest_explainable(&ledger, range)?;
    }

    #[test]
    fn corrections_and_later_commits_do_not_disturb_each_other(
        ledger in history(OFTEN, OFTEN),
        meanwhile in vec(prop_oneof![4 => record(), 1 => lose()], 0..12),
        ranges in [range(), range()],
    ) {
        commits_meanwhile(ledger, &meanwhile, ranges)?;
    }
}

fn runs_change_nothing_after_the_first(mut ledger: Ledger, ranges: &[Range]) -> TestCaseResult {
    for (run, range) in ranges.iter().enumerate() {
        let facts = ledger.facts(*range);
        let verdict = reconcile(&facts);
        if run > 0 {
            prop_assert_eq!(&verdict.corrections, &[], "run {} of {:?}", run, ranges);
            prop_assert_eq!(verdict.verified, facts.verified);
        }
        ledger.apply(&facts, &verdict);
    }
    Ok(())
}

/// Nobody is refunded a lost event or charged for one: whatever a run adds is between nothing and
/// the opposite of the damage since the run before, and exactly that if no further row is lost.
fn undoes_damage_and_no_more(ledger: &Ledger, range: Range) -> TestCaseResult {
    let facts = ledger.facts(range);
    let verdict = reconcile(&facts);
    let deltas = deltas(&facts, &verdict);
    for counter in Counter::ALL {
        let (delta, undone) = (deltas[counter], -ledger.damage[counter]);
        let allowed = undone.min(0)..=undone.max(0);
        prop_assert!(allowed.contains(&delta), "{counter}: {delta} not in {allowed:?}");
        if verdict.missing_in_month == facts.known_missing {
            prop_assert_eq!(delta, undone, "{}", counter);
        }
        if counter != Counter::ActiveUsers && undone >= 0 {
            prop_assert!(delta >= 0, "{counter} refunded without excess");
        }
    }
    Ok(())
}

/// With rows newly lost, a counter moves as little as the events demand; otherwise what was
/// verified and what came since leave no choice.
fn is_nearest_explainable(ledger: &Ledger, range: Range) -> TestCaseResult {
    let facts = ledger.facts(range);
    let verdict = reconcile(&facts);
    let (start, counted, lost) = match facts.all {
        None => (facts.verified, facts.new, ledger.lost_after(facts.rolled_seq)),
        Some(all) => (facts.opening, all, ledger.lost_after(0)),
    };
    for counter in Counter::ALL {
        let proven = start[counter] + counted.net[counter];
        let values = explainable(counter, proven, lost);
        let target = verdict.verified[counter];
        prop_assert!(values.contains(&target), "{counter}: {target} not in {values:?}");
        if range == Range::Whole && lost == facts.known_missing {
            prop_assert_eq!(target, facts.verified[counter] + facts.new.net[counter]);
        } else {
            let live = facts.live[counter];
            let nearest = values.into_iter().min_by_key(|value| (value - live).abs());
            prop_assert_eq!(Some(target), nearest, "{}", counter);
        }
    }
    Ok(())
}

/// No lock is held while a run counts: it corrects by deltas, so its order among the commits does
/// not matter, and the next run finds nothing left to do.
fn commits_meanwhile(
    ledger: Ledger,
    meanwhile: &[Step],
    [range, next]: [Range; 2],
) -> TestCaseResult {
    let facts = ledger.facts(range);
    let verdict = reconcile(&facts);
    let deltas = deltas(&facts, &verdict);
    let mut last = ledger.clone();
    last.apply(&facts, &verdict);
    meanwhile.iter().for_each(|step| last.step(step));
    let mut first = ledger;
    meanwhile.iter().for_each(|step| first.step(step));
    let live = first.live;
    first.apply(&facts, &verdict);
    prop_assert_eq!(first.live, last.live);
    prop_assert_eq!(first.live, sum(&live, &deltas), "the increments are kept");
    prop_assert_eq!(reconcile(&first.facts(next)).corrections, []);
    Ok(())
}
