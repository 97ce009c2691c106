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
use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Responder, Route, web};

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

macro_rules! routes {
    ($($(#[$doc:meta])* $name:ident: $($method:ident)*;)*) => {$(
        $(#[$doc])*
        pub fn $name<F, Args>(handler: F) -> Route
        where
            F: Handler<Args>,
            Args: FromRequest + Guarded + 'static,
            F::Output: Responder + 'static,
        {
            const METHODS: &[Method] = &[$(Method::$method),*];
            // Actix's own guards note a resource's methods with each request; ours are named where it is registered.
            let is_asked_for = |request: &GuardContext<'_>| METHODS.contains(&request.head().method);
            web::route().guard(fn_guard(is_asked_for)).to(handler)
        }
    )*};
}

routes! {
    /// A route of `GET`, and of `HEAD`, whose answer is the same without its body.
    get: GET HEAD;
    /// A route of `POST`.
    post: POST;
    /// A route of `PUT`.
    put: PUT;
    /// A route of `DELETE`.
    delete: DELETE;
}
