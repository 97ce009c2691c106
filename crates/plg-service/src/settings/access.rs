//! Who may call, as far as it is configured. Secrets show neither in `Debug` nor when serialised.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// Fewest characters of a secret. Make it of random ones: `openssl rand -base64 32`.
pub const SECRET_MIN_CHARS: usize = 32;

/// Longest life of a session token, in seconds.
pub const SESSION_SECONDS_MAX: u32 = 86_400;

/// Who may call.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccessSettings {
    /// A key that may do everything.
    #[serde(serialize_with = "masked")]
    pub root_key: SecretString,
    root_key_file: String,
    /// Signs session tokens.
    #[serde(serialize_with = "masked")]
    pub session_secret: SecretString,
    session_secret_file: String,
    /// Signed them before.
    #[serde(serialize_with = "masked")]
    pub previous_session_secret: SecretString,
    /// How long a session token is valid.
    pub session_seconds: u32,
    /// How far clocks may be off.
    pub clock_skew_seconds: u32,
    /// How often the service keys are read again.
    pub refresh_seconds: u32,
    /// Tokens that the deployment's own login signs.
    pub jwt: JwtSettings,
}

/// Tokens that the deployment's own login signs.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSettings {
    /// The only algorithm that is accepted.
    pub algorithm: JwtAlgorithm,
    /// Of HS256.
    #[serde(serialize_with = "masked")]
    pub secret: SecretString,
    secret_file: String,
    /// Of the others: a file with a JSON Web Key Set.
    pub jwks_file: String,
    /// Or the URL of one.
    #[serde(serialize_with = "masked_url")]
    pub jwks_url: String,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be, or contain.
    pub audience: String,
    /// Where the user's UUID is.
    pub user_claim: String,
    /// Where the hotel's UUID is.
    pub hotel_claim: String,
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum JwtAlgorithm {
    /// No such tokens are accepted.
    #[serde(rename = "")]
    None,
    /// With a shared secret.
    HS256,
    /// With an RSA key.
    RS256,
    /// With an Ed25519 key.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// A secret that cannot be used. Does not show it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Anybody could guess it.
    #[error("{0} must have at least {SECRET_MIN_CHARS} characters (try `openssl rand -base64 32`)")]
    TooShort(&'static str),
    /// Not readable.
    #[error("cannot read the file {file:?} of {key}: {cause}")]
    File {
        /// Which setting names it.
        key: &'static str,
        /// Its name.
        file: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Which of the two?
    #[error("set either {0} or {0}_file, not both")]
    Both(&'static str),
    /// Which of the two?
    #[error("set either access.jwt.jwks_file or access.jwt.jwks_url, not both")]
    TwoKeySets,
    /// A setting that another one needs.
    #[error("access.jwt.algorithm is set, so {0} must be set too")]
    Missing(&'static str),
    /// Without it the others do nothing.
    #[error(
        "access.jwt.{0} is set, so access.jwt.algorithm must be set too (HS256, RS256 or EdDSA): no \
         token of your login is accepted without it"
    )]
    NoAlgorithm(&'static str),
}

/// Whether a secret was set.
#[must_use]
pub fn is_set(secret: &SecretString) -> bool {
    !secret.expose_secret().is_empty()
}

impl AccessSettings {
    /// The same with the secrets that files hold, all of them checked. Only who lets callers in reads
    /// them: the others share the configuration, and perhaps not the files.
    ///
    /// # Errors
    /// Says which secret cannot be used, and why.
    pub fn with_secrets(&self) -> Result<Self, SecretError> {
        let mut access = self.clone();
        access.read_files()?;
        Ok(access)
    }

    fn read_files(&mut self) -> Result<(), SecretError> {
        read("access.root_key", &mut self.root_key, &self.root_key_file)?;
        read("access.session_secret", &mut self.session_secret, &self.session_secret_file)?;
        read("access.previous_session_secret", &mut self.previous_session_secret, "")?;
        let jwt = &mut self.jwt;
        read("access.jwt.secret", &mut jwt.secret, &jwt.secret_file)?;
        if !jwt.jwks_file.is_empty() && !jwt.jwks_url.is_empty() {
            return Err(SecretError::TwoKeySets);
        }
        let missing = match jwt.algorithm {
            JwtAlgorithm::None => return jwt.is_unused(),
            _ if jwt.issuer.is_empty() => Some("access.jwt.issuer"),
            _ if jwt.audience.is_empty() => Some("access.jwt.audience"),
            JwtAlgorithm::HS256 if !is_set(&jwt.secret) => Some("access.jwt.secret"),
            JwtAlgorithm::HS256 => None,
            _ if jwt.jwks_file.is_empty() && jwt.jwks_url.is_empty() => {
                Some("access.jwt.jwks_file or access.jwt.jwks_url")
            }
            _ => None,
        };
        missing.map_or(Ok(()), |key| Err(SecretError::Missing(key)))
    }
}

impl JwtSettings {
    /// Nothing is set that an algorithm would need.
    fn is_unused(&self) -> Result<(), SecretError> {
        let needed = [
            ("secret", is_set(&self.secret)),
            ("jwks_file", !self.jwks_file.is_empty()),
            ("jwks_url", !self.jwks_url.is_empty()),
            ("issuer", !self.issuer.is_empty()),
            ("audience", !self.audience.is_empty()),
        ];
        let set = needed.into_iter().find(|(_, is_set)| *is_set);
        set.map_or(Ok(()), |(key, _)| Err(SecretError::NoAlgorithm(key)))
    }
}

fn read(key: &'static str, secret: &mut SecretString, file: &str) -> Result<(), SecretError> {
    if !file.is_empty() {
        if is_set(secret) {
            return Err(SecretError::Both(key));
        }
        let error = |cause| SecretError::File { key, file: file.to_owned(), cause };
        let text = std::fs::read_to_string(file).map_err(error)?;
        *secret = SecretString::from(text.trim_end());
    }
    let length = secret.expose_secret().chars().count();
    let usable = length >= SECRET_MIN_CHARS || (length == 0 && file.is_empty());
    if usable { Ok(()) } else { Err(SecretError::TooShort(key)) }
}

/// A URL for people: without user, query and fragment, which may hold secrets.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    let (place, rest) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let rest = rest.get(..1).map(|mark| format!("{mark}***")).unwrap_or_default();
    let (scheme, place) = place.split_once("://").map_or(("", place), |(s, place)| (s, place));
    let mark = if scheme.is_empty() { "" } else { "://" };
    match place.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}{mark}***@{place}{rest}"),
        None => format!("{scheme}{mark}{place}{rest}"),
    }
}

