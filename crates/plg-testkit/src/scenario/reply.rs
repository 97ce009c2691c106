//! What is answered to a request, as far as it matters: by the model, and read from the service's
//! JSON.

use super::rules::METERS;
use crate::app::Answer;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// One part; of an array one for each item.
    pub parts: Vec<Part>,
}

/// What became of one event, or of the whole request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    /// The outcome, a problem's code, or a word of our own for what is neither.
    pub said: String,
    /// Where the event stands, if it was recorded now.
    pub stamp: Option<Stamp>,
    /// What is used of the quotas it is about.
    pub quotas: Vec<Quota>,
}

/// Where an event stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamp {
    /// `YYYY-MM`, at the hotel.
    pub month: String,
    /// At the hotel.
    pub day: NaiveDate,
    /// Position in the hotel-month.
    pub seq: usize,
    /// When it was recorded.
    pub at: DateTime<Utc>,
}

/// Used against limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// `imports`, `exports` or `active_users`.
    pub name: String,
    /// Units used.
    pub used: i64,
    /// None is unlimited.
    pub limit: Option<i64>,
    /// When the month ends at the hotel.
    pub resets_at: DateTime<Utc>,
}

impl Reply {
    /// One that says just this.
    pub fn one(status: u16, part: Part) -> Self {
        Self { status, parts: vec![part] }
    }

    /// Reads what the service answered.
    pub fn read(answer: &Answer) -> Self {
        let body = &answer.body;
        let parts = match body["results"].as_array() {
            Some(items) => items.iter().map(Part::read).collect(),
            None => vec![Part::read(body)],
        };
        Self { status: answer.status, parts }
    }
}

impl Part {
    /// Nothing but a word.
    pub fn word(said: &str) -> Self {
        Self { said: said.to_owned(), ..Self::default() }
    }

    fn read(body: &Value) -> Self {
        if body["problem"].is_object() {
            return Self::read(&body["problem"]);
        }
        if body["quotas"].is_object() {
            let resets_at = &body["resets_at"];
            let quota = |name: &str| Quota::read(name, &body["quotas"][name], resets_at);
            let quotas = METERS.into_iter().filter_map(quota).collect();
            return Self { said: text(&body["month"]), stamp: None, quotas };
        }
        let quota = if body["quota"].is_object() { &body["quota"] } else { body };
        let quotas = Quota::read(&text(&quota["quota"]), quota, &quota["resets_at"]);
        let said = ["outcome", "code", "plan"].into_iter().find_map(|name| body[name].as_str());
        Self {
            said: said.unwrap_or_default().to_owned(),
            stamp: Stamp::read(&body["event"]),
            quotas: quotas.into_iter().collect(),
        }
    }
}

impl Stamp {
    fn read(event: &Value) -> Option<Self> {
        Some(Self {
            month: event["month"].as_str()?.to_owned(),
            day: event["day"].as_str()?.parse().ok()?,
            seq: usize::try_from(event["seq"].as_u64()?).ok()?,
            at: event["recorded_at"].as_str()?.parse().ok()?,
        })
    }
}

impl Quota {
    fn read(name: &str, quota: &Value, resets_at: &Value) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            used: quota["used"].as_i64()?,
            limit: quota["limit"].as_i64(),
            resets_at: resets_at.as_str()?.parse().ok()?,
        })
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
