//! Permissions as extractors: a handler that takes one is called only by those who may.

use super::Admitted;
use crate::app::State;
use crate::input;
use crate::problem::{Code, Problem};
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, dev, web};
use futures_util::future::LocalBoxFuture;
use plg_core::access::{Caller, Permission, Refusal};
use plg_core::event::Command;
use plg_core::ids::HotelId;
use std::marker::PhantomData;
use std::sync::Arc;

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::forbidden(refusal.field(), refusal)
    }
}

/// Who calls. Fails without a valid credential, and when it has sent too many requests.
fn caller(request: &HttpRequest) -> impl Future<Output = Result<Arc<Caller>, Problem>> + use<> {
    let (state, credential) = (state(request), credential(request));
    let request = request.clone();
    async move {
        let admitted = state?.access.admit(&credential?).await?;
        let Admitted { caller, credential, allowance } = admitted;
        // For its body, and for the log.
        request.extensions_mut().insert(credential);
        if let Some((allowance, admitted)) = allowance {
            // For the headers of the answer, whatever that will be.
            request.extensions_mut().insert(allowance);
            admitted?;
        }
        Ok(caller)
    }
}

fn credential(request: &HttpRequest) -> Result<String, Problem> {
    let problem = |detail: &str| Problem::new(Code::Unauthenticated, detail);
    let mut values = request.headers().get_all(AUTHORIZATION);
    let Some(value) = values.next() else {
        return Err(problem("send Authorization: Bearer, with a service key or a session token"));
    };
    if values.next().is_some() {
        return Err(problem("send Authorization once"));
    }
    let value = value.to_str().map_err(|_| problem("Authorization must be ASCII"))?;
    match value.split_once(' ') {
        Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => {
            Ok(credential.trim().to_owned())
        }
        _ => Err(problem("Authorization must be Bearer, with a service key or a session token")),
    }
}

fn state(request: &HttpRequest) -> Result<web::Data<State>, Problem> {
    let state = request.app_data::<web::Data<State>>().cloned();
    state.ok_or_else(|| Problem::new(Code::Internal, "the service has no state"))
}

/// A right to something of one hotel.
pub trait Right: 'static {
    /// Which.
    const PERMISSION: Permission;
}

macro_rules! rights {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl Right for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

rights! {
    /// To record its billable actions.
    Act;
    /// To read what it uses.
    ReadUsage;
    /// To read its seats, log and plan.
    ReadHotel;
    /// To change its plan.
    ChangeHotel;
}

/// The hotel that the path names, for a caller who has this right there.
#[derive(Debug)]
pub struct Hotel<R> {
    /// Which.
    pub id: HotelId,
    right: PhantomData<R>,
}

impl<R: Right> FromRequest for Hotel<R> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let hotel_id = input::path_uuid(request, "hotel_id").map(HotelId);
        let caller = caller(request);
        Box::pin(async move {
            let caller = caller.await?;
            let hotel_id = hotel_id?;
            caller.may(R::PERMISSION, hotel_id)?;
            Ok(Self { id: hotel_id, right: PhantomData })
        })
    }
}

macro_rules! from_caller {
    ($name:ident, |$caller:ident| $allowed:expr, $make:expr) => {
        impl FromRequest for $name {
            type Error = Problem;
            type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
                let caller = caller(request);
                Box::pin(async move {
                    let $caller = caller.await?;
                    $allowed?;
                    Ok($make($caller))
                })
            }
        }
    };
}

/// A caller who may send events: which ones is asked for each.
#[derive(Debug)]
pub struct EventSender(Arc<Caller>);

from_caller!(EventSender, |caller| caller.may_send_events(), EventSender);

impl EventSender {
    /// Counts an array of so many items against the caller's limit.
    ///
    /// # Errors
    /// When these are more than the caller may send now.
    pub fn count(&self, request: &HttpRequest, items: usize) -> Result<(), Problem> {
        let allowance = state(request)?.access.limits.check_array(&self.0, items)?;
        if let Some(allowance) = allowance {
            request.extensions_mut().insert(allowance);
        }
        Ok(())
    }

    /// Lets an event pass that this caller may send.
    ///
    /// # Errors
    /// Names the field that is not the caller's.
    pub fn permit(&self, command: Command) -> Result<Command, Problem> {
        self.0.may_send(command.event())?;
        Ok(match *self.0 {
            Caller::Browser { .. } => command.from_browser(),
            Caller::Service(_) => command,
        })
    }
}

/// A caller who may mint session tokens: for which hotel is asked for each.
#[derive(Debug)]
pub struct TokenMinter(Arc<Caller>);

from_caller!(TokenMinter, |caller| caller.is_backend(), TokenMinter);

impl TokenMinter {
    /// Whether this caller may mint tokens for a hotel.
    ///
    /// # Errors
    /// When the hotel, or the right, is not the caller's.
    pub fn permit(&self, hotel_id: HotelId) -> Result<(), Problem> {
        Ok(self.0.may(Permission::MintTokens, hotel_id)?)
    }
}

/// A caller who may see the runs of the reconciliation.
#[derive(Debug)]
pub struct RollupReader(());

from_caller!(RollupReader, |caller| caller.may_see_rollups(), |_| RollupReader(()));

/// Anybody, with or without a credential.
#[derive(Debug)]
pub struct Public;

impl FromRequest for Public {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(_: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        std::future::ready(Ok(Self))
    }
}
