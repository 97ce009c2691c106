//! A load over plain HTTP/1.1 connections: actions with unique keys, alone or among views, arrays, or reads.
//!
//! *Closed loop*: each connection sends its next request when it has the answer to the last one.
//! *Constant rate*: requests are due at fixed times, and their latency counts from when they were due,
//! so a server that stands still is charged for everyone who had to wait.

use crate::pace::Pace;
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What to send.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// Connections, all open from the start.
    pub(crate) connections: usize,
    /// Hotels that take turns.
    pub(crate) hotels: u64,
    /// How long, after a quarter of that to warm up.
    pub(crate) duration: Duration,
    /// Requests a second in all; `None` is a closed loop.
    pub(crate) rate: Option<f64>,
    /// Which request.
    pub(crate) what: What,
    /// How actions are told apart.
    pub(crate) ids: Ids,
    /// A service key that may do it.
    pub(crate) key: String,
}

/// How actions are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ids {
    /// By numbers that count up, as from a sequence of a table of jobs.
    Numbered,
    /// By UUIDs of version 4, which have no order at all.
    Random,
}

/// Which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// A billable action.
    Import,
    /// Nothing that needs a database: what HTTP alone costs.
    Livez,
    /// A free check of a quota.
    QuotaCheck,
    /// All quotas of a hotel.
    Usage,
    /// An array of [`ITEMS`] events of one hotel, each with an id.
    Array,
    /// What a product sends: in turn, of each hotel, a billable action, and three views of one session, of which the first
    /// counts.
    Mixed,
}

/// Events of an array.
pub(crate) const ITEMS: u64 = 1000;

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Requests answered well, a second.
    pub(crate) rate: f64,
    /// Latencies in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Latencies of those that were refused with 503, in microseconds.
    pub(crate) refused: Histogram<u64>,
    /// Requests answered otherwise, or not at all.
    pub(crate) failures: u64,
}

impl Outcome {
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        quantile_ms(&self.latency, quantile)
    }

    pub(crate) fn refused_quantile_ms(&self, quantile: f64) -> f64 {
        quantile_ms(&self.refused, quantile)
    }
}

fn quantile_ms(latency: &Histogram<u64>, quantile: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a short run")]
    let micros = latency.value_at_quantile(quantile) as f64;
    micros / 1000.0
}

/// Distinguishes the keys of runs on one database.
static RUN: AtomicU64 = AtomicU64::new(0);

/// Runs the load. A constant rate is sent by one thread, as one has time for it: on several, each with its own queue, some
/// of those whose turn it was were woken a tenth of a second late.
pub(crate) async fn run(load: &Load) -> Outcome {
    if load.rate.is_none() {
        return send(load).await;
    }
    let load = load.clone();
    let alone = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(send(&load))
    };
    tokio::task::spawn_blocking(alone).await.expect("a load runs")
}

async fn send(load: &Load) -> Outcome {
    // Once, instead of once for each client.
    TcpStream::connect(load.address).await.expect("something listens at --address");
    let run = format!("{}-{}", std::process::id(), RUN.fetch_add(1, Ordering::Relaxed));
    let numbers = Arc::new(AtomicU64::new(0));
    let begin = Instant::now() + Duration::from_millis(200);
    let measure = begin + load.duration / 4;
    let end = measure + load.duration;
    let seen: Vec<_> = (0..SHARDS).map(|_| Arc::new(Mutex::new(Seen::default()))).collect();
    let pace = load.rate.map(|rate| Pace::new(load.connections, rate, begin));
    if let Some(pace) = &pace {
        // Ends with its runtime, which is this load's own.
        tokio::spawn(Arc::clone(pace).run());
    }
    let mut clients = Vec::new();
    for index in 0..load.connections {
        let client = Client {
            load: load.clone(),
            run: run.clone(),
            numbers: Arc::clone(&numbers),
            seen: Arc::clone(&seen[index % SHARDS]),
            measure,
            end,
            index,
            pace: pace.clone(),
        };
        clients.push(tokio::spawn(client.run()));
    }
    for client in clients {
        client.await.expect("a client runs");
    }
    let Seen { mut latency, mut refused, mut failures } = Seen::default();
    for shard in seen {
        let shard = shard.lock().expect("no client has failed");
        latency.add(&shard.latency).expect("same bounds");
        refused.add(&shard.refused).expect("same bounds");
        failures += shard.failures;
    }
    let rate = latency.len() as f64 / load.duration.as_secs_f64();
    Outcome { rate, latency, refused, failures }
}