/// See [`without_secrets`].
pub(crate) fn masked_url<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&without_secrets(url))
}

fn masked<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if is_set(secret) { "***" } else { "" })
}

#[cfg(test)]
mod tests {
    use crate::Settings;
    use secrecy::{ExposeSecret as _, SecretString};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn secrets_do_not_show() {
        let mut settings = Settings::defaults().unwrap();
        settings.access.root_key = SecretString::from(SECRET);
        settings.access.session_secret = SecretString::from(SECRET);
        settings.access.jwt.secret = SecretString::from(SECRET);
        assert!(!format!("{settings:?}").contains(SECRET));
        let shown = serde_json::to_string(&settings.access).unwrap();
        assert!(!shown.contains(SECRET) && shown.contains("***"), "{shown}");
    }

    #[test]
    fn short_secrets_are_refused_and_files_are_read() {
        let mut access = Settings::defaults().unwrap().access;
        access.root_key = SecretString::from(&SECRET[1..]);
        let complaint = access.read_files().unwrap_err().to_string();
        assert!(complaint.contains("access.root_key must have at least 32"), "{complaint}");
        assert!(!complaint.contains(&SECRET[1..]));

        let file = std::env::temp_dir().join(format!("plg-secret-{}", std::process::id()));
        std::fs::write(&file, format!("{SECRET}\n")).unwrap();
        access.root_key = SecretString::default();
        access.root_key_file = file.display().to_string();
        access.read_files().unwrap();
        assert_eq!(access.root_key.expose_secret(), SECRET);
        assert!(access.read_files().unwrap_err().to_string().contains("not both"));

        access.root_key = SecretString::default();
        std::fs::write(&file, "").unwrap();
        assert!(access.read_files().unwrap_err().to_string().contains("at least 32"));
        std::fs::remove_file(&file).unwrap();
        assert!(access.read_files().unwrap_err().to_string().contains("access.root_key"));
    }

    #[test]
    fn settings_of_a_login_need_its_algorithm() {
        let with = |set: fn(&mut super::JwtSettings)| {
            let mut access = Settings::defaults().unwrap().access;
            set(&mut access.jwt);
            access.read_files().unwrap_err().to_string()
        };
        let complaints = [
            ("issuer", with(|jwt| jwt.issuer = "https://login.example".to_owned())),
            ("audience", with(|jwt| jwt.audience = "plg".to_owned())),
            ("secret", with(|jwt| jwt.secret = SecretString::from(SECRET))),
            ("jwks_file", with(|jwt| jwt.jwks_file = "/etc/keys.json".to_owned())),
            ("jwks_url", with(|jwt| jwt.jwks_url = "https://login.example/keys".to_owned())),
        ];
        for (key, complaint) in complaints {
            let begins =
                format!("access.jwt.{key} is set, so access.jwt.algorithm must be set too");
            assert!(complaint.starts_with(&begins) && complaint.contains("EdDSA"), "{complaint}");
        }
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (url, shown) in [
            ("https://login.example/keys", "https://login.example/keys"),
            ("https://u:p@login.example/keys?key=geheim", "https://***@login.example/keys?***"),
            ("https://login.example/?a=b@c", "https://login.example/?***"),
            ("u:p@login.example#geheim", "***@login.example#***"),
            ("", ""),
        ] {
            assert_eq!(super::without_secrets(url), shown);
        }
    }

    #[test]
    fn tokens_of_a_login_need_all_their_settings() {
        let mut access = Settings::defaults().unwrap().access;
        access.jwt.algorithm = super::JwtAlgorithm::HS256;
        let missing = |access: &mut super::AccessSettings, key| {
            let complaint = access.read_files().unwrap_err().to_string();
            assert!(complaint.contains(key), "{complaint}");
        };
        missing(&mut access, "access.jwt.issuer");
        access.jwt.issuer = "https://login.example".to_owned();
        missing(&mut access, "access.jwt.audience");
        access.jwt.audience = "plg".to_owned();
        missing(&mut access, "access.jwt.secret");
        access.jwt.secret = SecretString::from(SECRET);
        access.read_files().unwrap();
    }
}
