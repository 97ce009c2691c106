//! Where connections come in.

use std::io;
use std::net::{SocketAddr, TcpListener};
use tokio::net::TcpSocket;

/// Connections waiting to be accepted; Linux grants `net.core.somaxconn` at the most.
const BACKLOG: u32 = 4096;

/// Listens, and says where: the port may be any free one.
///
/// Not by the standard library's `bind`, which lets 128 wait: of those who connect at once when a service starts, the
/// others would be dropped without a word, and try again after a second.
pub(crate) fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
