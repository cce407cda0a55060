//! The exit codes of every command; docs/cli.md has the one table.

/// Found wanting: not fully protected, findings, something differs or stands.
pub(super) const WANTING: u8 = 1;
/// Wrong usage; clap's own.
pub(super) const USAGE: u8 = 2;
/// The supervisor is not running, or has kept nothing yet of what is asked for.
pub(super) const NO_SUPERVISOR: u8 = 3;
/// The system, or jailwarden, does not let this user do that.
pub(super) const NOT_PERMITTED: u8 = 4;
/// Refused: nothing was changed.
pub(super) const REFUSED: u8 = 5;
/// fail2ban, or a file that is needed, cannot be reached.
pub(super) const UNREACHABLE: u8 = 6;
/// Not back, not healthy, or not done in time.
pub(super) const NOT_IN_TIME: u8 = 7;
/// `EX_CONFIG` of sysexits(3), which systemd shows as `CONFIG`: the unit's
/// `RestartPreventExitStatus=` names it, since trying again does not mend a settings file.
pub(super) const FAULTY_SETTINGS: u8 = 78;
