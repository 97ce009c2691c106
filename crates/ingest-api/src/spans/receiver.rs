//! The way to the receiver: by the HTTP client and on the runtime that are there anyway.

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a batch may take. Shorter than the 5 s of a flush, which may have to wait for one.
const SEND_DEADLINE: Duration = Duration::from_secs(3);
/// Largest answer, in bytes. It says at most what was refused.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Where a receiver takes traces.
///
/// # Errors
/// When there cannot be a receiver. Does not show the URL: somebody may have put a password into it.
pub(super) fn traces_url(endpoint: &str) -> Result<String, String> {
    let url = endpoint.parse::<Url>().ok().filter(|url| {
        let is_plain = url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && is_plain && is_anonymous
    });
    let url = url.ok_or_else(|| {
        "traces.endpoint must be an http or https URL such as http://collector:4318, without \
         credentials (OTEL_EXPORTER_OTLP_HEADERS is for those) and without a query"
            .to_owned()
    })?;
    Ok(format!("{}/v1/traces", url.as_str().trim_end_matches('/')))
}

/// Whoever takes the traces.
#[derive(Debug)]
pub(super) struct Receiver {
    client: Client,
    runtime: Handle,
    is_away: AtomicBool,
}

impl Receiver {
    /// At a URL.
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let client = Client::builder()
            // The headers may hold a secret.
            .redirect(Policy::none())
            .timeout(SEND_DEADLINE)
            // Reading the system's certificates takes a while.
            .tls_built_in_root_certs(url.starts_with("https:"))
            .build()
            .map_err(|cause| reasons(&cause))?;
        Ok(Self { client, runtime: Handle::current(), is_away: AtomicBool::new(false) })
    }

    /// Tells once that it is away and once that it is back, not at every batch.
    fn tell(&self, failure: Option<&HttpError>) {
        let was_away = self.is_away.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(cause) if !was_away => {
                let cause = reasons(&**cause);
                tracing::warn!(cause, "spans are lost: their receiver does not take them");
            }
            None if was_away => tracing::info!("the receiver takes spans again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Receiver {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The client needs a runtime, and the thread that sends has none.
        let sent = self.runtime.spawn(send(self.client.clone(), request)).await;
        let sent = sent.unwrap_or_else(|cause| Err(cause.into()));
        self.tell(sent.as_ref().err());
        sent
    }
}

async fn send(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let request = reqwest::Request::try_from(request)?;
    // Of some vendors the URL is a secret.
    let failed = reqwest::Error::without_url;
    let mut response = client.execute(request).await.map_err(failed)?;
    let status = response.status();
    // A redirection is not followed, and no success.
    if !status.is_success() {
        return Err(format!("it answers {status}").into());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX_BYTES {
            return Err(format!("it answers with more than {ANSWER_MAX_BYTES} bytes").into());
        }
    }
    Ok(Response::new(body.into()))
}

/// An error and its causes: the outermost says no more than that sending failed.
fn reasons(error: &(dyn Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |&error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receiver_is_a_plain_url() {
        for base in ["http://collector:4318", "http://collector:4318/"] {
            assert_eq!(traces_url(base).unwrap(), "http://collector:4318/v1/traces");
        }
        let vendor = traces_url("https://otlp.example/tenant").unwrap();
        assert_eq!(vendor, "https://otlp.example/tenant/v1/traces");
        for wrong in
            ["collector:4318", "nonsense", "grpc://x", "http://u:geheim@x", "http://x?k=geheim"]
        {
            let complaint = traces_url(wrong).unwrap_err();
            assert!(complaint.contains("traces.endpoint") && !complaint.contains("geheim"));
        }
    }
}
