//! Service keys: who they are given to, what they may do, and a hash to know them by.

use crate::dialect::{Rows, Sql};
use crate::error::StoreError;
use crate::schema::api_key::{ActiveModel, Column, Entity, Model};
use chrono::{DateTime, Utc};
use plg_core::access::{Grant, Scope};
use plg_core::ids::HotelId;
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Most keys that may be valid at once: a service holds all of them in memory.
pub const ACTIVE_MAX: u64 = 10_000;
/// Most keys that a listing shows, newest first.
pub const LISTED_MAX: u64 = 10_000;

/// A service key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public part.
    pub key_id: Uuid,
    /// Who it was given to.
    pub name: String,
    /// Hexadecimal SHA-256 of the whole key.
    pub secret_hash: String,
    /// What it may do.
    pub grant: Grant,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When a service last noted its use.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl TryFrom<Model> for ApiKey {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let scopes: BTreeSet<Scope> = serde_json::from_value(row.scopes.clone())
            .map_err(|_| StoreError::corrupt("scopes", row.scopes.to_string()))?;
        let hotels = row.hotel_ids.map(|hotels| {
            serde_json::from_value::<BTreeSet<HotelId>>(hotels.clone())
                .map_err(|_| StoreError::corrupt("hotel_ids", hotels.to_string()))
        });
        Ok(Self {
            key_id: row.key_id,
            name: row.name,
            secret_hash: row.secret_hash,
            grant: Grant { scopes, hotels: hotels.transpose()? },
            created_at: row.created_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
    }
}

/// Stores a new key.
///
/// # Errors
/// When the database cannot be written.
pub async fn insert(db: &impl ConnectionTrait, key: &ApiKey) -> Result<(), StoreError> {
    let json = |value: serde_json::Result<serde_json::Value>| {
        value.map_err(|_| StoreError::corrupt("grant", "not representable"))
    };
    let row = ActiveModel {
        key_id: ActiveValue::Set(key.key_id),
        name: ActiveValue::Set(key.name.clone()),
        secret_hash: ActiveValue::Set(key.secret_hash.clone()),
        scopes: ActiveValue::Set(json(serde_json::to_value(&key.grant.scopes))?),
        hotel_ids: ActiveValue::Set(
            key.grant
                .hotels
                .as_ref()
                .map(|hotels| json(serde_json::to_value(hotels)))
                .transpose()?,
        ),
        created_at: ActiveValue::Set(key.created_at),
        revoked_at: ActiveValue::Set(key.revoked_at),
        last_used_at: ActiveValue::Set(key.last_used_at),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// How many keys are valid.
///
/// # Errors
/// When the database cannot be read.
pub async fn count_active(db: &impl ConnectionTrait) -> Result<u64, StoreError> {
    Ok(Entity::find().filter(Column::RevokedAt.is_null()).count(db).await?)
}

/// The keys that are valid.
///
/// # Errors
/// When the database cannot be read.
pub async fn active(db: &impl ConnectionTrait) -> Result<Vec<ApiKey>, StoreError> {
    let rows = Entity::find().filter(Column::RevokedAt.is_null()).limit(ACTIVE_MAX).all(db).await?;
    // One that a newer program has made, perhaps. The others stay valid, and can be revoked.
    let readable = |row: Model| {
        let key_id = row.key_id;
        ApiKey::try_from(row)
            .inspect_err(|error| tracing::error!(%key_id, %error, "a service key is left out"))
            .ok()
    };
    Ok(rows.into_iter().filter_map(readable).collect())
}

/// All keys, newest first, at most [`LISTED_MAX`].
///
/// # Errors
/// When the database cannot be read.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<ApiKey>, StoreError> {
    let newest = Entity::find().order_by_desc(Column::CreatedAt).limit(LISTED_MAX);
    newest.all(db).await?.into_iter().map(ApiKey::try_from).collect()
}

/// Revokes a key, and says whether it was valid.
///
/// # Errors
/// When the database cannot be written.
pub async fn revoke(
    db: &impl ConnectionTrait,
    key_id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let update = Entity::update_many()
        .set(ActiveModel { revoked_at: ActiveValue::Set(Some(now)), ..Default::default() })
        .filter(Column::KeyId.eq(key_id).and(Column::RevokedAt.is_null()));
    Ok(update.exec(db).await?.rows_affected > 0)
}

/// Notes when keys were last used.
///
/// # Errors
/// When the database cannot be written.
pub async fn note_use(
    db: &impl ConnectionTrait,
    uses: &[(Uuid, DateTime<Utc>)],
) -> Result<(), StoreError> {
    if uses.is_empty() {
        return Ok(());
    }
    let rows = Rows::new()
        .uuid("key_id", uses.iter().map(|(key_id, _)| *key_id))
        .instant("used_at", uses.iter().map(|(_, used_at)| *used_at));
    let update =
        Sql::new(db, "update api_key as k set last_used_at = t.used_at from ").rows(rows).text(
            " where k.key_id = t.key_id \
             and (k.last_used_at is null or k.last_used_at < t.used_at)",
        );
    db.execute_raw(update.statement()).await?;
    Ok(())
}
