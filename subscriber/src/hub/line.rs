//! Whether the system calls the line metered, as `NetworkManager` tells it over D-Bus.
//!
//! Where there is no system bus, no `NetworkManager`, or one that does not know, no line is metered.
//!
//! Source: `NetworkManager`'s D-Bus API, `Metered` and `NMMetered`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use zbus::Connection;
use zbus::fdo::PropertiesProxy;
use zbus::proxy::{Builder, CacheProperties, Proxy};

use super::kit::Kit;
use crate::agent::Input;

const MANAGER: &str = "org.freedesktop.NetworkManager";
const PATH: &str = "/org/freedesktop/NetworkManager";

/// A bus that is not there, or went away, is looked for again after this long.
const AGAIN: Duration = Duration::from_mins(1);

/// Tells the agent whether the line is metered, now and whenever that changes.
pub(super) async fn watch(kit: Arc<Kit>) {
    loop {
        if let Err(error) = follow(&kit).await {
            tracing::debug!(%error, "the system does not tell whether the line is metered");
        }
        kit.tell(Input::Metered(false)).await;
        tokio::time::sleep(AGAIN).await;
    }
}

/// Does so until the bus goes away.
async fn follow(kit: &Kit) -> zbus::Result<()> {
    let bus = Connection::system().await?;
    let manager: Proxy<'_> = Builder::new(&bus)
        .destination(MANAGER)
        .path(PATH)
        .interface(MANAGER)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let properties = PropertiesProxy::builder(&bus)
        .destination(MANAGER)
        .path(PATH)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let mut changes = properties.receive_properties_changed().await?;
    let mut owners = manager.receive_owner_changed().await?;
    loop {
        // Who does not answer does not know.
        let said = manager.get_property::<u32>("Metered").await.ok();
        kit.tell(Input::Metered(is_metered(said))).await;
        let goes_on = tokio::select! {
            change = changes.next() => change.is_some(),
            owner = owners.next() => owner.is_some(),
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// What `NMMetered` means: 1 is yes and 3 is likely, 2 is no and 4 unlikely, 0 is not known.
const fn is_metered(said: Option<u32>) -> bool {
    matches!(said, Some(1 | 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_likely_counts_and_what_is_not_known_does_not() {
        let told: Vec<bool> = (0..=5).map(|said| is_metered(Some(said))).collect();
        assert_eq!(told, [false, true, false, true, false, false]);
        assert!(!is_metered(None));
    }
}
