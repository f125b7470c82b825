//! A disk of a few kilobytes, to fill or to make read-only.

use std::path::Path;
use std::process::Command;

/// A tmpfs of its own, unmounted at the end.
pub struct SmallDisk {
    mount_point: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, with a line on standard error, where this user may not mount.
    ///
    /// # Panics
    /// With `CI=true`, when it cannot be mounted.
    pub fn mount(kilobytes: u32) -> Option<Self> {
        let mount_point = tempfile::tempdir().expect("a folder to mount on");
        let size = format!("size={kilobytes}k");
        let mounted = mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], mount_point.path());
        if mounted {
            return Some(Self { mount_point });
        }
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "with CI=true a tmpfs must be mountable"
        );
        eprintln!("skipped: this user may not mount a tmpfs");
        None
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.mount_point.path()
    }

    /// Makes it read-only, for root too, to whom permissions do not apply.
    pub fn make_read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], self.path()), "remounting read-only");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazy, so that a file still open does not keep the mount.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(
            std::thread::panicking() || unmounted.is_ok_and(|status| status.success()),
            "unmounting {}",
            self.path().display()
        );
    }
}

fn mount(arguments: &[&str], on: &Path) -> bool {
    Command::new("mount")
        .args(arguments)
        .arg(on)
        .output()
        .is_ok_and(|output| output.status.success())
}
