//! Flash crowds on shaped links.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use podswarm_tests::crowd::{Crowd, Kind, Outcome, Plan};

use crate::Who;
use crate::report::{Section, median, short};

const MIB: u64 = 60;
/// Plain HTTP needs three and a half minutes for eight.
pub(crate) const LIMIT: Duration = Duration::from_mins(30);

/// How subscribers come and what their links are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gathering {
    /// All at once, links alike.
    Together,
    /// All at once, uplinks from 1 to 100 Mbit/s.
    Mixed,
    /// One by one over two minutes, links alike.
    Arrivals,
    /// All at once, links alike, and the publisher is ours.
    Served,
}

/// Lets every crowd of `who` and `peers` have the episode `runs` times.
pub(crate) fn measure(gathering: Gathering, who: &[Who], peers: &[usize], runs: usize) -> Section {
    let (name, title, text) = match gathering {
        Gathering::Together => (
            "crowd",
            "Flash crowd",
            "A 60 MiB episode; the publisher sends 20 Mbit/s, subscribers 10 up and 50 down; all start together with nothing. \
             One network namespace per host, tbf on every link. Ratios are to the Kumar-Ross bound. \
             Crowds of nginx and of rqbit, which leave the processor idle, go on beside the others, and small ones beside large ones.",
        ),
        Gathering::Mixed => (
            "mixed",
            "Flash crowd with mixed uplinks",
            "As above, with uplinks from 1 to 100 Mbit/s, evenly spread on a scale of ratios.",
        ),
        Gathering::Arrivals => (
            "arrivals",
            "Subscribers that come over two minutes",
            "As the flash crowd, but each comes at a random moment of two minutes. First, median and slowest are the times that \
             subscribers needed from their own start.",
        ),
        Gathering::Served => (
            "served",
            "Ordinary clients, served by Podswarm",
            "A flash crowd of ordinary clients, served by `podpub` and by a seed of their own kind.",
        ),
    };
    let mut section = Section {
        name,
        title: title.to_owned(),
        text: text.to_owned(),
        columns: vec!["", "N", "first", "median", "slowest", "last", "last / bound", "copies sent"],
        rows: Vec::new(),
        bars: Vec::new(),
        bars_say: "the last subscriber's time over the bound".to_owned(),
        limit: Some(1.0),
    };
    let mut crowds = Vec::new();
    for count in peers {
        for who in who {
            crowds.push((who.name().to_owned(), *who, plan(gathering, who.kind(), *count)));
            if let (Gathering::Served, Some(client)) = (gathering, who.client()) {
                let label = format!("{}, served by Podswarm", who.name());
                crowds.push((label, *who, plan(gathering, Kind::Served(client), *count)));
            }
        }
    }
    let lanes: BTreeSet<Lane> = crowds.iter().map(|(_, who, plan)| lane(*who, plan)).collect();
    let mut measured: Vec<(usize, Vec<Outcome>)> = thread::scope(|scope| {
        let crowds = &crowds;
        let start = |lane| scope.spawn(move || run_lane(crowds, lane, runs));
        let started: Vec<_> = lanes.into_iter().map(start).collect();
        started.into_iter().flat_map(|lane| lane.join().expect("a crowd finishes")).collect()
    });
    measured.sort_by_key(|(number, _)| *number);
    for (number, outcomes) in measured {
        add(&mut section, &crowds[number].0, &outcomes);
    }
    section
}

/// Crowds of one lane go one after another, beside those of other lanes.
type Lane = (Option<Who>, usize);

/// Crowds that leave the processor idle would take hours: each has a lane of its own. Of the others small ones have
/// one, and large ones.
fn lane(who: Who, plan: &Plan) -> Lane {
    const LARGE: usize = 16;
    let peers = plan.links.len();
    if who.idles() { (Some(who), peers) } else { (None, usize::from(peers >= LARGE)) }
}

/// Lets the crowds of a lane go: their numbers, and what each run measured.
fn run_lane(crowds: &[(String, Who, Plan)], of: Lane, runs: usize) -> Vec<(usize, Vec<Outcome>)> {
    let mine = crowds.iter().enumerate().filter(|(_, (_, who, plan))| lane(*who, plan) == of);
    mine.map(|(number, (label, _, plan))| (number, (0..runs).map(|_| run(label, plan)).collect())).collect()
}

fn plan(gathering: Gathering, kind: Kind, peers: usize) -> Plan {
    let plan = Plan::new(kind, peers, MIB);
    match gathering {
        Gathering::Together | Gathering::Served => plan,
        Gathering::Mixed => plan.with_mixed_uplinks(),
        Gathering::Arrivals => plan.with_arrivals_over(Duration::from_mins(2)),
    }
}

fn run(label: &str, plan: &Plan) -> Outcome {
    let outcome = Crowd::gather(plan).finish(LIMIT);
    // A long bench says how far it is.
    let _ = writeln!(std::io::stderr(), "{label}: {outcome}");
    outcome
}

fn add(section: &mut Section, label: &str, outcomes: &[Outcome]) {
    let middle = |of: &dyn Fn(&Outcome) -> f64| median(outcomes.iter().map(of).collect());
    let seconds = |of: &dyn Fn(&Outcome) -> Duration| format!("{:.1} s", middle(&|outcome| of(outcome).as_secs_f64()));
    let ratio = middle(&Outcome::last_over_bound);
    let count = outcomes[0].times.len();
    section.rows.push(vec![
        label.to_owned(),
        count.to_string(),
        seconds(&|outcome| outcome.times[0]),
        seconds(&Outcome::median),
        seconds(&|outcome| outcome.times[count - 1]),
        seconds(&|outcome| outcome.last),
        short(ratio),
        short(middle(&|outcome| outcome.copies_sent)),
    ]);
    section.bars.push((format!("{label}, N = {count}"), ratio));
}
