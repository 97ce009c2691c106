//! W3C Trace Context: a request belongs to its caller's trace, or begins one.

use actix_web::http::header::HeaderMap;
use std::fmt;
use uuid::Uuid;

/// The header that names a trace.
pub(crate) const HEADER: &str = "traceparent";

/// Version, trace, parent and flags.
const LENGTHS: [usize; 4] = [2, 32, 16, 2];

/// A request's place in its trace. Written as the header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    id: u128,
    span: u64,
    flags: u8,
}

impl Trace {
    /// Continues the trace that the headers name, or begins one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        let span = high ^ low.rotate_left(32);
        let parent = headers.get(HEADER).and_then(|value| parse(value.to_str().ok()?));
        let (id, flags) = parent.unwrap_or_else(|| (Uuid::new_v4().as_u128(), 0));
        Self { id, span, flags }
    }

    /// The trace's id.
    pub(crate) fn id(&self) -> impl fmt::Display + use<> {
        Hex(self.id)
    }
}

struct Hex(u128);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.id, self.span, self.flags)
    }
}

/// The trace's id and flags, of any version that begins as the first does.
fn parse(header: &str) -> Option<(u128, u8)> {
    let parts: Vec<&str> = header.split('-').collect();
    let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let fits = parts.iter().zip(LENGTHS).all(|(part, length)| part.len() == length && is_hex(part));
    let (version, length) = (*parts.first()?, parts.len());
    if !fits || length < 4 || version == "ff" || (version == "00" && length != 4) {
        return None;
    }
    let id = u128::from_str_radix(parts[1], 16).ok().filter(|id| *id != 0)?;
    u64::from_str_radix(parts[2], 16).ok().filter(|parent| *parent != 0)?;
    Some((id, u8::from_str_radix(parts[3], 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_or_begins() {
        let (id, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let known = Some((0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 1));
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
        let trace = Trace { id: 1, span: 2, flags: 1 };
        assert_eq!(trace.to_string(), format!("00-{:0>32}-{:0>16}-01", 1, 2));
    }
}
