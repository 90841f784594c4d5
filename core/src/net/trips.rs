//! What the system knows of our TCP connections: how long their round trips are, and what was lost.
//!
//! Linux tells over a netlink socket, connection by connection, in some microseconds. Elsewhere nothing is told.
//!
//! Source: `sock_diag(7)`, `INET_DIAG_INFO`.

use std::net::SocketAddr;

use crate::background::Trip;

/// Asks the system. The socket is opened when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Trips {
    #[cfg(target_os = "linux")]
    asker: Option<linux::Asker>,
    /// The system has once not answered as it should, and is not asked any more.
    is_vain: bool,
}

impl Trips {
    /// What is known of the connection between these addresses, ours and the peer's; `None` if nothing is.
    #[cfg(target_os = "linux")]
    pub(super) fn of(&mut self, (ours, theirs): (SocketAddr, SocketAddr)) -> Option<Trip> {
        if self.is_vain {
            return None;
        }
        let asked = match &self.asker {
            Some(asker) => asker.ask(ours, theirs),
            None => linux::Asker::open().and_then(|asker| self.asker.insert(asker).ask(ours, theirs)),
        };
        asked.unwrap_or_else(|error| {
            tracing::info!(%error, "the system does not tell of TCP's round trips; the background is left to uTP's");
            self.is_vain = true;
            None
        })
    }

    /// Nothing is known here.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(&mut self, _: (SocketAddr, SocketAddr)) -> Option<Trip> {
        if !std::mem::replace(&mut self.is_vain, true) {
            tracing::info!("this system does not tell of TCP's round trips; the background is left to uTP's");
        }
        None
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::net::SocketAddr;

    use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
    use netlink_packet_sock_diag::SockDiagMessage;
    use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
    use netlink_packet_sock_diag::inet::nlas::Nla;
    use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
    use netlink_sys::Socket;
    use netlink_sys::protocols::NETLINK_SOCK_DIAG;

    use crate::background::Trip;

    /// Room for an answer.
    const ROOM: usize = 4096;

    /// A socket to the kernel, which answers before the question's call returns.
    #[derive(Debug)]
    pub(super) struct Asker(Socket);

    impl Asker {
        pub(super) fn open() -> io::Result<Self> {
            let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
            socket.bind_auto()?;
            socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
            socket.set_non_blocking(true)?;
            Ok(Self(socket))
        }

        /// What is known of a connection; `None` if it is no more.
        pub(super) fn ask(&self, ours: SocketAddr, theirs: SocketAddr) -> io::Result<Option<Trip>> {
            self.0.send(&question(ours, theirs), 0)?;
            let mut answer = Vec::with_capacity(ROOM);
            self.0.recv(&mut answer, 0)?;
            let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&answer).map_err(io::Error::other)?;
            Ok(match answer.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => response
                    .nlas
                    .iter()
                    .find_map(|nla| if let Nla::TcpInfo(info) = nla { Some(info) } else { None })
                    .map(|info| Trip {
                        trip_us: info.rtt,
                        acknowledged: info.bytes_acked,
                        repeated: info.total_retrans,
                    }),
                _ => None,
            })
        }
    }

    fn question(ours: SocketAddr, theirs: SocketAddr) -> Vec<u8> {
        let socket_id = SocketId {
            source_port: ours.port(),
            destination_port: theirs.port(),
            source_address: ours.ip(),
            destination_address: theirs.ip(),
            interface_id: 0,
            // Whichever it is.
            cookie: [0xff; 8],
        };
        let request = InetRequest {
            family: if ours.is_ipv4() { AF_INET } else { AF_INET6 },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::INFO,
            states: StateFlags::all(),
            socket_id,
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }
}
