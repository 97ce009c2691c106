//! What a service key looks like: `plg_`, its public id, and 256 random bits.

use super::sha256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use uuid::Uuid;

/// How a service key begins.
pub const PREFIX: &str = "plg_";

/// A new key: its id, and the key itself, which is shown once.
///
/// # Errors
/// When the system has no random numbers.
pub fn generate() -> Result<(Uuid, String), rand::rand_core::OsError> {
    let key_id = Uuid::new_v4();
    Ok((key_id, format!("{PREFIX}{}_{}", key_id.simple(), random()?)))
}

/// 256 random bits as 43 characters.
pub(super) fn random() -> Result<String, rand::rand_core::OsError> {
    let mut bytes = [0u8; 32];
    OsRng.try_fill_bytes(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The public id in a key.
#[must_use]
pub fn id_of(key: &str) -> Option<Uuid> {
    let (id, _) = key.strip_prefix(PREFIX)?.split_once('_')?;
    Uuid::try_parse(id).ok()
}

/// What is stored of a key.
#[must_use]
pub fn hash(key: &str) -> String {
    hex::encode(sha256(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_id_and_no_more() {
        let (key_id, key) = generate().unwrap();
        assert_eq!(id_of(&key), Some(key_id));
        assert_eq!(key.len(), 4 + 32 + 1 + 43);
        assert_ne!(generate().unwrap().1, key);
        for other in ["", "plg_", "plg_x_y", "plg_00", &key[1..]] {
            assert_eq!(id_of(other), None, "{other}");
        }
        assert_eq!(hash("a"), "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    }
}
