//! A release that two hundred fetch over HTTP while a crowd fetches it.

use std::io::Write as _;

use podswarm_tests::crowd::{Crowd, Kind, Outcome, PUBLISHER, Plan, SUBSCRIBER};
use podswarm_tests::files::MIB;

use crate::crowds::LIMIT;
use crate::report::{Section, median, short};

const PEERS: usize = 8;
const MEBIBYTES: u64 = 60;
const DOWNLOADS: [usize; 3] = [0, 20, 200];

pub(crate) fn measure(runs: usize) -> Section {
    let mut section = Section {
        name: "uplink",
        title: "An uplink shared with plain downloads".to_owned(),
        text: format!(
            "A publisher whose line sends {up} Mbit/s, and {PEERS} agents whose lines send {own} and receive {down}, fetch {MEBIBYTES} MiB \
             together. At the same moment others begin to fetch the same file over HTTP, from one host by a faster line. What each of \
             them has got is told for the moment when the last agent is done.",
            up = PUBLISHER.up_mbit,
            own = SUBSCRIBER.up_mbit,
            down = SUBSCRIBER.down_mbit,
        ),
        columns: vec![
            "downloads",
            "last agent",
            "times alone",
            "copies sent",
            "downloads got, MiB",
            "the least, KiB",
            "the most, KiB",
        ],
        rows: Vec::new(),
        bars: Vec::new(),
        bars_say: "the last agent's time over what it takes without downloads".to_owned(),
        limit: Some(2.0),
    };
    let mut alone = None;
    for downloads in DOWNLOADS {
        let plan = Plan::new(Kind::Podswarm, PEERS, MEBIBYTES).with_downloads(downloads);
        let outcomes: Vec<Outcome> = (0..runs).map(|_| run(&plan)).collect();
        let middle = |of: &dyn Fn(&Outcome) -> f64| median(outcomes.iter().map(of).collect());
        let last = middle(&|outcome| outcome.last.as_secs_f64());
        let ratio = last / *alone.get_or_insert(last);
        let kib = |bytes: Option<&u64>| bytes.map_or(0.0, |bytes| mebibytes(*bytes) * 1024.0);
        section.rows.push(vec![
            downloads.to_string(),
            format!("{last:.1} s"),
            short(ratio),
            short(middle(&|outcome| outcome.copies_sent)),
            short(middle(&|outcome| mebibytes(outcome.downloaded.iter().sum()))),
            short(middle(&|outcome| kib(outcome.downloaded.first()))),
            short(middle(&|outcome| kib(outcome.downloaded.last()))),
        ]);
        section.bars.push((format!("{downloads} downloads"), ratio));
    }
    section
}

fn run(plan: &Plan) -> Outcome {
    let outcome = Crowd::gather(plan).finish(LIMIT);
    // A long bench says how far it is.
    let _ = writeln!(std::io::stderr(), "{} downloads: {outcome}", plan.downloads);
    outcome
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}
