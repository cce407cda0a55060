//! Another user of the host, who may write where jailwarden puts what others read, and puts links there.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
use crate::support::{GUARD, skip, wait_until};
use crate::{SHORT, settings};

const NOBODY: u32 = 65534;

/// A file of root's to which every link leads.
struct Victim(PathBuf);

impl Victim {
    fn put(path: PathBuf) -> Self {
        fs::write(&path, "root's own").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Self(path)
    }

    fn assert_unharmed(&self) {
        let found = fs::symlink_metadata(&self.0).unwrap();
        assert_eq!(fs::read_to_string(&self.0).unwrap(), "root's own");
        let (mode, owner) = (found.mode() & 0o7777, (found.uid(), found.gid()));
        assert_eq!((mode, owner), (0o600, (0, 0)));
    }
}

/// Ends with the test.
struct Hostile(Child);

impl Hostile {
    /// Puts a link to the victim in the place of all that is in the folder, again and again.
    fn begin(folder: &Path, victim: &Path) -> Self {
        let script = "cd \"$0\" || exit 1; while :; do \
                      for name in control.sock jailwarden.prom .jailwarden-*; do \
                      ln -sfn \"$1\" \"$name\"; done; sleep 0.02; done";
        let child = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .args(["sh", "-c", script])
            .args([folder, victim])
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn links_of_another_user_lead_no_write_astray() {
    if !rustix::process::geteuid().is_root() {
        return skip("another user takes root");
    }
    let Some(f2b) = Fail2ban::new(Version::V102) else {
        return;
    };
    for jail in ["mail", "web"] {
        f2b.jail(jail, &JailSpec::default());
    }
    let victim = Victim::put(f2b.path("victim"));
    let theirs = f2b.path("theirs");
    fs::create_dir(&theirs).unwrap();
    let metrics = theirs.join("jailwarden.prom");
    symlink(&victim.0, &metrics).unwrap();
    let leftover = f2b.config().join("jail.d/.zzz-jailwarden-web.new");
    symlink(&victim.0, leftover).unwrap();
    for folder in [&theirs, &f2b.config().join("jail.d")] {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let above = theirs.parent().unwrap();
    fs::set_permissions(above, fs::Permissions::from_mode(0o711)).unwrap();

    f2b.start();
    let socket = theirs.join("control.sock");
    let extra = format!(
        "{}metrics: {{textfile: {}}}\ncontrol: {{socket: {}}}\n",
        settings(SHORT),
        metrics.display(),
        socket.display()
    );
    let mut warden = Warden::start(&f2b, &extra);
    warden.wait_for("supervision begins");
    let written = || fs::symlink_metadata(&metrics).is_ok_and(|it| it.is_file());
    assert!(wait_until(GUARD, || written().then_some(())).is_some());
    victim.assert_unharmed();

    let hostile = Hostile::begin(&theirs, &victim.0);
    let taken = || fs::symlink_metadata(&socket).is_ok_and(|it| it.is_symlink());
    assert!(wait_until(GUARD, || taken().then_some(())).is_some());
    f2b.edit("filter.d/web.conf", "fail from", "fail [from");
    f2b.kill();
    warden.wait_for("web disabled so that the others can run");
    warden.wait_for("fail2ban protects again");
    f2b.wait_ban("mail");
    // Its places are taken anew with each start, beside somebody who takes them.
    for _ in 0..5 {
        warden.end();
        warden = Warden::start(&f2b, &extra);
        warden.wait_for("supervision begins");
    }
    warden.end();
    drop(hostile);
    victim.assert_unharmed();
    let rollback = fs::symlink_metadata(f2b.rollback("web")).unwrap();
    assert!(rollback.is_file() && rollback.uid() == 0);
}
