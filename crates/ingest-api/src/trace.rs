//! W3C Trace Context: a request belongs to its caller's trace, or begins one.

use actix_web::http::header::{HeaderMap, HeaderName};
use std::fmt;
use uuid::Uuid;

/// The header that names a trace.
pub(crate) static HEADER: HeaderName = HeaderName::from_static("traceparent");

/// Version, trace, parent and flags.
const LENGTHS: [usize; 4] = [2, 32, 16, 2];

/// The trace is one of those whose spans are exported.
const SAMPLED: u8 = 0b01;
/// Flags with a meaning: that one, and that the trace's id is random. Others must not be passed on.
const KNOWN_FLAGS: u8 = 0b11;

/// A request's place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) id: u128,
    pub(crate) span: u64,
    /// The caller's span, where it named one.
    pub(crate) parent: Option<u64>,
    pub(crate) flags: u8,
}

impl Trace {
    /// Continues the trace that the headers name, which was sampled or not by whoever began it, or begins
    /// one. Of these so many are sampled, from 0 to 1.
    pub(crate) fn of(headers: &HeaderMap, sample_ratio: f64) -> Self {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        let span = high ^ low.rotate_left(32);
        let caller = headers.get(&HEADER).and_then(|value| parse(value.to_str().ok()?));
        if let Some(caller) = caller {
            return Self { span, parent: Some(caller.span), ..caller };
        }
        let id = Uuid::new_v4().as_u128();
        let flags = if is_chosen(id, sample_ratio) { SAMPLED } else { 0 };
        Self { id, span, parent: None, flags }
    }

    /// Whether its spans are exported.
    pub(crate) const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The header's value.
    pub(crate) fn header(&self) -> String {
        let (mut header, mut buffer) = (String::with_capacity(55), Uuid::encode_buffer());
        header.push_str("00-");
        header.push_str(hex(self.id, &mut buffer));
        header.push('-');
        let rest = u128::from(self.span) << 64 | u128::from(self.flags) << 56;
        let rest = hex(rest, &mut buffer);
        header.push_str(&rest[..16]);
        header.push('-');
        header.push_str(&rest[16..18]);
        header
    }

    /// The trace's id.
    pub(crate) fn id(&self) -> impl fmt::Display + use<> {
        Hex(self.id)
    }
}

struct Hex(u128);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex(self.0, &mut Uuid::encode_buffer()))
    }
}

/// By a table, as UUIDs are written: digit by digit is six times as many instructions.
fn hex(number: u128, buffer: &mut [u8]) -> &str {
    Uuid::from_u128(number).simple().encode_lower(buffer)
}

/// Whether a trace that begins here is sampled. Decided by the last 56 bits of its id, as OpenTelemetry's
/// samplers do; in a UUID, too, all of them are random.
fn is_chosen(id: u128, sample_ratio: f64) -> bool {
    const RANDOM_BITS: u32 = 56;
    // An f64 holds 53 bits exactly.
    const KEPT_BITS: u32 = 53;
    const SCALE: f64 = (1_u64 << KEPT_BITS) as f64;
    let kept = (id & ((1 << RANDOM_BITS) - 1)) >> (RANDOM_BITS - KEPT_BITS);
    kept as f64 / SCALE >= 1.0 - sample_ratio
}

/// The caller's own place in the trace, of any version that begins as the first does.
fn parse(header: &str) -> Option<Trace> {
    let parts: Vec<&str> = header.split('-').collect();
    let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let fits = parts.iter().zip(LENGTHS).all(|(part, length)| part.len() == length && is_hex(part));
    let (version, length) = (*parts.first()?, parts.len());
    if !fits || length < 4 || version == "ff" || (version == "00" && length != 4) {
        return None;
    }
    let id = u128::from_str_radix(parts[1], 16).ok().filter(|id| *id != 0)?;
    let span = u64::from_str_radix(parts[2], 16).ok().filter(|span| *span != 0)?;
    let flags = u8::from_str_radix(parts[3], 16).ok()? & KNOWN_FLAGS;
    Some(Trace { id, span, parent: None, flags })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    const ID: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
    const CALLER: u64 = 0xb7ad_6b71_6920_3331;

    #[test]
    fn a_trace_goes_on_or_begins() {
        let (id, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let known = Some(Trace { id: ID, span: CALLER, parent: None, flags: SAMPLED });
        assert_eq!(parse(&format!("00-{id}-{parent}-01")), known);
        assert_eq!(parse(&format!("cc-{id}-{parent}-01-what-comes-later")), known);
        let zeros = ("0".repeat(32), "0".repeat(16));
        for wrong in [
            String::new(),
            id.to_owned(),
            format!("ff-{id}-{parent}-01"),
            format!("00-{id}-{parent}-01-more"),
            format!("00-{id}-{parent}-0"),
            format!("00-{}-{parent}-01", id.to_uppercase()),
            format!("00-{}-{parent}-01", zeros.0),
            format!("00-{id}-{}-01", zeros.1),
        ] {
            assert_eq!(parse(&wrong), None, "{wrong}");
        }
        let trace = Trace { id: 1, span: 2, parent: Some(3), flags: SAMPLED };
        assert_eq!(trace.header(), format!("00-{:0>32}-{:0>16}-01", 1, 2));
    }

    #[test]
    fn whoever_begins_a_trace_decides_whether_it_is_sampled() {
        for (said, answered, is_sampled) in
            [("00", "00", false), ("01", "01", true), ("02", "02", false), ("ff", "03", true)]
        {
            let header = format!("00-{ID:032x}-{CALLER:016x}-{said}");
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_str(&header).unwrap();
            headers.insert(HEADER.clone(), value);
            for sample_ratio in [0.0, 1.0] {
                let trace = Trace::of(&headers, sample_ratio);
                assert_eq!((trace.id, trace.parent), (ID, Some(CALLER)));
                assert_ne!(trace.span, CALLER);
                assert_eq!(trace.is_sampled(), is_sampled, "{header}");
                assert!(trace.header().ends_with(&format!("-{answered}")), "{trace:?}");
            }
        }
        let begun = |sample_ratio| Trace::of(&HeaderMap::new(), sample_ratio);
        assert!(begun(1.0).is_sampled() && !begun(0.0).is_sampled());
        assert_eq!(begun(1.0).parent, None);
    }

    #[test]
    fn so_many_traces_are_sampled() {
        const TRACES: u32 = 10_000;

        let of = |sample_ratio: f64| {
            (0..TRACES).filter(|_| Trace::of(&HeaderMap::new(), sample_ratio).is_sampled()).count()
        };
        assert_eq!((of(0.0), of(1.0)), (0, 10_000));
        // Eleven standard deviations to each side.
        assert!((2_000..3_000).contains(&of(0.25)));
        assert!(is_chosen(0, 1.0) && !is_chosen(u128::MAX, 0.0));
    }
}
