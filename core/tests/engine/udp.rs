//! Datagrams on the peer port.

use podswarm_core::utp::SeqNr;
use podswarm_core::utp::packet::{Header, Kind, Packet};
use tokio::net::UdpSocket;

use crate::world::{addr, engine};

#[tokio::test]
async fn who_has_no_connection_is_told_so_and_nonsense_is_not_answered() {
    let engine = engine().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(addr(&engine)).await.unwrap();
    let (seq, ack) = (SeqNr(77), SeqNr(1));
    let data = Header { kind: Kind::Data, connection: 9, sent_us: 5, delay_us: 0, window: 1000, seq, ack };
    let mut bytes = Vec::new();
    data.encode(None, &mut bytes);
    for nonsense in [&[][..], b"d1:ad2:id20:", &[0xff; 1500], &bytes[..19]] {
        socket.send(nonsense).await.unwrap();
    }
    socket.send(&bytes).await.unwrap();
    let mut reply = [0; 100];
    let length = socket.recv(&mut reply).await.unwrap();
    let reply = Packet::decode(&reply[..length]).unwrap();
    assert_eq!((reply.header.kind, reply.header.connection, reply.header.ack), (Kind::Reset, 9, seq));
}
