//! A link that names a key: what its owner lets the distributed hash table keep leads to the torrent. The node that
//! keeps it is libtorrent's.

use std::net::SocketAddr;
use std::path::Path;

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use podswarm_core::dht::item::ItemName;
use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::clients::python_with_libtorrent;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, Way, get_over, metainfo, podsub_on};
use podswarm_tests::web::Site;

use crate::LIMIT;

/// A node of the distributed hash table, and nothing else.
const NODE: &str = r#"
import libtorrent, os
session = libtorrent.session({"listen_interfaces": "0.0.0.0:6881", "enable_dht": True, "dht_bootstrap_nodes": "",
    "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False})
print("listening", flush=True)
os.read(os.pipe()[0], 1)
"#;

/// Asks a node for leave to write around a number, and writes there: HOST GET PUT-BEFORE-TOKEN PUT-AFTER-TOKEN, in
/// hexadecimal digits.
const WRITE: &str = r#"
import socket, sys
host, get, before, after = sys.argv[1], *map(bytes.fromhex, sys.argv[2:])
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
wire.settimeout(1)
def ask(datagram):
    while True:
        wire.sendto(datagram, (host, 6881))
        try:
            return wire.recv(2048)
        except TimeoutError:
            pass
answer = ask(get)
length, rest = answer.split(b'5:token', 1)[1].split(b':', 1)
token = rest[:int(length)]
answer = ask(before + length + b':' + token + after)
assert b'1:y1:r' in answer, answer
print("kept", flush=True)
"#;

/// Has `node` keep under the owner's key and `salt` that he means this torrent.
#[track_caller]
fn write(from: &Host, node: &Host, owner: &SigningKey, salt: &[u8], torrent: [u8; 20]) {
    let key = owner.verifying_key().to_bytes();
    let target = ItemName::new(key, salt.to_vec()).expect("the salt is short").target().0;
    let value = [b"d2:ih20:".as_slice(), &torrent, b"e"].concat();
    let salt_text = [format!("{}:", salt.len()).as_bytes(), salt].concat();
    let signed = [b"4:salt".as_slice(), &salt_text, b"3:seqi1e1:v", &value].concat();
    let signature = owner.sign(&signed).to_bytes();
    let head = b"d1:ad2:id20:abcdefghij0123456789".as_slice();
    let get = [head, b"6:target20:", &target, b"e1:q3:get1:t2:aa1:y1:qe"].concat();
    let before = [head, b"1:k32:", &key, b"4:salt", &salt_text, b"3:seqi1e3:sig64:", &signature, b"5:token"].concat();
    let after = [b"1:v".as_slice(), &value, b"e1:q3:put1:t2:ab1:y1:qe"].concat();
    let mut command = from.command("python3");
    command.args(["-c", WRITE, &node.v4().to_string()]).args([get, before, after].map(|it| HEXLOWER.encode(&it)));
    let ended = Program::start("a writer", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_link_that_names_a_key_leads_to_what_its_owner_means() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, keeper, away, listener] = ["publisher", "keeper", "subscriber", "listener"].map(|name| net.host(name));
    let mut command = keeper.command(python_with_libtorrent());
    command.args(["-c", NODE]);
    let mut node = Program::start("libtorrent", command);
    node.wait_for("a node", PATIENCE, |line| (line.text == "listening").then_some(()));
    let publisher = Publisher::serve_with(&home, &folder.path().join("podpub"), Some(home.v4()), &[]);
    let episode = long_episode(Format::Mp3).path;
    let release = publisher.publish(&episode);
    let torrent = metainfo(&home, &release.torrent).info_hash.v1().expect("it has a v1 hash");

    let owner = SigningKey::from_bytes(&[42; 32]);
    write(&away, &keeper, &owner, b"latest", torrent);
    let key = HEXLOWER.encode(&owner.verifying_key().to_bytes());
    let peer = SocketAddr::new(home.v4(), 6881);
    let link = format!("magnet:?xs=urn:btpk:{key}&s={}&x.pe={peer}", HEXLOWER.encode(b"latest"));
    let ours = folder.path().join("subscriber");
    let at = SocketAddr::new(keeper.v4(), 6881).to_string();
    let ended = get_over(&away, &[Way::Table], Path::new(&link), &ours, &["--dht-node", &at]).end(LIMIT);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_same_bytes(&episode, &only_file_below(&ours));

    // So it does where a feed has it.
    let site = Site::start(&home);
    let item = format!("<item><title>By key</title><guid>1</guid><link>{}</link></item>", link.replace('&', "&amp;"));
    let feed = format!("<rss version=\"2.0\"><channel><title>Keys</title>{item}</channel></rss>");
    site.put("/feed.xml", "application/rss+xml", feed);
    let mut command = podsub_on(&listener, &[Way::Table]);
    command.args(["run", "--json", "--dht-node", &at, "--data-dir"]).arg(folder.path().join("listener"));
    command.arg(site.url("/feed.xml"));
    let mut agent = Program::start("podsub run", command);
    let (_, complete) = agent.event("complete", LIMIT);
    assert_same_bytes(&episode, complete["path"].as_str().expect("it is somewhere").as_ref());
}
