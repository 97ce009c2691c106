//! What the service answers, as JSON.

use chrono::{DateTime, Utc};
use plg_core::as_text;
use plg_core::calendar::{Month, TimeZone};
use plg_core::catalogue::Counter;
use plg_core::decide::{Answer, Outcome, QuotaStatus};
use plg_core::event::RecordedEvent;
use plg_core::ids::HotelId;
use plg_core::plan::{Limit, LimitOverrides, Limits, Plans};
use plg_core::quota::{Counters, Quota};
use plg_core::usage::MonthUsage;
use plg_store::hotels::Profile;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Used against limit.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Quota)]
pub(crate) struct QuotaBody {
    /// Units used.
    used: i64,
    limit: Limit,
    /// Units left; null is unlimited.
    #[schema(required = true)]
    remaining: Option<i64>,
    /// At least 80 % of the limit is used.
    near_limit: bool,
    /// The next unit would be refused.
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
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuotaStatus)]
pub(crate) struct NamedQuotaBody {
    #[schema(value_type = Counter)]
    quota: &'static str,
    #[serde(flatten)]
    body: QuotaBody,
    /// When the month ends at the hotel. Seats are held beyond it: theirs become fewer when one is given up.
    #[serde(serialize_with = "as_text::instant")]
    resets_at: DateTime<Utc>,
}

impl From<QuotaStatus> for NamedQuotaBody {
    fn from(status: QuotaStatus) -> Self {
        let quota = status.counter.name();
        Self { quota, body: status.quota.into(), resets_at: status.resets_at }
    }
}

/// What became of an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventResult)]
pub(crate) struct OutcomeBody {
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// As it stands in the log, if it was recorded now.
    #[schema(value_type = RecordedEvent, required = false)]
    event: Option<Arc<RecordedEvent>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The quota that it counts against.
    #[schema(nullable = false)]
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

/// The quotas of a month.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quotas)]
struct QuotasBody {
    imports: QuotaBody,
    exports: QuotaBody,
    active_users: QuotaBody,
}

impl QuotasBody {
    fn new(counters: &Counters, limits: &Limits) -> Self {
        let quota = |counter| Quota::new(counters[counter], limits[counter]).into();
        Self {
            imports: quota(Counter::Imports),
            exports: quota(Counter::Exports),
            active_users: quota(Counter::ActiveUsers),
        }
    }
}

/// A hotel-month's quotas.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageMonth)]
pub(crate) struct MonthBody {
    month: Month,
    /// When the month ends at the hotel.
    #[serde(serialize_with = "as_text::instant")]
    resets_at: DateTime<Utc>,
    /// Against the limits of today; of a past month against those with which it was closed, where they are noted.
    quotas: QuotasBody,
    /// When the month's counters were last compared with its events.
    #[schema(required = true)]
    last_rollup_at: Option<DateTime<Utc>>,
}

impl MonthBody {
    /// A month's counters against the limits that it was closed with, or those of today.
    #[must_use]
    pub(crate) fn new(usage: &MonthUsage, zone: TimeZone, today: &Limits) -> Self {
        Self {
            month: usage.month,
            resets_at: zone.end_of(usage.month),
            quotas: QuotasBody::new(&usage.counters, usage.limits.as_ref().unwrap_or(today)),
            last_rollup_at: usage.last_rollup_at,
        }
    }
}

/// A hotel's usage in one month.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct UsageBody {
    hotel_id: HotelId,
    time_zone: TimeZone,
    /// The plan of today.
    plan: String,
    #[serde(flatten)]
    month: MonthBody,
}

impl UsageBody {
    /// A hotel's usage in one month.
    #[must_use]
    pub(crate) fn new(
        hotel_id: HotelId,
        profile: &Profile,
        plans: &Plans,
        usage: &MonthUsage,
    ) -> Self {
        let limits = profile.limits(plans);
        let plan = profile.plan(plans).to_owned();
        let month = MonthBody::new(usage, profile.time_zone, &limits);
        Self { hotel_id, time_zone: profile.time_zone, plan, month }
    }
}

/// A hotel's usage in many months, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageHistory)]
pub(crate) struct HistoryBody {
    hotel_id: HotelId,
    time_zone: TimeZone,
    /// The plan of today.
    plan: String,
    months: Vec<MonthBody>,
}

impl HistoryBody {
    /// A hotel's usage in many months.
    #[must_use]
    pub(crate) fn new(
        hotel_id: HotelId,
        profile: &Profile,
        plans: &Plans,
        months: &[MonthUsage],
    ) -> Self {
        let limits = profile.limits(plans);
        let zone = profile.time_zone;
        let months = months.iter().map(|usage| MonthBody::new(usage, zone, &limits)).collect();
        Self { hotel_id, time_zone: zone, plan: profile.plan(plans).to_owned(), months }
    }
}

/// One quota of a hotel now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QuotaCheck)]
pub(crate) struct QuotaCheckBody {
    hotel_id: HotelId,
    month: Month,
    #[serde(flatten)]
    quota: NamedQuotaBody,
}

impl QuotaCheckBody {
    /// One quota of a hotel now.
    #[must_use]
    pub(crate) fn new(
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
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hotel)]
pub(crate) struct HotelBody {
    hotel_id: HotelId,
    plan: String,
    time_zone: TimeZone,
    limits: LimitOverrides,
    effective_limits: Limits,
}

impl HotelBody {
    /// A hotel as it is known.
    #[must_use]
    pub(crate) fn new(hotel_id: HotelId, profile: &Profile, plans: &Plans) -> Self {
        Self {
            hotel_id,
            plan: profile.plan(plans).to_owned(),
            time_zone: profile.time_zone,
            limits: profile.overrides,
            effective_limits: profile.limits(plans),
        }
    }
}
