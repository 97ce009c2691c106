//! `ingest-api healthcheck`: asks the service of the same settings whether it is ready, for containers
//! that have neither a shell nor curl.

use plg_service::settings::ServerSettings;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long the service may take to answer.
const DEADLINE: Duration = Duration::from_secs(4);
/// Longest answer that is read, in bytes.
const ANSWER_MAX_BYTES: u64 = 16 * 1024;

type Error = Box<dyn std::error::Error>;

/// Says that it is ready.
///
/// # Errors
/// Says why it is not.
pub(crate) fn run(server: &ServerSettings) -> Result<String, Error> {
    let address = SocketAddr::new(reachable(server.host), server.port);
    let answer =
        ask(address).map_err(|error| format!("nobody answers at http://{address}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) == Some("200") {
        Ok("ready".to_owned())
    } else {
        Err(format!("not ready: {}", body.trim()).into())
    }
}

/// A service that listens everywhere listens on loopback too.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
