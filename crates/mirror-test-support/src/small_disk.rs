//! A disk of a few kilobytes that a test can fill or make read-only.

use std::path::Path;
use std::process::Command;

/// A dedicated tmpfs, unmounted when dropped.
pub struct SmallDisk {
    mount_point: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts a disk. Returns `None` and prints a line to standard error if this user may not mount.
    ///
    /// # Panics
    ///
    /// Panics with `CI=true` if the disk cannot be mounted.
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

    /// Returns the mount point.
    pub fn path(&self) -> &Path {
        self.mount_point.path()
    }

    /// Makes the disk read-only. This also affects root, to whom permissions do not apply.
    pub fn make_read_only(&self) {
        assert!(
            mount(&["-o", "remount,ro"], self.path()),
            "cannot remount read-only"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Unmounts lazily, so that a file that is still open does not keep the mount.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(
            std::thread::panicking() || unmounted.is_ok_and(|status| status.success()),
            "cannot unmount {}",
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
