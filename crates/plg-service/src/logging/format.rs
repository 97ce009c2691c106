//! How a line is written: for people, or as JSON for machines.
//!
//! The formats of tracing-subscriber took a fifth of what an answer took of the processors, and that of JSON a third
//! (docs/EXPERIMENTS.md): they paint for terminals where there is none, and read as JSON again what they wrote of a span.

use crate::settings::LogFormat;
use chrono::{SecondsFormat, Utc};
use std::fmt::{self, Debug, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// One line for each event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line(pub(super) LogFormat);

impl Line {
    /// Between two fields.
    const fn separator(self) -> char {
        match self.0 {
            LogFormat::Human => ' ',
            LogFormat::Json => ',',
        }
    }
}

/// The fields of a span, as they stand in each line.
impl<'writer> FormatFields<'writer> for Line {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut visitor = Fields::new(*self, &mut writer, true);
        fields.record(&mut visitor);
        visitor.result
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        if !current.fields.is_empty() {
            current.fields.push(self.separator());
        }
        self.format_fields(current.as_writer(), fields)
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        match self.0 {
            LogFormat::Human => self.human(context, &mut writer, event),
            LogFormat::Json => self.json(context, &mut writer, event),
        }
    }
}

impl Line {
    /// `2026-11-30T09:11:00.562751Z  INFO request{trace_id=0af7}: answered method="GET" micros=57`
    fn human<S, N>(
        self,
        context: &FmtContext<'_, S, N>,
        writer: &mut Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
        N: for<'writer> FormatFields<'writer> + 'static,
    {
        writer.write_str(&now())?;
        let (level, color) = level(event);
        if writer.has_ansi_escapes() {
            write!(writer, " \x1b[{color}m{level}\x1b[0m ")?;
        } else {
            writer.write_char(' ')?;
            writer.write_str(level)?;
            writer.write_char(' ')?;
        }
        if let Some(scope) = context.event_scope() {
            for span in scope.from_root() {
                writer.write_str(span.name())?;
                if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                    && !fields.is_empty()
                {
                    writer.write_char('{')?;
                    writer.write_str(&fields.fields)?;
                    writer.write_char('}')?;
                }
                writer.write_char(':')?;
            }
            writer.write_char(' ')?;
        }
        let mut fields = Fields::new(self, writer, true);
        event.record(&mut fields);
        fields.result?;
        writer.write_char('\n')
    }

    /// `{"timestamp":"…","level":"INFO","message":"answered","micros":57,"target":"…","span":{"trace_id":"0af7","name":"request"}}`
    fn json<S, N>(
        self,
        context: &FmtContext<'_, S, N>,
        writer: &mut Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
        N: for<'writer> FormatFields<'writer> + 'static,
    {
        writer.write_str(r#"{"timestamp":""#)?;
        writer.write_str(&now())?;
        writer.write_str(r#"","level":""#)?;
        writer.write_str(level(event).0.trim_start())?;
        writer.write_char('"')?;
        let mut fields = Fields::new(self, writer, false);
        event.record(&mut fields);
        let Fields { result, log_target, .. } = fields;
        result?;
        let target = log_target.as_deref().unwrap_or_else(|| event.metadata().target());
        writer.write_str(r#","target":"#)?;
        quoted(writer, target)?;
        if let Some(span) = context.lookup_current() {
            writer.write_str(r#","span":{"#)?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                writer.write_str(&fields.fields)?;
                writer.write_char(',')?;
            }
            writer.write_str(r#""name":"#)?;
            quoted(writer, span.name())?;
            writer.write_char('}')?;
        }
        writer.write_str("}\n")
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

/// What the crate `log` says about its records comes in fields of this name.
const OF_LOG: &str = "log.";

/// Writes one field behind the other.
struct Fields<'a, 'writer> {
    line: Line,
    writer: &'a mut Writer<'writer>,
    is_first: bool,
    /// Where a record of the crate `log` comes from.
    log_target: Option<String>,
    result: fmt::Result,
}

impl<'a, 'writer> Fields<'a, 'writer> {
    const fn new(line: Line, writer: &'a mut Writer<'writer>, is_first: bool) -> Self {
        Self { line, writer, is_first, log_target: None, result: Ok(()) }
    }

    /// Its name, unless people read that in front of the message.
    fn name(&mut self, name: &str) -> fmt::Result {
        if !std::mem::replace(&mut self.is_first, false) {
            self.writer.write_char(self.line.separator())?;
        }
        let name = name.strip_prefix("r#").unwrap_or(name);
        let (before, after) = match self.line.0 {
            LogFormat::Human if name == "message" => return Ok(()),
            LogFormat::Human => ("", "="),
            LogFormat::Json => ("\"", "\":"),
        };
        self.writer.write_str(before)?;
        self.writer.write_str(name)?;
        self.writer.write_str(after)
    }

    fn text(&mut self, name: &str, text: &str) -> fmt::Result {
        self.name(name)?;
        if matches!(self.line.0, LogFormat::Human) && name == "message" {
            return Escaped { writer: self.writer, is_quoted: false }.write_str(text);
        }
        quoted(self.writer, text)
    }

    fn shown(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        self.name(name)?;
        match self.line.0 {
            LogFormat::Human => {
                write!(Escaped { writer: self.writer, is_quoted: false }, "{value:?}")
            }
            LogFormat::Json => {
                self.writer.write_char('"')?;
                write!(Escaped { writer: self.writer, is_quoted: true }, "{value:?}")?;
                self.writer.write_char('"')
            }
        }
    }

    /// A number, or a truth.
    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        if !field.name().starts_with(OF_LOG) {
            let result = self.name(field.name()).and_then(|()| write!(self.writer, "{value}"));
            self.result = self.result.and(result);
        }
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !field.name().starts_with(OF_LOG) {
            self.result = self.result.and(self.shown(field.name(), value));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.log_target = Some(value.to_owned()),
            name if name.starts_with(OF_LOG) => {}
            name => self.result = self.result.and(self.text(name, value)),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.plain(field, value);
        } else {
            self.record_debug(field, &value);
        }
    }
}

fn quoted(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    writer.write_char('"')?;
    Escaped { writer: &mut *writer, is_quoted: true }.write_str(text)?;
    writer.write_char('"')
}

/// Text in which nothing ends a line, moves a terminal's cursor or, in quotes, ends those.
struct Escaped<'a, 'writer> {
    writer: &'a mut Writer<'writer>,
    is_quoted: bool,
}

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_special = |c: char| c.is_control() || (self.is_quoted && matches!(c, '"' | '\\'));
        // As nearly all is.
        if text.bytes().all(|byte| byte.is_ascii() && !is_special(char::from(byte))) {
            return self.writer.write_str(text);
        }
        let mut rest = text;
        while let Some(at) = rest.find(is_special) {
            let (before, from) = rest.split_at(at);
            self.writer.write_str(before)?;
            let mut from = from.chars();
            match from.next() {
                Some(c @ ('"' | '\\')) => write!(self.writer, "\\{c}")?,
                Some('\n') => self.writer.write_str("\\n")?,
                Some('\t') => self.writer.write_str("\\t")?,
                Some(c) => write!(self.writer, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            rest = from.as_str();
        }
        self.writer.write_str(rest)
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
        fn nothing_that_is_logged_ends_a_line_or_moves_a_cursor(text in any::<String>()) {
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
