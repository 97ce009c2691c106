//! Counters against events.
//!
//! A correction is made only as far as the events prove it. An event that is missing from its
//! hotel-month's gapless sequence may have been any event, so each missing one leaves the counters
//! that much room: it is reported, and neither refunded nor charged.

use crate::catalogue::{CATALOGUE, Counter};
use crate::quota::{Counters, PerCounter};

/// How many events there are, and what they add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Event rows found.
    pub events: i64,
    /// Sum of their effects on each counter.
    pub net: Counters,
}

/// A hotel-month, from one snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// The balance with which the month was opened.
    pub opening: Counters,
    /// The counters as they stand.
    pub live: Counters,
    /// The counters as last verified, at `rolled_seq`.
    pub verified: Counters,
    /// Up to this sequence number the events have been counted.
    pub rolled_seq: i64,
    /// Sequence number of the last event.
    pub last_seq: i64,
    /// Missing events that earlier runs found up to `rolled_seq`.
    pub known_missing: i64,
    /// Events with `rolled_seq < seq ≤ last_seq`.
    pub new: Tally,
    /// Events with `0 < seq ≤ last_seq`, when all were counted (`--full`).
    pub all: Option<Tally>,
}

/// One counter that was not what its events say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction {
    /// Which.
    pub counter: Counter,
    /// What it was in the snapshot.
    pub before: i64,
    /// What it should have been there.
    pub expected: i64,
}

impl Correction {
    /// What to add to the live counter, whatever it is by now.
    #[must_use]
    pub const fn delta(&self) -> i64 {
        self.expected.saturating_sub(self.before)
    }
}

/// What follows from the facts of a hotel-month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Counters to correct, by delta.
    pub corrections: Vec<Correction>,
    /// The counters that hold at `last_seq`.
    pub verified: Counters,
    /// Events missing in the range that was counted.
    pub missing: i64,
    /// Events missing in the month, as far as known.
    pub missing_in_month: i64,
}

/// Whether some event type lowers this counter.
fn can_fall(counter: Counter) -> bool {
    CATALOGUE.iter().filter_map(|row| row.effect).any(|e| e.counter == counter && e.step < 0)
}

/// Decides about one hotel-month. Of a damaged one the facts may be any numbers.
#[must_use]
pub fn reconcile(facts: &Facts) -> Verdict {
    let (start, counted, missing, missing_in_month) = match facts.all {
        None => {
            let missing =
                facts.last_seq.saturating_sub(facts.rolled_seq).saturating_sub(facts.new.events);
            (facts.verified, facts.new, missing, facts.known_missing.saturating_add(missing))
        }
        Some(all) => {
            let missing = facts.last_seq.saturating_sub(all.events);
            (facts.opening, all, missing, missing)
        }
    };
    let nothing_newly_missing = missing_in_month == facts.known_missing;

    let verified = PerCounter::from_fn(|counter| {
        let proven = start[counter].saturating_add(counted.net[counter]);
        let room = missing.max(0);
        let lowest = if can_fall(counter) { proven.saturating_sub(room) } else { proven };
        let highest = proven.saturating_add(room);
        let likely = if nothing_newly_missing {
            facts.verified[counter].saturating_add(facts.new.net[counter])
        } else {
            facts.live[counter]
        };
        likely.clamp(lowest, highest)
    });
    let corrections = Counter::ALL.into_iter().map(|counter| Correction {
        counter,
        before: facts.live[counter],
        expected: verified[counter],
    });
    Verdict {
        corrections: corrections.filter(|correction| correction.delta() != 0).collect(),
        verified,
        missing,
        missing_in_month,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(n: i64) -> Counters {
        Counters { imports: n, ..Counters::default() }
    }

    fn facts(live: i64, verified: i64, rolled_seq: i64, new: i64, last_seq: i64) -> Facts {
        Facts {
            live: imports(live),
            verified: imports(verified),
            rolled_seq,
            last_seq,
            new: Tally { events: new, net: imports(new) },
            ..Facts::default()
        }
    }

    fn corrected(facts: &Facts) -> Vec<(i64, i64)> {
        reconcile(facts).corrections.iter().map(|c| (c.before, c.expected)).collect()
    }

    #[test]
    fn agreement_changes_nothing() {
        let verdict = reconcile(&facts(7, 3, 3, 4, 7));
        assert!(verdict.corrections.is_empty());
        assert_eq!((verdict.verified, verdict.missing), (imports(7), 0));
    }

    #[test]
    fn drift_up_and_down() {
        assert_eq!(corrected(&facts(9, 3, 3, 4, 7)), [(9, 7)]);
        assert_eq!(corrected(&facts(5, 3, 3, 4, 7)), [(5, 7)]);
        assert_eq!(corrected(&facts(5, 3, 3, 0, 3)), [(5, 3)]);
    }

    #[test]
    fn a_missing_event_is_not_refunded() {
        let verdict = reconcile(&facts(7, 3, 3, 3, 7));
        assert!(verdict.corrections.is_empty());
        assert_eq!((verdict.verified, verdict.missing), (imports(7), 1));
        // What one missing event cannot explain is drift all the same.
        assert_eq!(corrected(&facts(9, 3, 3, 3, 7)), [(9, 7)]);
        assert_eq!(corrected(&facts(5, 3, 3, 3, 7)), [(5, 6)]);
    }

    /// It would stop the run, and leave all that come behind it unreconciled.
    #[test]
    fn damage_of_any_size_is_decided_about() {
        for (rolled_seq, last_seq) in [(3, i64::MAX), (-5, i64::MAX), (i64::MAX, i64::MIN)] {
            for live in [7, i64::MAX, i64::MIN] {
                for verified in [3, i64::MAX, i64::MIN] {
                    let part = facts(live, verified, rolled_seq, 4, last_seq);
                    for facts in [part, Facts { all: Some(part.new), ..part }] {
                        let verdict = reconcile(&facts);
                        assert_eq!(verdict.corrections.is_empty(), verdict.verified == facts.live);
                    }
                }
            }
        }
        assert!(corrected(&facts(7, 3, 3, 4, i64::MAX)).is_empty(), "any event may be missing");
    }

    #[test]
    fn a_missing_event_may_have_been_a_seat_given_up() {
        let seats = |n| Counters { active_users: n, ..Counters::default() };
        let at = |live| Facts {
            live: seats(live),
            last_seq: 3,
            new: Tally { events: 2, net: seats(2) },
            ..Facts::default()
        };
        for explained in 1..=3 {
            assert!(corrected(&at(explained)).is_empty(), "{explained}");
        }
        assert_eq!(corrected(&at(0)), [(0, 1)]);
        assert_eq!(corrected(&at(4)), [(4, 3)]);
    }

    #[test]
    fn full_trusts_only_the_events() {
        let mut full = facts(5, 5, 4, 0, 4);
        full.all = Some(Tally { events: 4, net: imports(4) });
        assert_eq!(corrected(&full), [(5, 4)]);
    }

    #[test]
    fn full_remembers_what_was_missing_before() {
        // Five imports, one row lost, found and left alone by an earlier run.
        let mut full = facts(5, 5, 5, 0, 5);
        full.known_missing = 1;
        full.all = Some(Tally { events: 4, net: imports(4) });
        let verdict = reconcile(&full);
        assert!(verdict.corrections.is_empty());
        assert_eq!((verdict.missing, verdict.missing_in_month), (1, 1));
        // Damage on top of it is found in either direction.
        full.live = imports(4);
        assert_eq!(corrected(&full), [(4, 5)]);
        full.live = imports(6);
        assert_eq!(corrected(&full), [(6, 5)]);
    }
}
