//! What a fault is: a row of data, and what happens as lines of shell.

/// What is there to protect; what a fault breaks is `web`.
pub(crate) const JAILS: [&str; 3] = ["ssh", "mail", "web"];
/// The jail that a fault may add.
pub(crate) const NEW: &str = "ftp";

/// The jails that can protect, where one cannot.
const OTHERS: &[&str] = &["ssh", "mail"];
pub(crate) const WITH_NEW: &[&str] = &["ssh", "mail", "web", NEW];

/// How long is looked on after a fault, in seconds.
pub(crate) const SECONDS: u64 = 60;

/// Faults of one kind.
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) faults: &'static [Fault],
}

#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// No two have the same.
    pub(crate) name: &'static str,
    /// Files that are there from the beginning.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// What the host is like, in the shell; it ends before fail2ban starts.
    pub(crate) host: &'static str,
    /// How long all is well before, in seconds.
    pub(crate) healthy: u64,
    /// What leads to it, which ends before anything is measured.
    pub(crate) before: &'static str,
    /// What happens in the first second.
    pub(crate) script: &'static str,
    /// Whether the host reboots after the script, and only then is measured.
    pub(crate) reboots: bool,
    /// How long is looked on.
    pub(crate) seconds: u64,
    /// The jails that can protect, and that an admin would want to.
    pub(crate) able: &'static [&'static str],
    /// The jails that an admin wants not to run.
    pub(crate) off: &'static [&'static str],
    /// What else has to be so in the end: what tells it, and the harm if it is not so.
    pub(crate) proofs: &'static [Proof],
    /// What has to be so in the end for it to have been this fault, and what it was otherwise.
    pub(crate) provided: Option<Proof>,
    /// Whether it is one of the few that CI runs.
    pub(crate) is_in_slice: bool,
}

pub(crate) type Proof = (&'static str, &'static str);

/// Every jail can protect.
pub(crate) const fn all(name: &'static str, script: &'static str) -> Fault {
    Fault {
        name,
        files: &[],
        host: "",
        healthy: 5,
        before: "",
        script,
        reboots: false,
        seconds: SECONDS,
        able: &JAILS,
        off: &[],
        proofs: &[],
        provided: None,
        is_in_slice: false,
    }
}

/// `web` is broken, and the others can protect.
pub(crate) const fn others(name: &'static str, script: &'static str) -> Fault {
    all(name, script).able(OTHERS)
}

/// An admin wants these jails not to run, all others to protect.
pub(crate) const fn off(
    name: &'static str,
    script: &'static str,
    off: &'static [&'static str],
) -> Fault {
    let able: &[&str] = if off.len() == JAILS.len() {
        &[]
    } else {
        OTHERS
    };
    let mut fault = all(name, script).able(able);
    fault.off = off;
    fault
}

impl Fault {
    pub(crate) const fn able(mut self, able: &'static [&'static str]) -> Self {
        self.able = able;
        self
    }

    pub(crate) const fn files(mut self, files: &'static [(&'static str, &'static str)]) -> Self {
        self.files = files;
        self
    }

    pub(crate) const fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    pub(crate) const fn before(mut self, before: &'static str) -> Self {
        self.before = before;
        self
    }

    pub(crate) const fn proofs(mut self, proofs: &'static [Proof]) -> Self {
        self.proofs = proofs;
        self
    }

    pub(crate) const fn provided(mut self, proof: Proof) -> Self {
        self.provided = Some(proof);
        self
    }

    /// All is well for so long that jailwarden keeps the config as a good one, which it does after a
    /// minute.
    pub(crate) const fn proven(mut self) -> Self {
        self.healthy = 75;
        self
    }

    pub(crate) const fn seconds(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }

    pub(crate) const fn reboots(mut self) -> Self {
        self.reboots = true;
        self
    }

    pub(crate) const fn in_slice(mut self) -> Self {
        self.is_in_slice = true;
        self
    }

    /// Whose logs have offenders.
    pub(crate) fn attacked(&self) -> impl Iterator<Item = &'static str> {
        let new = self.able.contains(&NEW).then_some(NEW);
        JAILS.into_iter().chain(new)
    }
}
