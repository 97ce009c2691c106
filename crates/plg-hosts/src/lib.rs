//! `postgres://user@one:5432,two:5432/database?target_session_attrs=read-write`: what libpq reads as
//! several servers, and the driver does not. Pure text; whoever connects tries them.

/// Asks a PostgreSQL server, as `yes`, whether it takes writes: neither a standby does, nor one that was
/// told not to.
pub const TAKES_WRITES: &str =
    "select not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as yes";

/// The servers of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// A URL for each, in the order in which they are named.
    pub urls: Vec<String>,
    /// Whether only one that takes writes will do. So it is whenever there are several: these
    /// programs write, and libpq's `any` would leave them with a standby.
    pub must_take_writes: bool,
}

/// The URL asks for what these programs cannot use. It does not show the URL, which has a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// Another database, or no URL.
    #[error("must begin with postgres:// or sqlite:")]
    Scheme,
    /// Standbys.
    #[error(
        "target_session_attrs={0}: must be read-write, primary or any, as it will be written to"
    )]
    SessionAttributes(String),
    /// Something between two commas is missing.
    #[error("names a host that is empty")]
    EmptyHost,
}

const SESSION_ATTRIBUTES: &str = "target_session_attrs";

/// How the URL of an embedded database begins.
const EMBEDDED: &str = "sqlite:";

/// The scheme of a server's URL, and the rest.
fn of_server(url: &str) -> Option<(&str, &str)> {
    url.split_once("://").filter(|(scheme, _)| ["postgres", "postgresql"].contains(scheme))
}

/// A URL as it may be shown: without its password. Of what is no URL of a database, nothing may.
#[must_use]
pub fn masked(url: &str) -> String {
    let Some((scheme, rest)) = of_server(url) else {
        return if url.starts_with(EMBEDDED) { url.to_owned() } else { "***".to_owned() };
    };
    // The options may hold a password, too.
    let (place, options) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let options = if options.contains("password") { "" } else { options };
    // Half of a password that should have been escaped, perhaps.
    if rest[place.len()..].contains('@') {
        return format!("{scheme}://***");
    }
    match place.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:***@{host}{options}")
        }
        None => format!("{scheme}://{place}{options}"),
    }
}

/// Reads a URL of the form `postgres://[user[:password]@]host[:port][,host[:port]]…[/database][?options]`, or of an
/// embedded database, which is one server.
///
/// # Errors
/// When it is neither, asks for standbys, or names no host between two commas.
pub fn servers(url: &str) -> Result<Servers, HostsError> {
    let Some((scheme, rest)) = of_server(url) else {
        return if url.starts_with(EMBEDDED) {
            Ok(Servers { urls: vec![url.to_owned()], must_take_writes: false })
        } else {
            Err(HostsError::Scheme)
        };
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A password may hold a slash, or anything else, though it should not.
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let at = if user.is_empty() { "" } else { "@" };
    let (hosts, database) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));

    let (session_attributes, options): (Vec<&str>, Vec<&str>) =
        query.split('&').filter(|option| !option.is_empty()).partition(|option| is_ours(option));
    let mut must_take_writes = false;
    for attribute in session_attributes {
        match attribute.split_once('=').map(|(_, value)| value) {
            Some("read-write" | "primary") => must_take_writes = true,
            Some("any") => {}
            other => return Err(HostsError::SessionAttributes(other.unwrap_or("").to_owned())),
        }
    }
    let query = if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) };
    let hosts: Vec<&str> = hosts.split(',').collect();
    if hosts.len() > 1 && hosts.contains(&"") {
        return Err(HostsError::EmptyHost);
    }
    must_take_writes |= hosts.len() > 1;
    let urls =
        hosts.iter().map(|host| format!("{scheme}://{user}{at}{host}{database}{query}")).collect();
    Ok(Servers { urls, must_take_writes })
}

fn is_ours(option: &str) -> bool {
    option.split('=').next() == Some(SESSION_ATTRIBUTES)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn several_hosts_share_everything_else() {
        let servers =
            servers("postgres://plg:g,e@one:1,two,[::1]:3/plg?target_session_attrs=read-write&sslmode=require")
                .unwrap();
        let urls = [
            "postgres://plg:g,e@one:1/plg?sslmode=require",
            "postgres://plg:g,e@two/plg?sslmode=require",
            "postgres://plg:g,e@[::1]:3/plg?sslmode=require",
        ];
        assert_eq!(servers.urls, urls);
        assert!(servers.must_take_writes);
    }

    #[test]
    fn several_hosts_are_asked_for_writes_whatever_is_said() {
        for attributes in ["", "?target_session_attrs=any"] {
            let servers = servers(&format!("postgresql://one,two{attributes}")).unwrap();
            assert_eq!(servers.urls, ["postgresql://one", "postgresql://two"]);
            assert!(servers.must_take_writes);
        }
    }

    #[test]
    fn an_option_may_hold_what_follows_a_user() {
        let text = "postgres://one,two/plg?application_name=a@b&target_session_attrs=primary";
        let urls = ["one", "two"].map(|host| format!("postgres://{host}/plg?application_name=a@b"));
        assert_eq!(servers(text).unwrap().urls, urls);
    }

    #[test]
    fn one_server_stays_what_it_is() {
        for url in [
            "sqlite://a,b.db?mode=rwc",
            "postgres://plg:geh/@im@db.example:5432/plg?sslmode=require&application_name=a",
            "postgres:///plg?host=/var/run/postgresql",
            // Which the driver does not take.
            "postgres://plg:geh?im@db.example/plg",
            "postgres://%2Fvar%2Frun/plg",
        ] {
            let servers = servers(url).unwrap();
            assert_eq!(servers.urls, [url]);
            assert!(!servers.must_take_writes);
        }
        let one = servers("postgres://one/plg?target_session_attrs=primary").unwrap();
        assert_eq!((one.urls, one.must_take_writes), (vec!["postgres://one/plg".to_owned()], true));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for value in ["standby", "read-only", "prefer-standby", ""] {
            let refused = servers(&format!("postgres://one,two/plg?target_session_attrs={value}"));
            assert_eq!(refused, Err(HostsError::SessionAttributes(value.to_owned())));
        }
        assert_eq!(servers("postgres://one,,two/plg"), Err(HostsError::EmptyHost));
        for url in
            ["mysql://one/plg", "\"postgres://one/plg\"", " postgres://one", "POSTGRES://one", ""]
        {
            assert_eq!(servers(url), Err(HostsError::Scheme));
        }
    }
}
