//! `kbt dto verify`: what a final tree must hold, the holes of the device's own check, images, and real merges.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod differential;
mod dto_room;

use std::fs;
use std::path::Path;
use std::process::Command;

use differential::files::{Files, pairs_of_a_vendor};
use differential::parallel;
use dto_room::Room;
use kbt_dts::{Dts, compare};
use kbt_testkit::{Node, Overlay, Target, peers, require};

/// What is asked of a room here.
trait Verifies {
    fn merged(&self, overlays: &str);
    fn holds(&self, words: &str);
    fn lacks(&self, words: &str) -> String;
}

impl Verifies for Room {
    /// Merges and expects the result to be verified.
    fn merged(&self, overlays: &str) {
        let output = self.run(&format!("dto apply base {overlays} -o final"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        self.holds(&format!("final {overlays}"));
        self.holds(&format!("final {overlays} --base base"));
    }

    #[track_caller]
    fn holds(&self, words: &str) {
        let output = self.run(&format!("dto verify {words}"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(": holds "), "{output:?}");
    }

    /// What is told, one line a fault.
    #[track_caller]
    fn lacks(&self, words: &str) -> String {
        let output = self.run(&format!("dto verify {words}"));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A base with two oscillators and a bus.
fn base() -> Node {
    Node::new("")
        .child(Node::new("osc0").cells("#clock-cells", &[0]).phandle(1))
        .child(Node::new("osc1").cells("#clock-cells", &[0]).phandle(2))
        .child(Node::new("bus").text("status", "disabled").phandle(3).child(Node::new("osc0").phandle(4)))
        .child(Node::new("user").cells("clocks", &[2]))
        .child(Node::new("__symbols__").text("osc0", "/osc0").text("osc1", "/osc1").text("bus", "/bus"))
}

/// Enables the bus and adds a device with a clock of the base and one of its own.
fn overlay() -> Overlay {
    let mut overlay = Overlay::new();
    let device = Node::new("device@1").cells("clocks", &[u32::MAX, 7]).cells("reg", &[1]);
    let own = Node::new("own").cells("#clock-cells", &[0]).phandle(7);
    let path =
        overlay.fragment(Target::label("bus"), Node::new("").text("status", "okay").child(device).child(own));
    overlay.reference(&format!("{path}/device@1"), "clocks", 0, "osc1");
    overlay.local_reference(&format!("{path}/device@1"), "clocks", 4);
    overlay.symbol("own", &format!("{path}/own"));
    overlay
}

fn room() -> Room {
    let room = Room::new();
    room.put("base", base());
    room.put("a.dtbo", overlay().finish());
    room.merged("a.dtbo");
    room
}

/// The final tree of [`room`], changed.
fn changed(room: &Room, change: impl FnOnce(&mut Node)) {
    let mut tree = kbt_testkit::read(&fs::read(room.path("final")).unwrap()).unwrap();
    change(&mut tree.root);
    room.put("changed", tree);
}

#[test]
fn an_unmerged_base_is_refused() {
    let room = room();
    let expected = "\
a.dtbo: /fragment@0/__overlay__/device@1: the node is not in the tree (at byte 132)
a.dtbo: /fragment@0/__overlay__/own: the node is not in the tree (at byte 188)
a.dtbo: /bus: property 'status': the overlay wants status = \"okay\", the tree has status = \"disabled\" (at byte 112)
";
    assert_eq!(room.lacks("base a.dtbo"), expected);
    let output = room.run("dto verify base a.dtbo --base base");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the tree is the base itself: no overlay was merged into it"), "{said}");
}

#[test]
fn a_base_that_holds_the_overlays_already_is_told() {
    let room = room();
    // Merging it again changes nothing: whether that was done nobody can see.
    let output = room.run("dto verify final a.dtbo --base final");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("final: it holds the overlays already"), "{said}");
    let output = room.run("dto verify final a.dtbo --base base");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn each_value_is_compared() {
    let room = room();
    changed(&room, |root| root.node_mut("bus").node_mut("device@1").properties[1].1[3] = 2);
    let said = room.lacks("changed a.dtbo");
    assert!(
        said.contains(
            "/bus/device@1: property 'reg': the overlay wants reg = <0x01>, the tree has reg = <0x02>"
        ),
        "{said}"
    );
    changed(&room, |root| _ = root.node_mut("bus").node_mut("device@1").properties.remove(1));
    let said = room.lacks("changed a.dtbo");
    assert!(said.contains("/bus/device@1: property 'reg': the tree's node does not have it"), "{said}");
}

#[test]
fn a_phandle_must_lead_to_the_very_node() {
    let room = room();
    // /bus/osc0 has the name of /osc0: the device's own check would take it.
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::label("bus"), Node::new("").cells("clocks", &[u32::MAX]));
    overlay.reference(&path, "clocks", 0, "osc0");
    room.put("b.dtbo", overlay.finish());
    room.merged("b.dtbo");
    changed(&room, |root| {
        root.node_mut("bus").properties.last_mut().unwrap().1 = 4_u32.to_be_bytes().to_vec();
    });
    let said = room.lacks("changed b.dtbo");
    assert!(
        said.contains("property 'clocks': a phandle is to lead to /osc0 and leads to /bus/osc0"),
        "{said}"
    );
    changed(&room, |root| {
        root.node_mut("bus").properties.last_mut().unwrap().1 = 99_u32.to_be_bytes().to_vec();
    });
    assert!(room.lacks("changed b.dtbo").contains("a phandle is to lead to /osc0 and leads nowhere"));
}

#[test]
fn a_reference_of_the_base_that_the_merge_lost_is_found() {
    let room = room();
    // What libufdt's merge does where an overlay labels a node again.
    changed(&room, |root| {
        root.node_mut("osc1").properties.last_mut().unwrap().1 = 9_u32.to_be_bytes().to_vec();
    });
    let said = room.lacks("changed a.dtbo");
    assert!(
        said.contains("changed: /user: property 'clocks': no node of the tree has the phandle 0x2"),
        "{said}"
    );
    // One that the base has by itself is not the merge's.
    let mut broken = base();
    broken.children[3].properties.push(("resets".to_owned(), 77_u32.to_be_bytes().to_vec()));
    room.put("base", broken);
    room.run("dto apply base a.dtbo -o final");
    room.holds("final a.dtbo --base base");
    assert!(
        room.lacks("final a.dtbo").contains("property 'resets': no node of the tree has the phandle 0x4d")
    );
}

#[test]
fn targets_and_labels_must_be_there() {
    let room = room();
    for (target, expected) in [
        (Target::label("nobody"), "the target's label 'nobody' is not in the tree"),
        (Target::path("/nowhere"), "the target /nowhere is not in the tree"),
        (Target::path("alias"), "the target alias is not in the tree"),
    ] {
        let mut overlay = Overlay::new();
        overlay.fragment(target, Node::new("").flag("x"));
        room.put("b.dtbo", overlay.finish());
        let said = room.lacks("final b.dtbo");
        assert!(said.contains(expected), "{said}");
    }
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/bus"), Node::new("").cells("clocks", &[u32::MAX]));
    overlay.reference("/fragment@0/__overlay__", "clocks", 0, "nobody");
    room.put("b.dtbo", overlay.finish());
    changed(&room, |root| root.node_mut("bus").properties.push(("clocks".to_owned(), vec![0, 0, 0, 1])));
    assert!(
        room.lacks("changed b.dtbo").contains("property 'clocks': the label 'nobody' is not in the tree")
    );
    let mut overlay = self::overlay();
    overlay.root.children.push(Node::new("fragment@9").text("target-path", "/bus"));
    room.put("b.dtbo", overlay.finish());
    assert!(room.lacks("final b.dtbo").contains("b.dtbo: /fragment@9: the fragment has no __overlay__"));
}

#[test]
fn the_last_overlay_counts_by_label_and_by_path() {
    let room = room();
    let set = |target, value| {
        let mut overlay = Overlay::new();
        overlay.fragment(target, Node::new("").text("mode", value));
        overlay.finish()
    };
    room.put("b.dtbo", set(Target::label("bus"), "one"));
    room.put("c.dtbo", set(Target::path("/bus"), "two"));
    room.merged("b.dtbo c.dtbo");
    let said = room.lacks("final c.dtbo b.dtbo");
    assert!(
        said.starts_with(
            "b.dtbo: /bus: property 'mode': the overlay wants mode = \"one\", the tree has mode = \"two\""
        ),
        "{said}"
    );
}

#[test]
fn a_label_of_an_earlier_overlay_needs_no_symbol() {
    let room = room();
    let mut overlay = Overlay::new();
    overlay.fragment(Target::label("own"), Node::new("").flag("late"));
    room.put("b.dtbo", overlay.finish());
    room.merged("a.dtbo b.dtbo");
    // libufdt merges no symbols.
    changed(&room, |root| root.node_mut("__symbols__").properties.retain(|(name, _)| name != "own"));
    room.holds("changed a.dtbo b.dtbo");
    assert!(room.lacks("changed b.dtbo").contains("the target's label 'own' is not in the tree"));
}

#[test]
fn entries_of_an_image_by_index() {
    let room = room();
    let mut other = Overlay::new();
    other.fragment(Target::label("bus"), Node::new("").flag("other"));
    room.put("b.dtbo", other.finish());
    for compression in ["none", "zlib", "gzip"] {
        let pack = format!(
            "dtbo pack -o img --version 1 b.dtbo,compression={compression} a.dtbo,compression={compression}"
        );
        assert_eq!(room.run(&pack).status.code(), Some(0));
        room.holds("final img --idx 1");
        assert!(room.lacks("final img --idx 1,0").contains("img#0: /bus: property 'other'"));
    }
    let output = room.run("dto verify final img");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    changed(&room, |root| {
        root.children.push(Node::new("chosen").text("bootargs", "quiet androidboot.dtbo_idx=1 x"));
    });
    room.holds("changed img");
    assert_eq!(room.run("dto verify final img --idx 7").status.code(), Some(1));
    assert_eq!(room.run("dto verify final a.dtbo --idx 0").status.code(), Some(2));
}

#[test]
fn json_lists_the_faults() {
    let room = room();
    let output = room.run("--json dto verify base a.dtbo");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["ok"], false);
    let codes: Vec<_> = value["faults"].as_array().unwrap().iter().map(|fault| &fault["code"]).collect();
    assert_eq!(codes, ["node-missing", "node-missing", "value-differs"]);
    let output = room.run("--json dto verify final a.dtbo");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["ok"], &value["nodes"]), (&true.into(), &3.into()));
}

/// Every merge of real trees is verified, and no base that a merge changes.
/// What `dto apply --concat-bootargs` makes, and a boot loader that adds words of its own.
#[test]
fn a_command_line_that_was_joined() {
    let with =
        |name: &str, value: &str| dto_room::one(Target::path("/chosen"), Node::new("").text(name, value));
    let room = Room::with(
        Node::new("").child(Node::new("chosen").text("bootargs", "quiet root=/dev/vda")),
        [with("bootargs_ext", "cam=1 cam.mode=2"), with("bootargs_ext", "usb"), with("bootargs", "loud")],
    );
    for overlays in ["a", "a b", "b a", "c a b", "a c b"] {
        let output = room.run(&format!("dto apply base {overlays} -o final --concat-bootargs"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        room.holds(&format!("final {overlays} --concat-bootargs"));
        room.holds(&format!("final {overlays} --concat-bootargs --base base"));
        room.lacks(&format!("final {overlays}"));
    }
    let booted = |line: &str| {
        room.put("final", Node::new("").child(Node::new("chosen").text("bootargs", line)));
    };
    booted("x quiet root=/dev/vda y cam=1 cam.mode=2 z usb androidboot.dtbo_idx=0,1");
    room.holds("final a b --concat-bootargs --base base");
    let told =
        "a: /chosen: property 'bootargs_ext': the command line is to have 'cam=1 cam.mode=2' here, and is ";
    for line in
        ["quiet root=/dev/vda usb cam=1 cam.mode=23", "cam=1 cam.mode=2", "usb", "cam=1 usb cam.mode=2"]
    {
        booted(line);
        assert!(
            room.lacks("final a --concat-bootargs --base base").contains("the command line is to have"),
            "{line}"
        );
    }
    booted("quiet root=/dev/vda usb");
    assert!(room.lacks("final a b --concat-bootargs").starts_with(told));
    booted("quiet root=/dev/vda usb cam=1 cam.mode=2");
    assert!(room.lacks("final a b --concat-bootargs").contains("is to have 'usb' here"), "the order counts");
    booted("cam=1 cam.mode=2");
    let told = room.lacks("final a --concat-bootargs --base base");
    assert!(
        told.starts_with("base: /chosen: property 'bootargs':") || told.contains("root=/dev/vda"),
        "{told}"
    );
}

/// A tree of libfdt's, whose names match loosely.
#[test]
fn nodes_that_libfdt_matched_loosely() {
    let fdtoverlay = require!(peers::tool("fdtoverlay"));
    let mut first = Overlay::new();
    let spi = Node::new("spi").cells("mode", &[1]);
    let labelled = Node::new("x").phandle(1);
    let path = first.fragment(
        Target::label("soc"),
        Node::new("").child(spi.child(Node::new("dev").cells("q", &[1]).child(labelled))),
    );
    first.local_reference(&format!("{path}/spi/dev"), "q", 0);
    first.symbol("x", &format!("{path}/spi/dev/x"));
    let mut second = Overlay::new();
    second.fragment(Target::path("/soc/spi"), Node::new("").flag("two"));
    // libfdt's symbol of x is /soc/spi/dev/x, which spi@30 hides from then on.
    second.fragment(Target::label("x"), Node::new("").flag("four"));
    second.fragment(Target::label("soc"), Node::new("").child(Node::new("spi@30")));
    let mut third = Overlay::new();
    third.fragment(Target::label("soc"), Node::new("").child(Node::new("spi").flag("three")));
    let soc = Node::new("soc").phandle(1).child(Node::new("spi@10")).child(Node::new("spi@20"));
    let base = Node::new("").child(soc).child(Node::new("__symbols__").text("soc", "/soc"));
    let room = Room::with(base, [first.finish(), second.finish(), third.finish()]);
    let output = room.run("dto apply base a b c -o ours --loose-names");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let files = ["base", "theirs", "a", "b", "c"].map(|name| room.path(name));
    let mut theirs = Command::new(fdtoverlay);
    theirs.arg("-i").arg(&files[0]).arg("-o").args(&files[1..]);
    let output = theirs.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for merged in ["ours", "theirs"] {
        room.holds(&format!("{merged} a b c --loose-names"));
        room.holds(&format!("{merged} a b c --loose-names --base base"));
        assert!(room.lacks(&format!("{merged} a b c")).contains("the target /soc/spi is not in the tree"));
    }
    room.put(
        "one",
        Node::new("")
            .child(Node::new("soc").child(Node::new("spi@10")))
            .child(Node::new("__symbols__").text("soc", "/soc")),
    );
    let told = room.lacks("one a");
    assert!(
        told.contains("__overlay__/spi: the node is not in the tree, but there is /soc/spi@10"),
        "{told}"
    );
    assert!(room.lacks("base a --loose-names").contains("/soc/spi@10: property 'mode'"));
}

#[test]
fn real_merges_hold_their_overlays() {
    let directory = require!(peers::trees("arm64-6.12"));
    let pairs = pairs_of_a_vendor(&directory, 7);
    let room = Room::new();
    let run = |words: [&str; 2], paths: &[&Path]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.args(words).args(paths).output().unwrap().status.code()
    };
    let loose = Path::new("--loose-names");
    let verified = parallel::map(&pairs, |thread, (base, overlay)| {
        let merged = room.path(&thread.to_string());
        if run(["dto", "apply"], &[base, overlay, Path::new("-qo"), &merged]) != Some(0) {
            return 0;
        }
        assert_eq!(run(["dto", "verify"], &[&merged, overlay]), Some(0), "{base:?} + {overlay:?}");
        let unchanged = run(["dto", "diff"], &[base, &merged]) == Some(0);
        let expected = if unchanged { Some(0) } else { Some(1) };
        assert_eq!(run(["dto", "verify"], &[base, overlay]), expected, "{base:?}, {overlay:?} unmerged");
        // libfdt's way of names gives the same tree here, or another one that holds the overlay as well.
        assert_eq!(run(["dto", "apply"], &[base, overlay, Path::new("-qo"), &merged, loose]), Some(0));
        assert_eq!(run(["dto", "verify"], &[&merged, overlay, loose]), Some(0), "{base:?} + {overlay:?}");
        1
    });
    let verified: usize = verified.into_iter().sum();
    eprintln!("{verified} merges of {} pairs verified", pairs.len());
    assert!(verified > 0, "no pair applies");
}

#[test]
fn what_is_no_overlay_is_refused() {
    let room = room();
    for file in ["base", "final"] {
        let said = room.lacks(&format!("final {file}"));
        assert!(said.contains(&format!("{file}: /: this is no overlay")), "{said}");
    }
}

/// More faults of the base than are kept hide none of the merge's.
#[test]
fn faults_of_the_base_are_left_out_before_any_is_dropped() {
    let room = room();
    let mut broken = base();
    for n in 0..1100_u32 {
        broken.children.push(Node::new(format!("lost{n}")).cells("resets", &[5000 + n]));
    }
    room.put("base", broken);
    room.run("dto apply base a.dtbo -o final");
    room.holds("final a.dtbo --base base");
    changed(&room, |root| {
        root.node_mut("osc1").properties.last_mut().unwrap().1 = 9_u32.to_be_bytes().to_vec();
    });
    let said = room.lacks("changed a.dtbo --base base");
    assert!(said.contains("/user: property 'clocks': no node of the tree has the phandle 0x2"), "{said}");
    assert_eq!(room.lacks("changed a.dtbo").lines().count(), 1000);
    // Those that are not listed are counted.
    let all = 1100 + said.lines().count();
    let output = room.run("--json dto verify changed a.dtbo");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["unlisted"], all - 1000);
    let message =
        format!("the tree lacks {all} things that the overlays ask for, {} of them not listed", all - 1000);
    assert_eq!(value["error"]["message"], message);
}

#[test]
fn a_phandle_of_two_nodes_is_a_fault() {
    let room = room();
    // A merge that numbers nothing anew, and puts its nodes in front.
    let twice = |root: &mut Node| {
        root.node_mut("bus").node_mut("own").properties.last_mut().unwrap().1 = vec![0, 0, 0, 1];
        root.node_mut("bus").node_mut("device@1").properties[0].1[7] = 1;
    };
    changed(&room, twice);
    let said = room.lacks("changed a.dtbo --base base");
    assert!(said.contains("has the phandle 0x1, too"), "{said}");
    // The base's own are the base's.
    let mut broken = base();
    broken.children[1].properties.last_mut().unwrap().1 = vec![0, 0, 0, 1];
    room.put("base", broken);
    room.run("dto apply base a.dtbo -o final");
    let output = room.run("dto verify final a.dtbo --base base");
    assert!(!String::from_utf8_lossy(&output.stdout).contains(", too"), "{output:?}");
}

#[test]
fn a_label_is_the_node_of_its_time() {
    let room = room();
    let set = |label: &str, flag: &str| {
        let mut overlay = Overlay::new();
        overlay.fragment(Target::label(label), Node::new("").flag(flag));
        overlay.finish()
    };
    room.put("first.dtbo", set("bus", "p"));
    let mut again = Overlay::new();
    let path = again.fragment(Target::path("/osc0"), Node::new("").child(Node::new("n")));
    again.symbol("bus", &format!("{path}/n"));
    room.put("again.dtbo", again.finish());
    assert_eq!(room.run("dto apply base first.dtbo again.dtbo -o final").status.code(), Some(0));
    room.holds("final first.dtbo again.dtbo --base base");
    let said = room.lacks("final first.dtbo again.dtbo");
    assert!(said.contains("a later overlay has set the label 'bus' anew: only --base tells"), "{said}");
    // In the other order the label is the new node's.
    assert_eq!(room.run("dto apply base again.dtbo first.dtbo -o final").status.code(), Some(0));
    room.holds("final again.dtbo first.dtbo");
    room.holds("final again.dtbo first.dtbo --base base");
    assert!(room.lacks("final first.dtbo again.dtbo --base base").contains("property 'p'"));
}

/// The real bases that are accepted though nobody merged anything here were merged by the kernel's build: each is another
/// base of its folder with that overlay and perhaps one more.
#[test]
fn accepted_bases_are_merged_ones() {
    let directory = require!(peers::trees("arm64-6.12"));
    let all = std::env::var("KBT_DIFFERENTIAL").is_ok_and(|value| value == "all");
    let vendors: &[&str] = if all { &["renesas", "ti"] } else { &["ti"] };
    let accepted = vendors.iter().map(|vendor| {
        let folder = directory.join(vendor);
        let files = Files::list(&folder);
        let read = |names: &[String]| -> Vec<Vec<u8>> {
            names.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect()
        };
        let (bases, overlays) = (read(&files.bases), read(&files.overlays));
        let pairs: Vec<_> = (0..bases.len())
            .flat_map(|base| (0..overlays.len()).map(move |overlay| (base, overlay)))
            .collect();
        let told = parallel::map(&pairs, |_, &(base, overlay)| {
            if !holds(&bases[base], &overlays[overlay]) {
                return 0;
            }
            let name = format!("{} holds {}", files.bases[base], files.overlays[overlay]);
            let Some(from) = origin(&bases, &overlays, base, overlay) else {
                // One that was made with an overlay which the package lacks.
                let again = kbt_dto::apply(&bases[base], &[&overlays[overlay]], &kbt_dto::Options::default());
                let same = compare(&parse(&again.unwrap().bytes), &parse(&bases[base])).is_empty();
                assert!(same, "{name}, but merging it changes the tree");
                eprintln!("{name}: what it was made of is not here");
                return 0;
            };
            eprintln!("{name}: it is {} with it", files.bases[from]);
            1
        });
        told.into_iter().sum::<usize>()
    });
    assert!(accepted.sum::<usize>() > 0, "no base is a merged one: the test shows nothing any more");
}

fn parse(bytes: &[u8]) -> Dts<'_> {
    Dts::parse(bytes).unwrap()
}

fn holds(tree: &[u8], overlay: &[u8]) -> bool {
    kbt_dto_check::verify(tree, None, &[overlay], &kbt_dto::Options::default()).unwrap().faults.is_empty()
}

/// The base that lacks the overlay and becomes the tree with it, and perhaps with one more.
fn origin(bases: &[Vec<u8>], overlays: &[Vec<u8>], tree: usize, overlay: usize) -> Option<usize> {
    let meant = parse(&bases[tree]);
    let own = &overlays[overlay][..];
    let becomes = |base: &[u8], stack: &[&[u8]]| {
        kbt_dto::apply(base, stack, &kbt_dto::Options::default())
            .is_ok_and(|merged| compare(&parse(&merged.bytes), &meant).is_empty())
    };
    (0..bases.len()).find(|&from| {
        let base = &bases[from][..];
        !holds(base, own)
            && (becomes(base, &[own])
                || overlays.iter().any(|more| becomes(base, &[own, more]) || becomes(base, &[more, own])))
    })
}