/// Histograms are large: one for each of thousands of clients would push everything else out of the cache.
const SHARDS: usize = 4;

/// What some of the clients have seen.
struct Seen {
    latency: Histogram<u64>,
    refused: Histogram<u64>,
    failures: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { latency: histogram(), refused: histogram(), failures: 0 }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).expect("bounds")
}

struct Client {
    load: Load,
    run: String,
    numbers: Arc<AtomicU64>,
    seen: Arc<Mutex<Seen>>,
    measure: Instant,
    end: Instant,
    /// Which of the clients it is.
    index: usize,
    pace: Option<Arc<Pace>>,
}

impl Client {
    async fn run(self) {
        let mut stream = self.connect().await;
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        for before in 0.. {
            let start = match &self.pace {
                Some(pace) => pace.turn(self.index, before).await,
                None => Instant::now(),
            };
            if start >= self.end {
                return;
            }
            self.write_request(&mut request);
            let status = exchange(&mut stream, &request, &mut answer).await;
            let now = Instant::now();
            if status.is_err() {
                stream = self.connect().await;
            }
            if start >= self.measure && now <= self.end + Duration::from_secs(60) {
                let micros = (now - start).as_micros().clamp(1, 120_000_000);
                let micros = u64::try_from(micros).unwrap_or(1);
                let mut seen = self.seen.lock().expect("no client has failed");
                match status {
                    Ok(200..300) => seen.latency.record(micros).expect("in bounds"),
                    Ok(503) => seen.refused.record(micros).expect("in bounds"),
                    _ => seen.failures += 1,
                }
            }
        }
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.load.address).await.expect("connects");
        stream.set_nodelay(true).expect("an option");
        stream
    }

    fn write_request(&self, request: &mut Vec<u8>) {
        const USER: &str = "00000000-0000-0000-0000-000000000007";
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        // Odd multiples of it visit every hotel, in no order that an index would like.
        let place = number.wrapping_mul(0x9e37_79b9) % self.load.hotels;
        let hotel = uuid::Uuid::from_u128(u128::from(place));
        let run = &self.run;
        let id = match self.load.ids {
            Ids::Numbered => format!("{run}-{number}"),
            Ids::Random => uuid::Uuid::new_v4().to_string(),
        };
        // How often the hotel had its turn; each began elsewhere.
        let turn = number / self.load.hotels + place;
        let (line, body) = match self.load.what {
            What::Mixed if !turn.is_multiple_of(4) => {
                let session = turn / 4;
                let body = format!(
                    r#"{{"event_type":"paywall_view","hotel_id":"{hotel}","user_id":"{USER}","session_id":"{run}-{session}"}}"#
                );
                ("POST /v1/events".to_owned(), body)
            }
            What::Import | What::Mixed => (
                format!("POST /v1/hotels/{hotel}/imports"),
                format!(r#"{{"job_id":"{id}","user_id":"{USER}"}}"#),
            ),
            What::Array => {
                let item = |n: u64| {
                    format!(
                        r#"{{"event_type":"upgrade_click","hotel_id":"{hotel}","user_id":"{USER}","id":"{id}-{n}"}}"#
                    )
                };
                let items = (0..ITEMS).map(item).collect::<Vec<_>>().join(",");
                ("POST /v1/events".to_owned(), format!("[{items}]"))
            }
            What::Livez => ("GET /livez".to_owned(), String::new()),
            What::QuotaCheck => (format!("GET /v1/hotels/{hotel}/quotas/imports"), String::new()),
            What::Usage => (format!("GET /v1/hotels/{hotel}/usage"), String::new()),
        };
        request.clear();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {}\r\n\
             Content-Length: {}\r\n\r\n",
            self.load.key,
            body.len()
        );
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body.as_bytes());
    }
}

/// Sends a request and reads its answer; says its status.
async fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> Result<u16, ()> {
    stream.write_all(request).await.map_err(drop)?;
    answer.clear();
    loop {
        if stream.read_buf(answer).await.map_err(drop)? == 0 {
            return Err(());
        }
        let Some(head) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head]).map_err(drop)?;
        let length = text
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            })
            .unwrap_or(0usize);
        if answer.len() >= head + 4 + length {
            return text.get(9..12).and_then(|status| status.parse().ok()).ok_or(());
        }
    }
}
