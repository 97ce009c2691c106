//! Figures of many rounds, as medians in one table.

use std::collections::BTreeMap;

/// A measured figure of each round, by its name.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    /// Notes a figure, and says so.
    pub(crate) fn note(&mut self, name: &str, value: f64) {
        println!("  {name}: {}", number(value));
        self.0.entry(name.to_owned()).or_default().push(value);
    }

    /// Whether a figure was measured.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The median of a figure's rounds; NaN when it was not measured.
    pub(crate) fn median(&self, name: &str) -> f64 {
        let mut values = self.0.get(name).cloned().unwrap_or_default();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// A line about the medians of two figures.
    pub(crate) fn line(&self, what: &str, ours: &str, theirs: &str, target: Target) -> Line {
        let figure = |name: &str| (name.to_owned(), self.median(name));
        Line { what: what.to_owned(), ours: figure(ours), theirs: figure(theirs), target }
    }
}

/// A line of the table: a ratio beside the target that it has to meet.
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) ours: (String, f64),
    pub(crate) theirs: (String, f64),
    pub(crate) target: Target,
}

/// What a ratio of ours to theirs has to be.
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// Prints the table as Markdown.
pub(crate) fn print(lines: &[Line]) {
    println!("\n| what | ours | beside | ratio | target | |");
    println!("|---|---|---|---|---|---|");
    for line in lines {
        let ratio = line.ours.1 / line.theirs.1;
        let (sign, bound, met) = match line.target {
            Target::AtLeast(bound) => ("≥", bound, ratio >= bound),
            Target::AtMost(bound) => ("≤", bound, ratio <= bound),
        };
        let verdict = if met { "met" } else { "**missed**" };
        println!(
            "| {} | {} {} | {} {} | {ratio:.2} | {sign} {bound} | {verdict} |",
            line.what,
            number(line.ours.1),
            line.ours.0,
            number(line.theirs.1),
            line.theirs.0,
        );
    }
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
