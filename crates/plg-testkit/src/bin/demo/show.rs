//! What a person gets to see.

use super::damage::Damage;
use plg_testkit::Backend;
use plg_testkit::scenario::replay::Report;
use plg_testkit::scenario::{Books, GROUP, Hotel, MONTH, Model, Scenario, books};
use std::io::IsTerminal as _;
use std::process::Output;
use std::time::Duration;
use uuid::Uuid;

/// Says what is going to happen.
pub(crate) fn opening(scenario: &Scenario, seed: u64, backend: Backend) {
    println!(
        "October 2026 of a group of {} hotels in {} time zones: {} requests (seed {seed}),\n\
         over HTTP to the real application on a throw-away {}.",
        scenario.hotels.len(),
        scenario.time_zones(),
        grouped(&scenario.requests.len()),
        match backend {
            Backend::Sqlite => "SQLite",
            Backend::Postgres => "PostgreSQL",
        }
    );
}

/// Says how it went.
pub(crate) fn replayed(report: &Report, took: Duration) {
    let rate = f64::from(u32::try_from(report.requests).expect("few")) / took.as_secs_f64();
    let right = report.requests - report.wrong;
    let said =
        format!("{} of {} answers are the model's", grouped(&right), grouped(&report.requests));
    let said = if report.wrong == 0 { good(&said) } else { bad(&said) };
    println!("{said} ({:.1} s, {rate:.0} requests/s):", took.as_secs_f64());
    let outcomes: Vec<String> =
        report.outcomes.iter().map(|(said, n)| format!("{} {said}", grouped(n))).collect();
    for line in outcomes.chunks(4) {
        println!("  {}", line.join(", "));
    }
    for difference in &report.differences {
        let (request, expected) = (&difference.request, &difference.expected);
        println!("  {request:?}\n    expected {expected:?}\n    got      {:?}", difference.got);
    }
    println!();
}

/// Usage as it stands in the database, beside what it has to be.
pub(crate) struct Table<'a> {
    pub(crate) model: &'a Model,
    pub(crate) expected: &'a Books,
    pub(crate) found: &'a Books,
    pub(crate) damages: &'a [Damage],
}

impl Table<'_> {
    /// Every hotel's October, and whatever is damaged besides.
    pub(crate) fn before(&self) {
        println!("Some hotel-months damaged by SQL (counter≠expected/limit):\n");
        println!("{}", head());
        let note = |hotel: &Hotel, month: &str| {
            let damage = self.damages.iter().find(|d| d.is_of(hotel.id(), month));
            damage.map_or("", |damage| damage.words)
        };
        for hotel in &GROUP {
            println!("{}", self.line((hotel, MONTH), note(hotel, MONTH)));
        }
        for damage in self.damages.iter().filter(|damage| damage.month != MONTH) {
            println!("{}", self.line((damage.hotel, damage.month), damage.words));
        }
        println!();
    }

    /// What was damaged.
    pub(crate) fn after(&self) {
        println!("{}", head());
        for damage in self.damages {
            let used = |books: &Books| books.get(&damage.key()).map(|totals| totals.used);
            let right = used(self.expected) == used(self.found);
            let note = if right { damage.remedy() } else { "STILL WRONG" };
            println!("{}", self.line((damage.hotel, damage.month), note));
        }
        let damaged =
            |(hotel, month): &(Uuid, String)| self.damages.iter().any(|d| d.is_of(*hotel, month));
        let others = self.expected.keys().filter(|key| !damaged(key)).count();
        let differing = books::differing(self.expected, self.found);
        let wrong = differing.iter().filter(|key| !damaged(key)).count();
        println!("The other {others} hotel-months: {wrong} not as expected.\n");
    }

    fn line(&self, (hotel, month): (&Hotel, &str), note: &str) -> String {
        let totals =
            |books: &Books| books.get(&(hotel.id(), month.to_owned())).cloned().unwrap_or_default();
        let (expected, found) = (totals(self.expected), totals(self.found));
        let (plan, limits) = self.model.terms(hotel.id());
        let mut line = format!("{month:7} {:15} {:19} {plan:8}", hotel.name, hotel.zone);
        for (place, width) in [9, 11, 7].into_iter().enumerate() {
            let limit = limits[place].map_or("∞".to_owned(), |limit| limit.to_string());
            let (found, expected) = (found.used[place], expected.used[place]);
            line += &cell(found, expected, &format!("/{limit}"), width);
        }
        line += &cell(found.event_count(), expected.event_count(), "", 9);
        format!("{line}  {note}").trim_end().to_owned()
    }
}

/// What a program printed: its log, then its answer.
pub(crate) fn program(name: &str, output: &Output) {
    println!("$ {name}");
    for stream in [&output.stderr, &output.stdout] {
        for line in String::from_utf8_lossy(stream).lines() {
            println!("  {line}");
        }
    }
    println!();
}

fn head() -> String {
    format!(
        "{:7} {:15} {:19} {:8} {:>9} {:>11} {:>7} {:>9}",
        "month", "hotel", "time zone", "plan", "imports", "exports", "seats", "events"
    )
}

fn cell(found: i64, expected: i64, limit: &str, width: usize) -> String {
    if found == expected {
        return format!(" {:>width$}", format!("{found}{limit}"));
    }
    bad(&format!(" {:>width$}", format!("{found}≠{expected}{limit}")))
}

/// 20113 is 20,113.
fn grouped(n: &impl ToString) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// In green, where there are colours.
pub(crate) fn good(text: &str) -> String {
    coloured("32", text)
}

/// In red, likewise.
pub(crate) fn bad(text: &str) -> String {
    coloured("31", text)
}

fn coloured(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        return format!("\x1b[{code}m{text}\x1b[0m");
    }
    text.to_owned()
}
