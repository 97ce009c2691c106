//! What the service answers, as JSON.

use chrono::{DateTime, Utc};
use plg_core::calendar::{Month, TimeZone};
use plg_core::catalogue::Counter;
use plg_core::decide::{Answer, Outcome, QuotaStatus};
use plg_core::event::RecordedEvent;
use plg_core::ids::HotelId;
use plg_core::plan::{Limit, LimitOverrides, Limits, Plans};
use plg_core::quota::{PerCounter, Quota};
use plg_core::usage::MonthUsage;
use plg_store::hotels::Profile;
use serde::Serialize;
use std::sync::Arc;

/// Used against limit.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QuotaBody {
    used: i64,
    limit: Limit,
    remaining: Option<i64>,
    near_limit: bool,
    exceeded: bool,
}

impl From<Quota> for QuotaBody {
    fn from(quota: Quota) -> Self {
        Self {
            used: quota.used(),
            limit: quota.limit(),
            remaining: quota.remaining(),
            near_limit: quota.near_limit(),
            exceeded: quota.exceeded(),
        }
    }
}

/// One quota, with its name and the month's end.
#[derive(Debug, Serialize)]
pub struct NamedQuotaBody {
    quota: &'static str,
    #[serde(flatten)]
    body: QuotaBody,
    resets_at: DateTime<Utc>,
}

impl From<QuotaStatus> for NamedQuotaBody {
    fn from(status: QuotaStatus) -> Self {
        let quota = status.counter.name();
        Self { quota, body: status.quota.into(), resets_at: status.resets_at }
    }
}

/// What became of an event.
#[derive(Debug, Serialize)]
pub struct OutcomeBody {
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Arc<RecordedEvent>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<NamedQuotaBody>,
}

impl From<Answer> for OutcomeBody {
    fn from(answer: Answer) -> Self {
        Self {
            outcome: answer.outcome,
            event: answer.event,
            quota: answer.quota.map(NamedQuotaBody::from),
        }
    }
}

/// A hotel-month's quotas.
#[derive(Debug, Serialize)]
pub struct MonthBody {
    month: Month,
    resets_at: DateTime<Utc>,
    quotas: PerCounter<QuotaBody>,
    last_rollup_at: Option<DateTime<Utc>>,
}

impl MonthBody {
    /// A month's counters against the limits of today.
    #[must_use]
    pub fn new(usage: &MonthUsage, zone: TimeZone, limits: &Limits) -> Self {
        Self {
            month: usage.month,
            resets_at: zone.end_of(usage.month),
            quotas: PerCounter::from_fn(|c| Quota::new(usage.counters[c], limits[c]).into()),
            last_rollup_at: usage.last_rollup_at,
        }
    }
}

/// A hotel's usage in one month.
#[derive(Debug, Serialize)]
pub struct UsageBody {
    hotel_id: HotelId,
    time_zone: TimeZone,
    plan: String,
    #[serde(flatten)]
    month: MonthBody,
}

impl UsageBody {
    /// A hotel's usage in one month.
    #[must_use]
    pub fn new(hotel_id: HotelId, profile: &Profile, plans: &Plans, usage: &MonthUsage) -> Self {
        let limits = profile.limits(plans);
        let plan = profile.plan(plans).to_owned();
        let month = MonthBody::new(usage, profile.time_zone, &limits);
        Self { hotel_id, time_zone: profile.time_zone, plan, month }
    }
}

/// A hotel's usage in many months, newest first.
#[derive(Debug, Serialize)]
pub struct HistoryBody {
    hotel_id: HotelId,
    time_zone: TimeZone,
    plan: String,
    months: Vec<MonthBody>,
}

impl HistoryBody {
    /// A hotel's usage in many months.
    #[must_use]
    pub fn new(hotel_id: HotelId, profile: &Profile, plans: &Plans, months: &[MonthUsage]) -> Self {
        let limits = profile.limits(plans);
        let zone = profile.time_zone;
        let months = months.iter().map(|usage| MonthBody::new(usage, zone, &limits)).collect();
        Self { hotel_id, time_zone: zone, plan: profile.plan(plans).to_owned(), months }
    }
}

/// One quota of a hotel now.
#[derive(Debug, Serialize)]
pub struct QuotaCheckBody {
    hotel_id: HotelId,
    month: Month,
    #[serde(flatten)]
    quota: NamedQuotaBody,
}

impl QuotaCheckBody {
    /// One quota of a hotel now.
    #[must_use]
    pub fn new(
        hotel_id: HotelId,
        counter: Counter,
        profile: &Profile,
        plans: &Plans,
        usage: &MonthUsage,
    ) -> Self {
        let quota = Quota::new(usage.counters[counter], profile.limits(plans)[counter]);
        let resets_at = profile.time_zone.end_of(usage.month);
        let quota = NamedQuotaBody::from(QuotaStatus { counter, quota, resets_at });
        Self { hotel_id, month: usage.month, quota }
    }
}

/// A hotel's plan, zone, own limits, and the limits that follow.
#[derive(Debug, Serialize)]
pub struct HotelBody {
    hotel_id: HotelId,
    plan: String,
    time_zone: TimeZone,
    limits: LimitOverrides,
    effective_limits: Limits,
}

impl HotelBody {
    /// A hotel as it is known.
    #[must_use]
    pub fn new(hotel_id: HotelId, profile: &Profile, plans: &Plans) -> Self {
        Self {
            hotel_id,
            plan: profile.plan(plans).to_owned(),
            time_zone: profile.time_zone,
            limits: profile.overrides,
            effective_limits: profile.limits(plans),
        }
    }
}
