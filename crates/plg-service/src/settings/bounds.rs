//! What numbers may be.

use super::access::SESSION_SECONDS_MAX;
use super::{RateLimit, Settings, SettingsError};

impl Settings {
    /// The same, if every number is within its bounds.
    pub(super) fn checked(self) -> Result<Self, SettingsError> {
        let check = |key: &str, value: usize, min: usize, max: usize, expected| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                let (key, got) = (key.to_owned(), value.to_string());
                Err(SettingsError::OutOfBounds { key, expected, got })
            }
        };
        let Self { writer, rollup, .. } = &self;
        check("server.threads", self.server.threads, 0, 512, "0 to 512")?;
        check("server.connections", self.server.connections, 1, 100_000, "1 to 100000")?;
        let keep_alive = usize::try_from(self.server.keep_alive_seconds).unwrap_or(usize::MAX);
        check("server.keep_alive_seconds", keep_alive, 1, 3_600, "1 to 3600")?;
        let server = &self.server;
        for (key, seconds) in [
            ("server.ready_grace_seconds", server.ready_grace_seconds),
            ("server.drain_seconds", server.drain_seconds),
        ] {
            let seconds = usize::try_from(seconds).unwrap_or(usize::MAX);
            check(key, seconds, 0, 3_600, "0 to 3600")?;
        }
        let millis = |millis: u64| usize::try_from(millis).unwrap_or(usize::MAX);
        check("server.max_wait_ms", millis(self.server.max_wait_ms), 10, 1_500, "10 to 1500")?;
        check("writer.lanes", writer.lanes, 1, 64, "1 to 64")?;
        check("writer.queue", writer.queue, 1_000, 1_000_000, "1000 to 1000000")?;
        check("writer.max_wait_ms", millis(writer.max_wait_ms), 10, 1_500, "10 to 1500")?;
        check("writer.batch", writer.batch, 1, 1_000, "1 to 1000")?;
        let remembered = writer.remembered_hotels;
        check("writer.remembered_hotels", remembered, 0, 1_000_000, "0 to 1000000")?;
        check("rollup.read_chunk", rollup.read_chunk, 1, 10_000, "1 to 10000")?;
        check("rollup.write_chunk", rollup.write_chunk, 1, 2_000, "1 to 2000")?;
        check("rollup.busy_chunk", rollup.busy_chunk, 1, 2_000, "1 to 2000")?;
        check("rollup.pause_ms", millis(rollup.pause_ms), 0, 60_000, "0 to 60000")?;
        check("rollup.busy_pause_ms", millis(rollup.busy_pause_ms), 0, 1_000, "0 to 1000")?;
        let connections = usize::try_from(self.database.read_connections).unwrap_or(usize::MAX);
        check("database.read_connections", connections, 1, 1_000, "1 to 1000")?;
        let tolerance =
            usize::try_from(self.database.clock_tolerance_seconds).unwrap_or(usize::MAX);
        check("database.clock_tolerance_seconds", tolerance, 0, 86_400, "0 to 86400")?;
        let limits = &self.rate_limit;
        let seconds = |limit: &RateLimit| usize::try_from(limit.seconds).unwrap_or(usize::MAX);
        check("rate_limit.keys.seconds", seconds(&limits.keys), 1, 86_400, "1 to 86400")?;
        check("rate_limit.tokens.seconds", seconds(&limits.tokens), 1, 86_400, "1 to 86400")?;
        let access = &self.access;
        let seconds = |seconds: u32| usize::try_from(seconds).unwrap_or(usize::MAX);
        check(
            "access.session_seconds",
            seconds(access.session_seconds),
            60,
            seconds(SESSION_SECONDS_MAX),
            "60 to 86400",
        )?;
        check("access.clock_skew_seconds", seconds(access.clock_skew_seconds), 0, 300, "0 to 300")?;
        check("access.refresh_seconds", seconds(access.refresh_seconds), 1, 300, "1 to 300")?;
        let ratio = self.traces.sample_ratio;
        if !(0.0..=1.0).contains(&ratio) {
            let (key, expected) = ("traces.sample_ratio".to_owned(), "0 to 1");
            return Err(SettingsError::OutOfBounds { key, expected, got: ratio.to_string() });
        }
        Ok(self)
    }
}
