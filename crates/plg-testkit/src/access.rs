//! Credentials of tests: one key that may do everything, and a secret that signs session tokens.

/// What services under test accept, and what [`Api`](crate::app::Api) presents.
pub const ROOT_KEY: &str = "the-root-key-of-tests-which-may-do-everything";
/// Signs the session tokens of services under test.
pub const SESSION_SECRET: &str = "the-secret-of-tests-that-signs-session-tokens";

/// The same, for processes.
pub const ENVIRONMENT: [(&str, &str); 2] =
    [("PLG__ACCESS__ROOT_KEY", ROOT_KEY), ("PLG__ACCESS__SESSION_SECRET", SESSION_SECRET)];
