//! How a line is written: for people, or as JSON for machines.
//!
//! The formats of tracing-subscriber take twice as much, and that of JSON nearly three times (docs/EXPERIMENTS.md):
//! they paint for terminals where there is none, and read as JSON again what they wrote of a span.

use crate::settings::LogFormat;
use chrono::{SecondsFormat, Utc};
use std::fmt::{self, Debug, Display, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// Hardly any line is longer.
const USUAL_BYTES: usize = 384;
/// Nor are the fields of a span.
const USUAL_FIELDS_BYTES: usize = 64;
/// What the crate `log` says about its records comes in fields of this name.
const OF_LOG: &str = "log.";

/// One line for each event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line(pub(super) LogFormat);

/// The fields of a span, as they stand in each line.
impl<'writer> FormatFields<'writer> for Line {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut text = String::with_capacity(USUAL_FIELDS_BYTES);
        fields.record(&mut Fields::new(*self, &mut text, true));
        writer.write_str(&text)
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let is_first = current.fields.is_empty();
        fields.record(&mut Fields::new(*self, &mut current.fields, is_first));
        Ok(())
    }
}

impl<S> FormatEvent<S, Self> for Line
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Self>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::with_capacity(USUAL_BYTES);
        match self.0 {
            LogFormat::Human if writer.has_ansi_escapes() => {
                let (level, color) = level(event);
                let level = format!("\x1b[{color}m{level}\x1b[0m");
                self.human(context, &mut text, &level, event);
            }
            LogFormat::Human => self.human(context, &mut text, level(event).0, event),
            LogFormat::Json => self.json(context, &mut text, event),
        }
        writer.write_str(&text)
    }
}

