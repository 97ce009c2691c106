//! Who calls, and what they may do.
//!
//! `Authorization: Bearer …` is a service key (`plg_…`, or the root key) or a signed token of a
//! browser. `Access` tells which, and who that is; the extractors of [`permit`] ask
//! [`plg_core::access`] what the caller may do. A route gets its hotel only from such an extractor,
//! and [`guard`] registers no handler without one.

pub(crate) mod development;
pub mod guard;
pub mod key;
mod keyset;
pub(crate) mod limits;
pub mod permit;
mod ring;
pub(crate) mod token;

use crate::problem::{Code, Problem};
use development::Development;
use limits::{Allowance, Credential, Limits};
use plg_core::access::{Caller, Grant};
use plg_service::settings::access::{SecretError, is_set};
use plg_service::{Settings, SharedClock};
use plg_store::StoreError;
use ring::KeyRing;
use sea_orm::DatabaseConnection;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use token::Tokens;

/// Why nobody can be let in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No key exists.
    #[error(
        "nobody could call: make a service key with `ingest-api keys create --name backend \
         --scope events:write,actions:write,usage:read` (and the same DATABASE_URL), or set \
         PLG__ACCESS__ROOT_KEY"
    )]
    NoKey,
    /// Nothing to sign with.
    #[error(
        "browsers need session tokens, and nothing signs them: set PLG__ACCESS__SESSION_SECRET, the \
         same on every replica (try `openssl rand -base64 32`)"
    )]
    NoSessionSecret,
    /// A secret that cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The development key cannot be kept.
    #[error("cannot keep the development key in {}: {cause}", file.display())]
    Development {
        /// Where.
        file: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A key set that cannot be used.
    #[error("the key set of access.jwt, {place:?}: {cause}")]
    KeySet {
        /// Its file or URL.
        place: String,
        /// What is wrong.
        cause: String,
    },
    /// The keys cannot be read.
    #[error("cannot read the service keys: {0}")]
    Store(#[from] StoreError),
}

/// Knows the credentials.
pub(crate) struct Access {
    root: Option<[u8; 32]>,
    everything: Arc<Caller>,
    ring: Arc<KeyRing>,
    tokens: Tokens,
    limits: Arc<Limits>,
}

/// Who calls, and how many requests more they may send.
pub(crate) struct Admitted {
    pub(crate) caller: Arc<Caller>,
    pub(crate) credential: Credential,
    pub(crate) allowance: Option<(Allowance, Result<(), Problem>)>,
}

impl Access {
    /// Reads the configuration and the service keys, and keeps looking for new ones on the current
    /// runtime. Says which key the embedded default has, if that is in use.
    ///
    /// # Errors
    /// When nobody could call, or the service could not tell who does.
    pub(crate) async fn open(
        settings: &Settings,
        db: DatabaseConnection,
        clock: SharedClock,
    ) -> Result<(Self, Option<Development>), AccessError> {
        let mut access = settings.access.with_secrets()?;
        let ring = KeyRing::open(db, Arc::clone(&clock), access.refresh_seconds).await?;
        let mut development = None;
        if settings.database.url.is_embedded()
            && settings.server.host.is_loopback()
            && !is_set(&access.root_key)
        {
            let own = Development::open(&settings.database.url)?;
            access.root_key = SecretString::from(own.key());
            if !is_set(&access.session_secret) {
                access.session_secret = SecretString::from(own.session_secret());
            }
            development = Some(own);
        }
        let root = is_set(&access.root_key).then(|| sha256(access.root_key.expose_secret()));
        if root.is_none() && ring.is_empty() {
            return Err(AccessError::NoKey);
        }
        if !is_set(&access.session_secret) {
            return Err(AccessError::NoSessionSecret);
        }
        let everything = Arc::new(Caller::Service(Grant::everything()));
        let limits = Limits::new(settings.rate_limit, &clock);
        tokio::spawn(limits::keep_small(Arc::downgrade(&limits)));
        let tokens = Tokens::new(&access, clock).await?;
        Ok((Self { root, everything, ring, tokens, limits }, development))
    }

    /// Signs and understands session tokens.
    #[must_use]
    pub(crate) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Who presents this credential, once more.
    ///
    /// # Errors
    /// When nobody is known by it.
    pub(crate) async fn admit(&self, credential: &str) -> Result<Admitted, Problem> {
        let (caller, credential) = self.caller(credential).await?;
        let allowance = self.limits.check(credential);
        Ok(Admitted { caller, credential, allowance })
    }

    async fn caller(&self, credential: &str) -> Result<(Arc<Caller>, Credential), Problem> {
        let unknown = || Problem::new(Code::Unauthenticated, "this credential is not valid");
        let digest = sha256(credential);
        if let Some(root) = self.root
            && bool::from(root.ct_eq(&digest))
        {
            return Ok((Arc::clone(&self.everything), Credential::Root));
        }
        if credential.starts_with(key::PREFIX) {
            let Some(key_id) = key::id_of(credential) else { return Err(unknown()) };
            let caller = self.ring.caller(key_id, &digest).await?.ok_or_else(unknown)?;
            return Ok((caller, Credential::Key(key_id)));
        }
        match self.tokens.names(credential) {
            Ok((hotel_id, user_id)) => {
                let caller = Arc::new(Caller::Browser { hotel_id, user_id });
                Ok((caller, Credential::Browser(hotel_id, user_id)))
            }
            Err(token::TokenError::Expired) => {
                Err(Problem::new(Code::Unauthenticated, "this session token has expired"))
            }
            Err(token::TokenError::Invalid) => Err(unknown()),
        }
    }
}

pub(crate) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
