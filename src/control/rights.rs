//! Who asks, and what they may do. Whoever may connect may read.

use nix::unistd::{Uid, User};

/// Who may change something: root, the user who runs jailwarden, and those that the settings list.
#[derive(Debug)]
pub(super) struct Rights {
    uids: Vec<u32>,
}

impl Rights {
    /// Looks the users up, and says in the journal which there are not.
    pub(super) fn look_up(admins: &[String]) -> Self {
        let mut uids = vec![0, Uid::effective().as_raw()];
        for name in admins {
            match User::from_name(name) {
                Ok(Some(user)) => uids.push(user.uid.as_raw()),
                Ok(None) => tracing::warn!(
                    "control.admins: there is no user {name:?}; once there is: systemctl restart jailwarden"
                ),
                Err(error) => tracing::warn!(
                    "control.admins: {name:?} could not be looked up: {error}; to try again: systemctl restart jailwarden"
                ),
            }
        }
        Self { uids }
    }

    pub(super) fn may_change(&self, uid: u32) -> bool {
        self.uids.contains(&uid)
    }
}

/// A user as the system calls them. Blocking.
pub(super) fn name_of(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}
