//! The tracker, both ends: what a client asks, what a server answers, and the swarm table behind it.
//!
//! In reading order: [`announce`] and [`scrape`] hold the messages as values; [`Announcer`] decides when a client asks
//! which tracker, [`Announcers`] does so for both hashes of a hybrid; [`SwarmTable`] decides whom a server hands out;
//! [`http`] turns the messages into query strings and bencode, and back, [`udp`] into datagrams. Both codecs share one
//! table and one client.
//!
//! Knows nothing of sockets, clocks or hosts' names: URLs go out as strings, addresses come in as numbers.
//! Sources: BEP 3, 7, 12, 15, 23, 24, 31, 41, 48, 52.

pub mod announce;
mod announcer;
mod announcers;
pub mod http;
mod scope;
pub mod scrape;
mod swarms;
pub mod udp;

pub use announce::{AnnounceEvent, AnnounceFailure, AnnounceRequest, AnnounceResponse, NO_PORT};
pub use announcer::{AnnounceId, Announcer, AnnouncerInput, AnnouncerOutput, MAX_TRACKERS, TrackerStatus};
pub use announcers::Announcers;
pub use scope::{Scope, network_of, public_network_of};
pub use scrape::{ScrapeRequest, ScrapeResponse, SwarmCounts};
pub use swarms::{Admission, DEFAULT_NUMWANT, MAX_NUMWANT, SwarmEntry, SwarmTable, SwarmTableConfig};
