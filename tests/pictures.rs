//! Folders of pictures as people have them.

mod harness;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use harness::World;
use wan22_tune::workload::preprocess::images::photographs;

fn save(path: &Path) {
    let picture = image::RgbImage::from_fn(80, 60, |x, y| image::Rgb([x as u8, y as u8, 70]));
    picture.save_with_format(path, image::ImageFormat::Jpeg).unwrap();
}

/// Of `files` and a whole picture, what `command` says.
fn said(command: &[&str], files: &[(&str, &[u8])]) -> (Option<i32>, String) {
    let world = World::new();
    let folder = world.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    save(&folder.join("whole.jpg"));
    for (name, bytes) in files {
        fs::write(folder.join(OsStr::from_bytes(name.as_bytes())), bytes).unwrap();
    }
    let run = world.tune(&[command, &["--images", "pictures"]].concat()).run();
    (run.status, run.stderr)
}

#[test]
fn pictures_used_and_passed_over_are_counted() {
    let files: [(&str, &[u8]); 6] = [
        ("a.webp", b"RIFF"),
        ("b.gif", b"GIF89a"),
        ("c.tiff", b"II"),
        ("d.bmp", b"BM"),
        ("e.jpe", b"\xff\xd8"),
        ("._whole.jpg", b"\0\x05\x16\x07"),
    ];
    for command in [&["--dry-run"][..], &["measure", "--baseline", "generic"]] {
        let (status, error) = said(command, &files);
        assert_eq!(status, Some(0), "{error}");
        let count = "--images pictures: 1 picture, 5 other files passed over\n";
        assert!(error.contains(count), "{error}");
    }
}

#[test]
fn what_cannot_be_decoded_is_named_before_the_first_trial() {
    let whole = tempfile::NamedTempFile::new().unwrap();
    save(whole.path());
    let whole = fs::read(whole.path()).unwrap();
    let files: [(&str, &[u8]); 2] = [("a.jpg", &whole[..whole.len() / 2]), ("b.png", b"")];
    let (status, error) = said(&["--dry-run"], &files);
    assert_eq!(status, Some(2), "{error}");
    let names =
        "2 of 3 pictures can't be used: a.jpg is cut short: download it again; b.png is empty";
    assert!(error.contains(names) && error.trim_end().lines().count() == 1, "{error}");
}

#[test]
fn a_name_that_is_not_utf8_is_a_name() {
    let world = World::new();
    let folder = world.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    save(&folder.join(OsStr::from_bytes(b"caf\xe9.jpg")));
    let flags = ["measure", "--baseline", "generic", "--images", "pictures"];
    world.tune(&flags).run().exits(0);
}

/// Without a home pictures lie where nobody else puts them, and what is broken is made again.
#[test]
fn generated_pictures_lie_in_a_folder_of_ones_own() {
    let world = World::new();
    let cache = world.path().join("cache");
    fs::create_dir(&cache).unwrap();
    symlink(world.path(), cache.join("wan22-tune")).unwrap();
    let temporary = world.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let made = world.path().join("home/.cache/wan22-tune");
    fs::create_dir_all(&made).unwrap();
    // Made once for all tests.
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wan22-tune");
    for picture in photographs(&shared, 8).unwrap() {
        for path in [picture.with_extension("jpg.sha256"), picture] {
            fs::copy(&path, made.join(path.file_name().unwrap())).unwrap();
        }
    }
    let measure = || {
        world
            .tune(&["measure", "--baseline", "generic", "--workload", "encode"])
            .env("XDG_CACHE_HOME", cache.to_str().unwrap())
            .env("HOME", world.path().join("home").to_str().unwrap())
            .env("TMPDIR", temporary.to_str().unwrap())
            .run()
            .exits(0);
    };
    measure();
    assert!(!world.path().join("photograph-v1-000.jpg").exists(), "the link was followed");
    assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
    let picture = made.join("photograph-v1-007.jpg");
    let whole = fs::read(&picture).unwrap();
    fs::write(&picture, "").unwrap();
    measure();
    assert!(fs::read(&picture).unwrap() == whole);
}
