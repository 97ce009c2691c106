//! Listings, a page at a time: one row more than asked for says whether there is another page.

/// Leaves `limit` rows of a page at the most, and says whether others follow.
pub(crate) fn cut<T>(rows: &mut Vec<T>, limit: u64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let others_follow = rows.len() > limit;
    rows.truncate(limit);
    others_follow
}
