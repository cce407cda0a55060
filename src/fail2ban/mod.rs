//! fail2ban

pub mod folder;
pub mod jailfile;
