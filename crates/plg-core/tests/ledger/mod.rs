//! A hotel-month with its whole history, and every way in which it may be damaged.

use plg_core::catalogue::Counter;
use plg_core::quota::Counters;
use plg_core::reconcile::{Facts, Tally, Verdict, reconcile};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::{BTreeMap, BTreeSet};

/// What an event does to the counters, restated by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Import,
    Export,
    SeatAdded,
    SeatRemoved,
    /// Most types count nothing.
    Other,
}

pub(crate) const KINDS: [Kind; 5] =
    [Kind::Import, Kind::Export, Kind::SeatAdded, Kind::SeatRemoved, Kind::Other];

impl Kind {
    pub(crate) fn effect(self) -> Counters {
        let mut effect = Counters::default();
        match self {
            Self::Import => effect.imports = 1,
            Self::Export => effect.exports = 1,
            Self::SeatAdded => effect.active_users = 1,
            Self::SeatRemoved => effect.active_users = -1,
            Self::Other => {}
        }
        effect
    }
}

/// Which events a reconciliation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// Those behind the last one it counted.
    New,
    /// All of the month (`--full`).
    Whole,
}

/// What happens to a hotel-month.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Record(Kind),
    /// Something adds this to a live counter, and no event says so.
    Damage(Counter, i64),
    /// One of the event rows is lost.
    Lose(Index),
    Reconcile(Range),
}

pub(crate) fn record() -> impl Strategy<Value = Step> {
    select(&KINDS[..]).prop_map(Step::Record)
}

pub(crate) fn damage() -> impl Strategy<Value = Step> {
    (select(&Counter::ALL[..]), -3_i64..=3).prop_map(|(counter, by)| Step::Damage(counter, by))
}

pub(crate) fn lose() -> impl Strategy<Value = Step> {
    any::<Index>().prop_map(Step::Lose)
}

pub(crate) fn range() -> impl Strategy<Value = Range> {
    prop_oneof![2 => Just(Range::New), 1 => Just(Range::Whole)]
}

/// A month with all that happened in it so far; damage and losses only if asked for.
pub(crate) fn history(damages: u32, losses: u32) -> impl Strategy<Value = Ledger> {
    let step = prop_oneof![
        8 => record(),
        2 => range().prop_map(Step::Reconcile),
        damages => damage(),
        losses => lose(),
    ];
    let opening = [0_i64..5, 0_i64..5, 0_i64..5]
        .prop_map(|[imports, exports, active_users]| Counters { imports, exports, active_users });
    (opening, vec(step, 0..40)).prop_map(|(opening, steps)| {
        let mut ledger = Ledger::open(opening);
        steps.iter().for_each(|step| ledger.step(step));
        ledger
    })
}

#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    opening: Counters,
    pub(crate) live: Counters,
    verified: Counters,
    rolled_seq: i64,
    known_missing: i64,
    last_seq: i64,
    /// What the counters would be if nothing had ever been damaged.
    pub(crate) truth: Counters,
    /// Done to the live counters since the last reconciliation.
    pub(crate) damage: Counters,
    /// The rows that are still there, by sequence number.
    rows: BTreeMap<i64, Kind>,
}

impl Ledger {
    fn open(opening: Counters) -> Self {
        Self {
            opening,
            live: opening,
            verified: opening,
            rolled_seq: 0,
            known_missing: 0,
            last_seq: 0,
            truth: opening,
            damage: Counters::default(),
            rows: BTreeMap::new(),
        }
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Record(kind) => {
                self.last_seq += 1;
                self.rows.insert(self.last_seq, *kind);
                self.live = sum(&self.live, &kind.effect());
                self.truth = sum(&self.truth, &kind.effect());
            }
            Step::Damage(counter, by) => {
                self.live[*counter] += by;
                self.damage[*counter] += by;
            }
            Step::Lose(index) if !self.rows.is_empty() => {
                let seqs: Vec<_> = self.rows.keys().copied().collect();
                self.rows.remove(index.get(&seqs));
            }
            Step::Lose(_) => {}
            Step::Reconcile(range) => {
                let facts = self.facts(*range);
                self.apply(&facts, &reconcile(&facts));
            }
        }
    }

    /// What a reconciliation reads, from one snapshot.
    pub(crate) fn facts(&self, range: Range) -> Facts {
        Facts {
            opening: self.opening,
            live: self.live,
            verified: self.verified,
            rolled_seq: self.rolled_seq,
            last_seq: self.last_seq,
            known_missing: self.known_missing,
            new: self.tally(self.rolled_seq),
            all: (range == Range::Whole).then(|| self.tally(0)),
        }
    }

    /// What a reconciliation writes. The counters move by deltas, whatever they are by now.
    pub(crate) fn apply(&mut self, facts: &Facts, verdict: &Verdict) {
        for correction in &verdict.corrections {
            self.live[correction.counter] += correction.delta();
        }
        self.verified = verdict.verified;
        self.rolled_seq = facts.last_seq;
        self.known_missing = verdict.missing_in_month;
        self.damage = Counters::default();
    }

    /// How many rows are lost behind this sequence number.
    pub(crate) fn lost_after(&self, seq: i64) -> i64 {
        let found = |seq: &i64| self.rows.contains_key(seq);
        (seq + 1..=self.last_seq).map(|seq| i64::from(!found(&seq))).sum()
    }

    fn tally(&self, after: i64) -> Tally {
        let mut tally = Tally::default();
        for kind in self.rows.range(after + 1..).map(|(_, kind)| kind) {
            tally.events += 1;
            tally.net = sum(&tally.net, &kind.effect());
        }
        tally
    }
}

pub(crate) fn sum(a: &Counters, b: &Counters) -> Counters {
    Counters {
        imports: a.imports + b.imports,
        exports: a.exports + b.exports,
        active_users: a.active_users + b.active_users,
    }
}

/// Every value a counter may rightly have when `missing` rows on top of `proven` are unknown:
/// each of them may have been any event.
pub(crate) fn explainable(counter: Counter, proven: i64, missing: i64) -> BTreeSet<i64> {
    let mut values = BTreeSet::from([proven]);
    for _ in 0..missing {
        let with_one_more =
            |value: &i64| KINDS.map(|kind| value + kind.effect()[counter]).into_iter();
        values = values.iter().flat_map(with_one_more).collect();
    }
    values
}
