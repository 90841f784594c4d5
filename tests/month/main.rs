//! Months of a busy listener in the simulated world.

use podswarm_tests::month::Month;

#[test]
fn a_month_of_two_hundred_feeds_brings_each_episode_once() {
    let figures = Month::new(1).run();
    println!("{figures}");
}

#[test]
fn other_months_do_too() {
    for seed in 2..6 {
        let figures = Month { feeds: 40, ..Month::new(seed) }.run();
        println!("seed {seed}: {figures}");
    }
}

#[test]
fn one_seed_is_one_month() {
    let month = |seed| Month { feeds: 10, days: 10, ..Month::new(seed) }.run();
    assert_eq!(month(1), month(1));
    assert_ne!(month(1), month(2));
}
