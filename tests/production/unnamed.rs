//! Kept profiles under names that say nothing of a machine.

use super::kept::proven;
use super::*;

/// The least bad of many machines, and whatever else somebody put there, take no proven profile's place.
#[test]
fn a_file_of_any_name_is_ranked_with_those_named_by_a_machine() {
    let world = World::new();
    let kept = world.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let of = |identity: &str, gain, made: &str| {
        let mut profile = proven("i2v", gain, 4);
        profile.machine.fingerprint.identity = identity.to_owned();
        made.clone_into(&mut profile.timestamp);
        profile
    };
    let class = of("0123456789abcdef", Some([10.0, 20.0]), "2026-11-24T10:00:00Z");
    let class_name = FileName::of(&class, None).to_string();
    class.write(&kept.join(&class_name)).unwrap();
    of("fedcba9876543210", None, "2026-11-25T10:00:00Z").write(&kept.join("fleet.json")).unwrap();
    let auto = || world.tuner(&["exec", "--auto", "--folder", "kept", "--", "true"]).run().stderr;
    assert!(auto().contains(&format!("kept/{class_name} (same shape)")), "{}", auto());
    // Of two that are proven the newer one, and one of this very machine before both.
    let newer = of("fedcba9876543210", Some([10.0, 20.0]), "2026-11-25T10:00:00Z");
    newer.write(&kept.join("fleet.json")).unwrap();
    assert!(auto().contains("kept/fleet.json (same shape)"), "{}", auto());
    let own = proven("i2v", None, 4);
    let own_name = FileName::of(&own, None).to_string();
    own.write(&kept.join(&own_name)).unwrap();
    assert!(auto().contains(&format!("kept/{own_name} (same machine)")), "{}", auto());
    proven("i2v", Some([10.0, 20.0]), 4).write(&kept.join("mine.json")).unwrap();
    assert!(auto().contains("kept/mine.json (same machine)"), "{}", auto());

    let profiles =
        |words: &[&str]| world.tuner(&[&["profiles", "--folder", "kept"], words].concat()).run();
    assert_eq!(profiles(&["verify"]).status, Some(0), "names that say nothing are no lie");
    // A whole name that begins another one.
    fs::copy(kept.join("mine.json"), kept.join("mine-too.json")).unwrap();
    let shown = profiles(&["show", "mine"]);
    assert!(shown.stdout.contains("kept/mine.json\n"), "{}{}", shown.stdout, shown.stderr);
    assert!(profiles(&["show", "min"]).stderr.contains("several names begin so"));
    fs::rename(kept.join("fleet.json"), kept.join(own_name.replace("-i2v", "-vae-decode")))
        .unwrap();
    let run = profiles(&["verify"]);
    assert_eq!(run.status, Some(1));
    assert!(run.stdout.contains("it is called otherwise than its machine"), "{}", run.stdout);
}
