//! Routes whose handlers say who may call them.
//!
//! A handler's first argument has to be a permission: one without does not compile.
//!
//! ```
//! use ingest_api::access::{guard, permit::Public};
//!
//! async fn open(_: Public) -> &'static str { "for everybody, and it says so" }
//! guard::get(open);
//! ```
//!
//! ```compile_fail
//! use ingest_api::access::guard;
//!
//! async fn forgotten() -> &'static str { "for whom?" }
//! guard::get(forgotten);
//! ```

use super::permit::{EventSender, Hotel, Public, RollupReader, TokenMinter};
use actix_web::{FromRequest, Handler, Responder, Route, guard, web};

/// A permission.
pub trait Permit {}

impl<R> Permit for Hotel<R> {}
impl Permit for EventSender {}
impl Permit for TokenMinter {}
impl Permit for RollupReader {}
impl Permit for Public {}

/// Arguments of which the first is a permission.
pub trait Guarded {}

macro_rules! guarded {
    ($(($($rest:ident)*))*) => {$(
        impl<P: Permit, $($rest),*> Guarded for (P, $($rest,)*) {}
    )*};
}

guarded! { () (A) (A B) (A B C) (A B C D) (A B C D E) }

macro_rules! methods {
    ($($method:ident)*) => {$(
        #[doc = concat!("A route of this method: `", stringify!($method), "`.")]
        pub fn $method<F, Args>(handler: F) -> Route
        where
            F: Handler<Args>,
            Args: FromRequest + Guarded + 'static,
            F::Output: Responder + 'static,
        {
            web::$method().to(handler)
        }
    )*};
}

methods! { post put delete }

/// A route of `GET`, and of `HEAD`, whose answer is the same without its body.
pub fn get<F, Args>(handler: F) -> Route
where
    F: Handler<Args>,
    Args: FromRequest + Guarded + 'static,
    F::Output: Responder + 'static,
{
    web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(handler)
}
