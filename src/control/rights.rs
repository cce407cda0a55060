//! Who asks, and what they may do. Whoever may connect may read.

use std::collections::BTreeMap;

use nix::unistd::Uid;

use super::accounts;
use crate::settings::Settings;

/// Who may change something, and what the system calls them: root, the user who runs jailwarden, and
/// those that the settings list. They are looked up once, since that may take its time where users are
/// in a directory on the net.
#[derive(Debug)]
pub(super) struct Rights(BTreeMap<u32, String>);

impl Rights {
    /// Looks the users up, and says in the journal which there are not.
    pub(super) fn look_up(settings: &Settings) -> Self {
        let service = settings.service();
        let own = Uid::effective().as_raw();
        let mut users = BTreeMap::from([(own, format!("uid {own}")), (0, "root".to_owned())]);
        for name in &settings.control.admins {
            match accounts::user(name) {
                Ok(Some(uid)) => {
                    users.insert(uid, name.clone());
                }
                Ok(None) => tracing::warn!(
                    "control.admins: there is no user {name:?}; once there is: systemctl restart {service}"
                ),
                Err(error) => tracing::warn!(
                    "control.admins: {name:?} could not be looked up: {error}; to try again: systemctl restart {service}"
                ),
            }
        }
        Self(users)
    }

    /// The name of a user who may change something.
    pub(super) fn admin(&self, uid: u32) -> Option<&str> {
        self.0.get(&uid).map(String::as_str)
    }
}