impl Line {
    /// `2026-11-30T09:11:00.562751Z  INFO request{trace_id=0af7}: answered method="GET" micros=57`
    fn human<S>(
        self,
        context: &FmtContext<'_, S, Self>,
        text: &mut String,
        level: &str,
        event: &Event<'_>,
    ) where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        text.push_str(&now());
        text.push(' ');
        text.push_str(level);
        text.push(' ');
        if let Some(scope) = context.event_scope() {
            for span in scope.from_root() {
                text.push_str(span.name());
                with_fields_of(&span, |fields| {
                    text.push('{');
                    text.push_str(fields);
                    text.push('}');
                });
                text.push(':');
            }
            text.push(' ');
        }
        event.record(&mut Fields::new(self, text, true));
        text.push('\n');
    }

    /// `{"timestamp":"…","level":"INFO","message":"answered","micros":57,"target":"…",`
    /// `"span":{"trace_id":"0af7","name":"request"}}`
    fn json<S>(self, context: &FmtContext<'_, S, Self>, text: &mut String, event: &Event<'_>)
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        text.push_str(r#"{"timestamp":""#);
        text.push_str(&now());
        text.push_str(r#"","level":""#);
        text.push_str(level(event).0.trim_start());
        text.push('"');
        let mut fields = Fields::new(self, text, false);
        event.record(&mut fields);
        let log_target = fields.log_target;
        text.push_str(r#","target":"#);
        push_quoted(text, log_target.as_deref().unwrap_or_else(|| event.metadata().target()));
        if let Some(span) = context.lookup_current() {
            text.push_str(r#","span":{"#);
            with_fields_of(&span, |fields| {
                text.push_str(fields);
                text.push(',');
            });
            text.push_str(r#""name":"#);
            push_quoted(text, span.name());
            text.push('}');
        }
        text.push_str("}\n");
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A level's name, as wide as all are, and the color that terminals show it in.
fn level(event: &Event<'_>) -> (&'static str, u8) {
    match *event.metadata().level() {
        Level::ERROR => ("ERROR", 31),
        Level::WARN => (" WARN", 33),
        Level::INFO => (" INFO", 32),
        Level::DEBUG => ("DEBUG", 34),
        Level::TRACE => ("TRACE", 35),
    }
}

/// What was written of a span's fields, if it has any.
fn with_fields_of<S>(span: &SpanRef<'_, S>, push: impl FnOnce(&str))
where
    S: for<'span> LookupSpan<'span>,
{
    if let Some(fields) = span.extensions().get::<FormattedFields<Line>>()
        && !fields.fields.is_empty()
    {
        push(&fields.fields);
    }
}

/// Writes one field behind the other.
struct Fields<'a> {
    line: Line,
    text: &'a mut String,
    is_first: bool,
    /// Where a record of the crate `log` comes from.
    log_target: Option<String>,
}

impl<'a> Fields<'a> {
    const fn new(line: Line, text: &'a mut String, is_first: bool) -> Self {
        Self { line, text, is_first, log_target: None }
    }

    /// Whether this is the message, which people read without its name.
    fn is_bare(&self, name: &str) -> bool {
        matches!(self.line.0, LogFormat::Human) && name == "message"
    }

    fn push_name(&mut self, name: &str) {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let (separator, before, after) = match self.line.0 {
            LogFormat::Human => (' ', "", "="),
            LogFormat::Json => (',', "\"", "\":"),
        };
        if !is_first {
            self.text.push(separator);
        }
        if !self.is_bare(name) {
            self.text.push_str(before);
            self.text.push_str(name.strip_prefix("r#").unwrap_or(name));
            self.text.push_str(after);
        }
    }

    /// A number, or a truth.
    fn push_plain(&mut self, field: &Field, value: impl Display) {
        if !field.name().starts_with(OF_LOG) {
            self.push_name(field.name());
            // A String takes everything.
            let _ = write!(self.text, "{value}");
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.push_name(field.name());
        let is_quoted = matches!(self.line.0, LogFormat::Json);
        let quote = if is_quoted { "\"" } else { "" };
        self.text.push_str(quote);
        // What cannot be shown is left out, and the rest of the line is not.
        let _ = write!(Escaped { text: self.text, is_quoted }, "{value:?}");
        self.text.push_str(quote);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.log_target = Some(value.to_owned()),
            name if name.starts_with(OF_LOG) => {}
            name => {
                self.push_name(name);
                if self.is_bare(name) {
                    Escaped { text: self.text, is_quoted: false }.push(value);
                } else {
                    push_quoted(self.text, value);
                }
            }
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push_plain(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push_plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push_plain(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.push_plain(field, value);
        } else {
            self.record_debug(field, &value);
        }
    }
}

fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    Escaped { text, is_quoted: true }.push(value);
    text.push('"');
}

/// Text in which nothing ends a line, moves a terminal's cursor or, in quotes, ends those.
struct Escaped<'a> {
    text: &'a mut String,
    is_quoted: bool,
}

impl Escaped<'_> {
    fn push(&mut self, value: &str) {
        let is_quoted = self.is_quoted;
        let is_special = |c: char| c.is_control() || (is_quoted && matches!(c, '"' | '\\'));
        // As nearly all is.
        if value.bytes().all(|byte| byte.is_ascii() && !is_special(char::from(byte))) {
            return self.text.push_str(value);
        }
        for c in value.chars() {
            match c {
                c if !is_special(c) => self.text.push(c),
                '"' | '\\' => self.text.extend(['\\', c]),
                '\n' => self.text.push_str("\\n"),
                '\t' => self.text.push_str("\\t"),
                c => self.text.push_str(&format!("\\u{:04x}", u32::from(c))),
            }
        }
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, value: &str) -> fmt::Result {
        self.push(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::lines::Lines;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};
    use tracing::{error, info, info_span, subscriber, warn};

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Paper {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written of what happens.
    fn written(format: LogFormat, is_terminal: bool, happens: impl FnOnce()) -> String {
        let (lines, paper) = (Lines::default(), Paper::default());
        let last_words = lines.write_to(paper.clone()).unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(lines)
            .with_ansi(is_terminal)
            .fmt_fields(Line(format))
            .event_format(Line(format))
            .finish();
        subscriber::with_default(subscriber, happens);
        drop(last_words);
        let text = paper.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    fn human(happens: impl FnOnce()) -> String {
        let line = written(LogFormat::Human, false, happens);
        // Behind its time.
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        rest.to_owned()
    }

    fn json(happens: impl FnOnce()) -> Value {
        let line = written(LogFormat::Json, false, happens);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let mut value: Value = serde_json::from_str(&line).unwrap();
        let time = value.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).is_ok(), "{time}");
        value
    }

    fn answered() {
        let span = info_span!("request", trace_id = %"0af7", caller = tracing::field::Empty);
        span.record("caller", 7);
        span.in_scope(|| {
            info!(
                target: "ingest_api::request",
                path = "/v1/events",
                nobody = None::<u64>,
                status = 200_u16,
                late = -1_i64,
                share = 0.5,
                is_last = false,
                "answered"
            );
        });
    }

    #[test]
    fn a_line_for_people() {
        let expected = " INFO request{trace_id=0af7 caller=7}: answered path=\"/v1/events\" status=200 \
                        late=-1 share=0.5 is_last=false\n";
        assert_eq!(human(answered), expected);
        let nested = || info_span!("a").in_scope(|| info_span!("b", n = 1).in_scope(|| warn!("c")));
        assert_eq!(human(nested), " WARN a:b{n=1}: c\n");
        assert_eq!(human(|| error!(r#type = "x", "no span")), "ERROR no span type=\"x\"\n");
    }

    #[test]
    fn a_line_for_machines() {
        let expected = json!({
            "level": "INFO", "message": "answered", "path": "/v1/events", "status": 200, "late": -1,
            "share": 0.5, "is_last": false, "target": "ingest_api::request",
            "span": { "trace_id": "0af7", "caller": 7, "name": "request" },
        });
        assert_eq!(json(answered), expected);
        let expected = json!({
            "level": "ERROR", "message": "no span", "share": "NaN", "target": module_path!(),
        });
        assert_eq!(json(|| error!(share = f64::NAN, "no span")), expected);
    }

    /// As they come through tracing.
    #[test]
    fn records_of_the_crate_log_say_where_they_come_from() {
        let happens =
            || info!("log.target" = "rustls::check", "log.line" = 7, "log.file" = "a.rs", "seen");
        let expected = json!({ "level": "INFO", "message": "seen", "target": "rustls::check" });
        assert_eq!(json(happens), expected);
        assert_eq!(human(happens), " INFO seen\n");
    }

    #[test]
    fn a_terminal_shows_levels_in_colors() {
        let line = written(LogFormat::Human, true, || warn!("look"));
        assert!(line.ends_with(" \x1b[33m WARN\x1b[0m look\n"), "{line:?}");
    }

    proptest! {
        /// A caller's path is in each line.
        #[test]
        fn nothing_that_is_logged_ends_a_line_or_moves_a_cursor(
            text in prop::collection::vec(any::<char>(), 0..40),
        ) {
            let text = String::from_iter(text);
            let happens = || info!(text = text.as_str(), shown = %text, debug = ?text, "{text}");
            let line = human(happens);
            let line = line.strip_suffix('\n').unwrap();
            prop_assert!(!line.contains(char::is_control), "{line:?}");
            let value = json(happens);
            for field in ["text", "shown", "message"] {
                prop_assert_eq!(value[field].as_str(), Some(text.as_str()));
            }
            let debug = format!("{text:?}");
            prop_assert_eq!(value["debug"].as_str(), Some(debug.as_str()));
        }
    }
}
