"""Downloads or seeds torrents with libtorrent, until killed: default|tuned|slow|encrypted FOLDER TORRENT...

A TORRENT is a file or a magnet link. A slow one takes 20 kB/s at most, an encrypted one
speaks to nobody without encryption of everything.

With DHT_NODE=HOST:PORT in the environment it joins the distributed hash table there.

Prints `seeding` once every piece of one is there, checked and written.
"""

import os
import sys

import libtorrent

settings, folder, *torrents = sys.argv[1:]
session = libtorrent.session(
    {
        "listen_interfaces": "0.0.0.0:6881,[::]:6881",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "alert_mask": libtorrent.alert.category_t.status_notification
        | libtorrent.alert.category_t.storage_notification
        | libtorrent.alert.category_t.error_notification
        | libtorrent.alert.category_t.tracker_notification,
    }
)
if "DHT_NODE" in os.environ:
    # It looks once when a torrent is added, which may be before the node has answered, and then not for minutes.
    session.apply_settings(
        {"dht_bootstrap_nodes": os.environ["DHT_NODE"], "enable_dht": True, "dht_announce_interval": 5}
    )
if settings == "tuned":
    session.apply_settings(
        {
            "enable_outgoing_utp": False,
            "enable_incoming_utp": False,
            "connection_speed": 200,
            "smooth_connects": False,
            "torrent_connect_boost": 200,
            "min_announce_interval": 5,
            "unchoke_slots_limit": 16,
            "mixed_mode_algorithm": 0,
        }
    )
if settings == "encrypted":
    session.apply_settings(
        {
            "in_enc_policy": int(libtorrent.enc_policy.pe_forced),
            "out_enc_policy": int(libtorrent.enc_policy.pe_forced),
            "allowed_enc_level": int(libtorrent.enc_level.pe_rc4),
        }
    )
if settings == "slow":
    session.apply_settings({"download_rate_limit": 20_000})
for torrent in torrents:
    if torrent.startswith("magnet:"):
        found = libtorrent.parse_magnet_uri(torrent)
        found.save_path = folder
        session.add_torrent(found)
    else:
        session.add_torrent({"ti": libtorrent.torrent_info(torrent), "save_path": folder})
# `wait_for_alert` looks at an alert that the session's own thread may be moving just then, and crashes.
woken, waker = os.pipe()
session.set_alert_fd(waker)
while True:
    os.read(woken, 4096)
    for alert in session.pop_alerts():
        print(type(alert).__name__, alert.message(), file=sys.stderr, flush=True)
        if isinstance(alert, libtorrent.torrent_finished_alert):
            # The last pieces are checked, and still on their way to the disk.
            alert.handle.flush_cache()
        if isinstance(alert, libtorrent.cache_flushed_alert):
            print("seeding", flush=True)
