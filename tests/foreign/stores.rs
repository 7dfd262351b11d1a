//! Bad surroundings that take mounting: read-only and full stores. What was there stays, whole, and
//! the message names it.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use crate::support::{
    ISSUER, Output, Site,
    complaint::{REFUSED, complains, says, site},
};

/// Runs a shell script that may mount things which nobody else sees.
fn with_mounts(site: &Site, script: &str) -> Output {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let flags = if is_root { "-m" } else { "-rm" };
    let mut command = Command::new("unshare");
    command
        .args([flags, "sh", "-c", script])
        .current_dir(site.dir());
    command
        .env("RESCIND", env!("CARGO_BIN_EXE_rescind"))
        .env_remove("RESCIND_CONFIG");
    let output = command.output().map(Output::of);
    let output =
        output.unwrap_or_else(|error| panic!("these tests need `unshare` (util-linux): {error}"));
    let may_mount = output.code != 99 && !output.stderr.contains("unshare:");
    assert!(
        may_mount,
        "these tests mount small and read-only disks: run them as root, or allow user namespaces: \
         {output:?}"
    );
    output
}

#[test]
fn read_only_stores_fail_with_their_path_and_stay_as_they_are() {
    // SQLite's words for a file it may not write beside are its own.
    for (store, path, word) in [
        ("shelf", "data/shelf", "ead-only"),
        ("archive", "data/archive", "ead-only"),
        ("index", "data", "index.sqlite"),
    ] {
        let site = site();
        let before = site.snapshot();
        let script = format!(
            "mount --bind {path} {path} && mount -o remount,bind,ro {path} || exit 99
             \"$RESCIND\" --config rescind.toml publish --force"
        );
        let output = with_mounts(&site, &script);
        complains(&output, REFUSED, &[path, word]);
        let after = site.snapshot();
        let index = site.path("data/index.sqlite");
        for (path, bytes) in &before {
            // A number may have been reserved in the index before the store was found to be
            // read-only.
            assert!(
                *path == index || after[path] == *bytes,
                "{store}: {path:?} changed"
            );
        }
        assert_eq!(
            site.publish(&["--force"])["published"],
            true,
            "{store}: once it can be written"
        );
    }
}

#[test]
fn read_only_index_takes_no_revocation() {
    let site = site();
    let before = site.snapshot();
    let script = format!(
        "mount --bind data data && mount -o remount,bind,ro data || exit 99
         \"$RESCIND\" --config rescind.toml revoke --issuer {ISSUER} --serial 0a"
    );
    complains(&with_mounts(&site, &script), REFUSED, &["index.sqlite"]);
    assert!(site.snapshot() == before);
}

/// A full disk at each store in turn: the shelf keeps the old CRL, whole, and a pass with room
/// heals everything.
#[test]
fn full_disk_while_publishing_leaves_the_old_crl_whole() {
    for path in ["data", "data/archive", "data/shelf"] {
        let site = site();
        site.revoke("0d", "superseded");
        let (before, export, shelf) = (site.archive(), site.export(), site.crl_bytes());
        // The store moves to a small disk, which is filled; what is left there afterwards is copied
        // back.
        let script = format!(
            "cp -a {path} saved && mount -t tmpfs -o size=1m tmpfs {path} && cp -a saved/. {path}/ \
             || exit 99
             dd if=/dev/zero of={path}/.fill bs=4k 2>/dev/null
             for n in 1 2 3; do dd if=/dev/zero of={path}/.fill$n bs=1 count=4096 2>/dev/null; done
             \"$RESCIND\" --config rescind.toml publish --force
             code=$?
             rm {path}/.fill*
             cp -a {path} after
             exit $code"
        );
        let output = with_mounts(&site, &script);
        assert_eq!(output.code, REFUSED, "{path}: {output:?}");
        says(&output, &["data/"]);
        assert_eq!(
            output.stderr.trim_end().lines().count(),
            1,
            "{path}: {output:?}"
        );
        fs::remove_dir_all(site.path(path)).unwrap();
        fs::rename(site.path("after"), site.path(path)).unwrap();

        assert!(site.crl_bytes() == shelf, "{path}: the shelf changed");
        assert!(site.export() == export, "{path}: the index changed");
        assert!(
            before
                .iter()
                .all(|(number, bytes)| site.archive()[number] == *bytes),
            "{path}: the archive changed"
        );
        let healed = site.publish(&[]);
        assert_eq!(healed["published"], true, "{path}: {healed}");
        assert_eq!(site.crl().serials(), ["0B", "0C", "0D"], "{path}");
        assert!(
            site.crl().number() > *before.last_key_value().unwrap().0,
            "{path}"
        );
    }
}

#[test]
fn full_disk_takes_no_revocation_and_says_so() {
    let site = site();
    let before = site.export();
    let script = format!(
        "cp -a data saved && mount -t tmpfs -o size=1m tmpfs data && cp -a saved/. data/ || exit 99
         dd if=/dev/zero of=data/.fill bs=4k 2>/dev/null
         \"$RESCIND\" --config rescind.toml revoke --issuer {ISSUER} --serial 0a
         code=$?
         rm data/.fill
         cp -a data after
         exit $code"
    );
    complains(&with_mounts(&site, &script), REFUSED, &["index.sqlite"]);
    fs::remove_dir_all(site.path("data")).unwrap();
    fs::rename(site.path("after"), site.path("data")).unwrap();
    assert!(site.export() == before);
    site.revoke("0a", "superseded");
}
