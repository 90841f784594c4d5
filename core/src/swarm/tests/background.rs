//! What is sent in the background, and how peers tell of the way to them.

use std::time::Duration;

use super::lab::Lab;
use crate::background::{Background, Pace};
use crate::bitfield::Bitfield;
use crate::layout::BLOCK_LENGTH;
use crate::peer::extension::OUR_WAY_ID;
use crate::peer::way::WayMessage;
use crate::peer::{ConnId, Message, Reserved};
use crate::swarm::{Input, SwarmConfig};

fn config(background: Background) -> SwarmConfig {
    SwarmConfig { background, ..SwarmConfig::default() }
}

#[test]
fn what_is_complete_is_in_the_background_or_everything_or_nothing() {
    for (background, fetching, seeding) in
        [(Background::Off, false, false), (Background::Seeding, false, true), (Background::Always, true, true)]
    {
        let mut lab = Lab::new(8, 1);
        let leecher = lab.add(Bitfield::none(8), config(background));
        let seed = lab.add(Bitfield::all(8), config(background));
        assert_eq!(lab.hosts[leecher].swarm.is_in_background(), fetching);
        assert_eq!(lab.hosts[seed].swarm.is_in_background(), seeding);
        lab.connect(leecher, seed);
        lab.pass(Duration::from_secs(5));
        assert!(lab.status(leecher).complete);
        assert_eq!(lab.hosts[leecher].swarm.is_in_background(), seeding, "it is a seed by now");
    }
}

#[test]
fn a_seed_in_the_background_keeps_its_pace() {
    for background in [Background::Off, Background::Seeding] {
        let mut lab = Lab::new(64, 2);
        let seed = lab.add(Bitfield::all(64), config(background));
        let leecher = lab.leecher();
        lab.hosts[seed].limits.background = Some(Pace::new(lab.now));
        lab.connect(leecher, seed);
        lab.pass(Duration::from_secs(4));
        let status = lab.status(leecher);
        assert_eq!(status.complete, background == Background::Off, "{}", status.downloaded);
        if background == Background::Seeding {
            let most = 4 * 64 * 1024 + 3 * u64::from(BLOCK_LENGTH);
            assert!((200_000..=most).contains(&status.downloaded), "{}", status.downloaded);
        }
    }
}

fn heard(lab: &mut Lab, host: usize, conn: ConnId) -> Vec<WayMessage> {
    let said = lab.heard(host, conn).into_iter();
    let of_ways = |message| match message {
        Message::Extended { id: OUR_WAY_ID, payload } => WayMessage::decode(&payload),
        _ => None,
    };
    said.filter_map(of_ways).collect()
}

#[test]
fn peers_who_understand_it_are_asked_how_long_messages_take_and_answer() {
    let mut lab = Lab::new(64, 2);
    let (seed, leecher) = (lab.add(Bitfield::all(64), config(Background::Seeding)), lab.leecher());
    lab.hosts[seed].limits.background = Some(Pace::new(lab.now));
    let (near, far) = lab.connect(leecher, seed);
    let mute = lab.stranger(seed, Reserved::OURS);
    lab.pass(Duration::from_secs(1));
    lab.give(seed, Input::AskWays);
    assert_eq!(heard(&mut lab, seed, mute), []);
    let asked = heard(&mut lab, seed, far);
    assert!(matches!(asked[..], [WayMessage::Sent(_)]), "{asked:?}");
    assert_eq!(heard(&mut lab, leecher, near), [WayMessage::Took(0)]);
}
