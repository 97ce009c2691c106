//! A proxy before PostgreSQL that loses the connection at a certain statement, or leads elsewhere.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// How the client's connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The statement never arrives.
    Before,
    /// The statement arrives when the client has long gone: when the test says so.
    Late,
    /// The statement is done, and its answer does not arrive.
    After,
    /// The statement is done, and answered by an error of this SQLSTATE.
    Denied(&'static str),
    /// The same, and the server hangs up: the error is FATAL.
    ShutOut(&'static str),
    /// Nothing arrives any more in either direction, and nobody hangs up.
    Silence,
}

#[derive(Default)]
struct Plan {
    losses: Mutex<(&'static str, VecDeque<Loss>)>,
    deliver: Notify,
    delivered: Notify,
}

impl Plan {
    /// Whether the loss that is planned next happens at these bytes. It is planned no more then.
    fn loss_of(&self, bytes: &[u8]) -> Option<Loss> {
        let mut plan = self.losses.lock().unwrap();
        let (statement, losses) = &mut *plan;
        losses.front()?;
        let is_it = bytes.windows(statement.len()).any(|window| window == statement.as_bytes());
        if is_it { losses.pop_front() } else { None }
    }
}

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    address: SocketAddr,
    server_url: String,
    server: Arc<Mutex<String>>,
    plan: Arc<Plan>,
}

impl Proxy {
    /// Before the server at a URL of the form `postgres://user@host:port/database`.
    pub(crate) async fn before(server_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Mutex::new(server_of(server_url).to_owned()));
        let plan = Arc::new(Plan::default());
        let (its_server, its_plan) = (Arc::clone(&server), Arc::clone(&plan));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = its_server.lock().unwrap().clone();
                // Where nobody listens the client is hung up on, as proxies do.
                if let Ok(server) = TcpStream::connect(server).await {
                    tokio::spawn(relay(client, server, Arc::clone(&its_plan)));
                }
            }
        });
        Self { address, server_url: server_url.to_owned(), server, plan }
    }

    /// From now on new connections lead to this server. Those that stand lead where they led.
    pub(crate) fn lead_to(&self, server_url: &str) {
        *self.server.lock().unwrap() = server_of(server_url).to_owned();
    }

    /// The server's URL by way of the proxy.
    pub(crate) fn url(&self) -> String {
        self.server_url.replace(server_of(&self.server_url), &self.address.to_string())
    }

    /// The next statements with this in their text, or among their values, meet these losses, one each.
    pub(crate) fn lose(&self, statement: &'static str, losses: &[Loss]) {
        *self.plan.losses.lock().unwrap() = (statement, losses.iter().copied().collect());
    }

    /// Delivers the statement of a [`Loss::Late`], until it is done.
    pub(crate) async fn deliver(&self) {
        self.plan.deliver.notify_one();
        self.plan.delivered.notified().await;
    }
}

fn server_of(url: &str) -> &str {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split('/').next().unwrap()
}

/// Until one of them hangs up, or the plan says so.
async fn relay(mut client: TcpStream, mut server: TcpStream, plan: Arc<Plan>) {
    let (mut question, mut answer) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        let (bytes, to) = tokio::select! {
            count = client.read(&mut question) => (&question[..count.unwrap_or(0)], &mut server),
            count = server.read(&mut answer) => (&answer[..count.unwrap_or(0)], &mut client),
        };
        if bytes.is_empty() {
            return;
        }
        if let Some(loss) = plan.loss_of(bytes) {
            match loss {
                Loss::Denied(code) => {
                    deny(bytes, ("ERROR", code), &mut client, &mut server).await;
                    client.write_all(READY).await.unwrap();
                    continue;
                }
                Loss::ShutOut(code) => {
                    return deny(bytes, ("FATAL", code), &mut client, &mut server).await;
                }
                _ => {}
            }
            let bytes = bytes.to_vec();
            return lose(loss, &bytes, client, server, &plan).await;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

async fn lose(loss: Loss, statement: &[u8], client: TcpStream, mut server: TcpStream, plan: &Plan) {
    match loss {
        Loss::Before => {}
        Loss::Late => {
            drop(client);
            plan.deliver.notified().await;
            server.write_all(statement).await.unwrap();
            server.read_u8().await.unwrap();
            plan.delivered.notify_one();
        }
        Loss::After => {
            server.write_all(statement).await.unwrap();
            server.read_u8().await.unwrap();
            drop(client);
        }
        Loss::Silence => std::future::pending().await,
        Loss::Denied(_) | Loss::ShutOut(_) => unreachable!("it is answered"),
    }
}

/// Idle, outside of a transaction: the last message of every answer.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// Has the statement done, and answers with an error of this severity and code instead.
async fn deny(
    statement: &[u8],
    (severity, code): (&str, &str),
    client: &mut TcpStream,
    server: &mut TcpStream,
) {
    server.write_all(statement).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(READY) {
        assert_ne!(server.read_buf(&mut answer).await.unwrap(), 0, "the server hangs up");
    }
    let error =
        format!("S{severity}\0V{severity}\0C{code}\0Mit is not known what became of it\0\0");
    let length = u32::try_from(error.len() + size_of::<u32>()).unwrap();
    let error = [b"E", length.to_be_bytes().as_slice(), error.as_bytes()].concat();
    client.write_all(&error).await.unwrap();
}
