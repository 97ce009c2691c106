//! What people and machines get to see of a run: progress bar, log and summary.

use crate::run::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use plg_core::reconcile::Verdict;
use plg_store::rollup::Reading;
use plg_store::rollup::runs::{Figures, Run, Status};
use std::io::IsTerminal as _;

/// Corrections that are logged one by one; all of them are in `usage_adjustment`.
const MAX_CORRECTIONS_LOGGED: usize = 100;
/// Hotel-months with missing events that are logged one by one.
const MAX_MISSING_LOGGED: usize = 20;

/// A progress bar, if standard error is a terminal, and the log.
#[derive(Debug)]
pub struct Terminal {
    bar: ProgressBar,
    corrections: Bounded,
    missing: Bounded,
}

impl Default for Terminal {
    fn default() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            corrections: Bounded::new(MAX_CORRECTIONS_LOGGED),
            missing: Bounded::new(MAX_MISSING_LOGGED),
        }
    }
}

/// Says how many of a kind may still be logged.
#[derive(Debug)]
struct Bounded {
    left: usize,
    dropped: u64,
}

impl Bounded {
    const fn new(most: usize) -> Self {
        Self { left: most, dropped: 0 }
    }

    fn admits(&mut self) -> bool {
        if self.left == 0 {
            self.dropped += 1;
            return false;
        }
        self.left -= 1;
        true
    }
}

impl Progress for Terminal {
    fn wants_total(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    fn total(&mut self, hotel_months: i64) {
        let length = u64::try_from(hotel_months).unwrap_or_default();
        self.bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let template = "{bar:40} {human_pos}/{human_len} hotel-months, {eta} left {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }

    fn advanced(&mut self, so_far: &Figures, verified: &[&(Reading, Verdict)]) {
        let Self { bar, corrections, missing } = self;
        // The bar steps aside for the log, which goes to the same terminal.
        if verified.iter().any(|(_, v)| v.missing > 0 || !v.corrections.is_empty()) {
            bar.suspend(|| {
                for (reading, verdict) in verified {
                    log(reading, verdict, corrections, missing);
                }
            });
        }
        bar.set_position(u64::try_from(so_far.hotel_months).unwrap_or_default());
        if so_far.drifted > 0 {
            bar.set_message(format!("({} drifted)", grouped(so_far.drifted)));
        }
    }
}

fn log(reading: &Reading, verdict: &Verdict, corrections: &mut Bounded, missing: &mut Bounded) {
    let (hotel_id, month) = (reading.key.hotel_id, reading.key.month);
    for correction in &verdict.corrections {
        if corrections.admits() {
            let (counter, before) = (correction.counter, correction.before);
            let expected = correction.expected;
            tracing::info!(%hotel_id, %month, %counter, before, expected, "counter had drifted");
        }
    }
    if verdict.missing > 0 && missing.admits() {
        let missing = verdict.missing;
        tracing::warn!(%hotel_id, %month, missing, "events are missing, nothing is refunded");
    }
}

impl Terminal {
    /// Takes the bar away, and says how much was not logged.
    pub fn close(&self) {
        self.bar.finish_and_clear();
        if self.corrections.dropped > 0 {
            let more = self.corrections.dropped;
            tracing::info!(more, "counters had drifted that are not logged one by one");
        }
        if self.missing.dropped > 0 {
            let more = self.missing.dropped;
            tracing::warn!(more, "hotel-months miss events that are not logged one by one");
        }
    }
}

/// The run as one line of JSON.
///
/// # Errors
/// None that is known: a run holds nothing that JSON cannot say.
pub fn json(run: &Run) -> Result<String, serde_json::Error> {
    serde_json::to_string(run)
}

/// The run in a few lines for people.
#[must_use]
pub fn summary(run: &Run) -> String {
    let Figures { hotels, hotel_months, events, drifted, corrected, missing } = run.figures;
    let verb = if run.dry_run { "looked at" } else { "reconciled" };
    let status = match run.status {
        Status::Failed => " and then failed",
        Status::Done | Status::Running => "",
    };
    let tenths = run.duration_ms / 100;
    let corrected = match (run.dry_run, corrected) {
        (true, _) => "nothing, this was a dry run".to_owned(),
        (false, 0) => "nothing".to_owned(),
        (false, n) => counted(n, "counter"),
    };
    let lost = if missing > 0 { ", whose rows are gone: see the log" } else { "" };
    format!(
        "{verb} {} ({}, {}) in {}.{} s{status}\n  drifted    {}\n  corrected  {corrected}\n  \
         missing    {}{lost}\n  run        {}",
        counted(hotels, "hotel"),
        counted(hotel_months, "hotel-month"),
        counted(events, "event"),
        grouped(tenths / 10),
        tenths % 10,
        counted(drifted, "hotel-month"),
        counted(missing, "event"),
        run.run_id,
    )
}

fn counted(n: i64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(n))
}

/// 20113 is 20,113.
fn grouped(n: i64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-123_456, "-123,456")] {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn the_summary_counts() {
        let run = Run {
            run_id: uuid::Uuid::nil(),
            status: Status::Done,
            dry_run: false,
            full: false,
            partial: false,
            started_at: chrono::DateTime::UNIX_EPOCH,
            finished_at: None,
            figures: Figures {
                hotels: 1,
                hotel_months: 31,
                events: 20_113,
                drifted: 3,
                corrected: 4,
                missing: 0,
            },
            duration_ms: 432,
            error: None,
        };
        let expected = "reconciled 1 hotel (31 hotel-months, 20,113 events) in 0.4 s\n  \
                        drifted    3 hotel-months\n  corrected  4 counters\n  \
                        missing    0 events\n  run        00000000-0000-0000-0000-000000000000";
        assert_eq!(summary(&run), expected);
        let dry = Run { dry_run: true, ..run };
        assert!(summary(&dry).starts_with("looked at 1 hotel"));
        assert!(json(&dry).unwrap().contains("\"events\":20113"));
    }

    #[test]
    fn logging_has_a_bound() {
        let mut bounded = Bounded::new(2);
        let admitted: Vec<bool> = (0..4).map(|_| bounded.admits()).collect();
        assert_eq!((admitted, bounded.dropped), (vec![true, true, false, false], 2));
    }
}
