//! A private show: who is let in has it with the client that he likes, and nobody else has anything of it.

use podswarm_tests::audio::{Format, long_episode, short_episode};
use podswarm_tests::clients::{Client, Terms};
use podswarm_tests::files::{assert_same_bytes, only_file_like, scratch};
use podswarm_tests::http::get;
use podswarm_tests::net::Net;
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::{Publisher, agent, complete, without_web_seeds};
use serde_json::Value;

/// Runs a command of `podpub` beside the publisher.
#[track_caller]
fn run(publisher: &Publisher, name: &str, args: &[&str]) -> Ended {
    let mut command = publisher.command(name);
    command.args(args);
    Program::start(&format!("podpub {name}"), command).end(PATIENCE)
}

/// Lets somebody in; gives his address of the feed.
#[track_caller]
fn let_in(publisher: &Publisher, name: &str) -> String {
    let ended = run(publisher, "subscriber", &["add", name]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let made: Value = ended.lines.last().expect("a subscriber is told").json();
    made["feed"].as_str().expect("an address is text").to_owned()
}

#[test]
fn who_is_let_in_swarms_with_the_client_he_likes_until_he_is_shut_out() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, ann, bob, eve] = ["publisher", "ann", "bob", "eve"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let made = run(&publisher, "init", &["--private", "--title", "Among Friends"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let episode = long_episode(Format::Mp3);
    let release = publisher.publish(&episode.path);
    for address in [&release.feed, &release.page, &release.torrent, &release.media] {
        assert_eq!(get(&eve, address, &[]).status, 404, "{address}");
    }

    // Ann has an agent, Bob the torrent client that he always had.
    let [anns, bobs] = ["ann", "bob"].map(|name| let_in(&publisher, name));
    let data = folder.path().join("ann");
    let mut agent = agent(&ann, &data, &anns);
    complete(&mut agent, PATIENCE);
    assert_same_bytes(&episode.path, &only_file_like(&episode.path, &data.join("library")));
    let feed = get(&bob, &bobs.replace("feed.xml", "torrents.xml"), &[]).text();
    let torrent = feed.split('"').find(|text| text.ends_with(".torrent")).expect("the feed has a torrent");
    let torrent = without_web_seeds(&bob, torrent, folder.path());
    let mut client = Client::Libtorrent.join(&bob, &torrent, &folder.path().join("bob"));
    Client::wait_seeding(&mut client, PATIENCE);
    publisher.await_status(|status| status["episodes"][0]["swarm"]["complete"] == 3);
    drop(client);

    // Bob is shut out; what he has of the torrent leads nobody in, and Ann notices nothing.
    let ended = run(&publisher, "subscriber", &["revoke", "bob"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(get(&bob, &bobs, &[]).status, 404);
    let elsewhere = folder.path().join("eve");
    let is_shut_out = Client::Aria2.has_nothing_after(Terms::default(), &eve, &torrent, &elsewhere, || {
        publisher.publish(&short_episode("Second").path);
        complete(&mut agent, PATIENCE);
    });
    assert!(is_shut_out, "a torrent of somebody who was shut out still leads to peers");
    agent.stop(PATIENCE);
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    for args in [&["--private", "--title", "Friends"][..], &["--title", "World"]] {
        assert_eq!(run(&publisher, "init", args).code, Some(0));
    }
    let site = folder.path().join("site").display().to_string();
    let ended = run(&publisher, "subscriber", &["add", "ann", "--show", "friends"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for (name, args, why) in [
        ("subscriber", vec!["add", "ann", "--show", "friends"], "has a subscriber `ann` already"),
        ("subscriber", vec!["add", "bob", "--show", "world"], "not private"),
        ("subscriber", vec!["add", "bob"], "several shows"),
        ("subscriber", vec!["revoke", "eve", "--show", "friends"], "no subscriber `eve`"),
        (
            "move",
            vec!["http://new.example/feed.xml", "--show", "friends", "--unchecked"],
            "each subscriber has his own",
        ),
        ("export", vec!["--site", &site, "--base-url", "http://a.example", "--show", "friends"], "plain files"),
    ] {
        let ended = run(&publisher, name, &args);
        assert!(ended.code == Some(1) && ended.stderr.contains(why), "{name} {args:?}: {}", ended.stderr);
    }
    let listed = run(&publisher, "subscriber", &["list", "--show", "friends"]);
    assert_eq!((listed.code, listed.lines.len()), (Some(0), 1), "{}", listed.stderr);
}
