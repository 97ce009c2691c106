//! Plans and limits. Unlimited is said, never implied; zero is zero.

use crate::quota::PerCounter;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;

/// Largest limit that JSON readers represent exactly: 2^53 − 1.
pub const LIMIT_MAX: i64 = 9_007_199_254_740_991;

/// How much of a counter a hotel may use in a month (seats: hold at once).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No limit: `null` in JSON, `"unlimited"` in configuration.
    Unlimited,
    /// At most this many units, 0 to [`LIMIT_MAX`].
    AtMost(i64),
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unlimited => serializer.serialize_none(),
            Self::AtMost(n) => serializer.serialize_i64(*n),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor { texts: true })
    }
}

struct LimitVisitor {
    /// Environment variables arrive as text; in JSON a text is no number.
    texts: bool,
}

impl de::Visitor<'_> for LimitVisitor {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unlimited = if self.texts { "unlimited" } else { "null for unlimited" };
        write!(f, "a whole number from 0 to {LIMIT_MAX}, or {unlimited}")
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Limit, E> {
        match n {
            0..=LIMIT_MAX => Ok(Limit::AtMost(n)),
            _ => Err(E::invalid_value(de::Unexpected::Signed(n), &self)),
        }
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Limit, E> {
        i64::try_from(n)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(n), &self))
            .and_then(|n| self.visit_i64(n))
    }

    /// 3.0 is a whole number too: some programs write every number so.
    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Limit, E> {
        #[expect(clippy::cast_possible_truncation, reason = "compared with what it came from")]
        let whole = n as i64;
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact up to LIMIT_MAX, the largest accepted"
        )]
        let same = whole as f64 == n;
        if same {
            self.visit_i64(whole)
        } else {
            Err(E::invalid_value(de::Unexpected::Float(n), &self))
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
        match text {
            _ if !self.texts => Err(E::invalid_type(de::Unexpected::Str(text), &self)),
            "unlimited" => Ok(Limit::Unlimited),
            _ => text
                .parse()
                .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
                .and_then(|n| self.visit_i64(n)),
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<Limit, E> {
        Ok(Limit::Unlimited)
    }

    fn visit_none<E: de::Error>(self) -> Result<Limit, E> {
        Ok(Limit::Unlimited)
    }
}

/// The limits that apply to a hotel.
pub type Limits = PerCounter<Limit>;

/// What a hotel has instead of its plan's limits. An absent counter follows the plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitOverrides {
    /// Imports a month.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub imports: Option<Limit>,
    /// Exports a month.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub exports: Option<Limit>,
    /// Seats held at once.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub active_users: Option<Limit>,
}

/// A field that is there overrides, also when it says `null` (unlimited). Unlike in configuration, a
/// text is no number here.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Limit>, D::Error> {
    deserializer.deserialize_any(LimitVisitor { texts: false }).map(Some)
}

impl LimitOverrides {
    /// Whether every counter follows the plan.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The plans on sale, by name, and the one of a hotel that nobody has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PlansConfig", into = "PlansConfig")]
pub struct Plans {
    default_plan: String,
    default_limits: Limits,
    plans: BTreeMap<String, Limits>,
}

/// How [`Plans`] are written in configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PlansConfig {
    default: String,
    #[serde(flatten)]
    plans: BTreeMap<String, Limits>,
}

/// The default plan is not among the plans.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plans.default names \"{default}\", which is not among the plans: {known}")]
pub struct PlansError {
    default: String,
    known: String,
}

impl TryFrom<PlansConfig> for Plans {
    type Error = PlansError;

    fn try_from(PlansConfig { default, plans }: PlansConfig) -> Result<Self, PlansError> {
        match plans.get(&default).copied() {
            Some(default_limits) => Ok(Self { default_plan: default, default_limits, plans }),
            None => Err(PlansError { default, known: join(plans.keys()) }),
        }
    }
}

impl From<Plans> for PlansConfig {
    fn from(plans: Plans) -> Self {
        Self { default: plans.default_plan, plans: plans.plans }
    }
}

fn join<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

impl Plans {
    /// Name of the plan of a hotel that nobody has registered.
    #[must_use]
    pub fn default_plan(&self) -> &str {
        &self.default_plan
    }

    /// Whether a plan of this name is on sale.
    #[must_use]
    pub fn contains(&self, plan: &str) -> bool {
        self.plans.contains_key(plan)
    }

    /// The names of all plans, for messages.
    #[must_use]
    pub fn names(&self) -> String {
        join(self.plans.keys())
    }

    /// Every plan on sale.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.plans.keys().map(String::as_str)
    }

    /// The limits of a hotel: its overrides, else its plan's. A plan that has left the
    /// configuration gives the default plan's limits.
    #[must_use]
    pub fn limits(&self, plan: &str, overrides: &LimitOverrides) -> Limits {
        let of_plan = self.plans.get(plan).unwrap_or(&self.default_limits);
        Limits {
            imports: overrides.imports.unwrap_or(of_plan.imports),
            exports: overrides.exports.unwrap_or(of_plan.exports),
            active_users: overrides.active_users.unwrap_or(of_plan.active_users),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans() -> Plans {
        serde_json::from_str(
            r#"{"default": "standard",
                "standard": {"imports": 3, "exports": "30", "active_users": 1},
                "suite": {"imports": null, "exports": "unlimited", "active_users": 0}}"#,
        )
        .unwrap()
    }

    #[test]
    fn unlimited_is_explicit_and_zero_is_zero() {
        let suite = plans().limits("suite", &LimitOverrides::default());
        assert_eq!(suite.imports, Limit::Unlimited);
        assert_eq!(suite.exports, Limit::Unlimited);
        assert_eq!(suite.active_users, Limit::AtMost(0));
    }

    #[test]
    fn overrides_know_absent_from_null() {
        let overrides: LimitOverrides = serde_json::from_str(r#"{"imports": null}"#).unwrap();
        assert_eq!(overrides.imports, Some(Limit::Unlimited));
        assert_eq!(overrides.exports, None);
        let limits = plans().limits("standard", &overrides);
        assert_eq!(limits.imports, Limit::Unlimited);
        assert_eq!(limits.exports, Limit::AtMost(30));
        assert_eq!(serde_json::to_string(&overrides).unwrap(), r#"{"imports":null}"#);
        for bad in [r#""5""#, r#""unlimited""#, "-1", "0.5", "9007199254740992", "[5]"] {
            let text = format!(r#"{{"imports": {bad}}}"#);
            assert!(serde_json::from_str::<LimitOverrides>(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_whole_and_not_negative() {
        for bad in ["-1", "1.5", "\"many\"", "9007199254740992", "true"] {
            assert!(serde_json::from_str::<Limit>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_plan_that_left_the_configuration_falls_back() {
        let plans = plans();
        let limits = plans.limits("gold", &LimitOverrides::default());
        assert_eq!(limits, plans.limits("standard", &LimitOverrides::default()));
    }

    #[test]
    fn the_default_plan_must_exist() {
        let error = serde_json::from_str::<Plans>(
            r#"{"default": "gold", "standard": {"imports": 3, "exports": 30, "active_users": 1}}"#,
        )
        .unwrap_err();
        assert!(error.to_string().contains("plans.default names \"gold\""), "{error}");
    }
}
