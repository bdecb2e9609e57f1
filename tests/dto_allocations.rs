//! How often and how much a merge allocates: the count does not grow with the base, the bytes with its size only.

#![allow(clippy::unwrap_used)]

use kbt_dto::Options;
use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::tree::Node;
use kbt_testkit::write::write;

/// A base of so many nodes with labels, 16 to a parent.
fn base(nodes: u32) -> Vec<u8> {
    let mut symbols = Node::new("__symbols__");
    let groups = (0..nodes / 16).map(|group| {
        let children = (0..16).map(|n| {
            let number = group * 16 + n;
            let name = format!("d@{number:x}");
            symbols =
                std::mem::take(&mut symbols).text(&format!("l{number}"), &format!("/g@{group:x}/{name}"));
            Node::new(name).cells("reg", &[number]).phandle(number + 1)
        });
        Node::new(format!("g@{group:x}")).children(children.collect::<Vec<_>>())
    });
    let groups: Vec<Node> = groups.collect();
    write(&Node::new("").children(groups).child(symbols).into())
}

fn overlay() -> Vec<u8> {
    let mut overlay = Overlay::new();
    for n in 0..10 {
        let content = Node::default().text("status", "okay").child(Node::new("new").phandle(n + 1));
        let path = overlay.fragment(Target::label(format!("l{}", n * 16)), content);
        overlay.symbol(&format!("new{n}"), &format!("{path}/new"));
    }
    write(&overlay.finish())
}

fn measure(base: &[u8], overlay: &[u8]) -> allocation_counter::AllocationInfo {
    allocation_counter::measure(|| {
        kbt_dto::apply(base, &[overlay], &Options::default()).unwrap();
    })
}

#[test]
fn allocations_do_not_grow_with_the_base() {
    let overlay = overlay();
    let counts: Vec<u64> = [160, 1_600, 16_000, 160_000]
        .iter()
        .map(|&nodes| measure(&base(nodes), &overlay).count_total)
        .collect();
    // Wide nodes (here the root, from 1600 on) are put into a table after some look-ups.
    let [small, wide @ ..] = &counts[..] else { unreachable!() };
    assert!(wide.iter().all(|count| count == &wide[0]), "{counts:?}");
    assert!(wide[0] <= small + 20, "{counts:?}");
}

#[test]
fn bytes_held_at_once_stay_within_three_times_the_inputs() {
    // With the inputs themselves the whole process holds four times as much.
    let overlay = overlay();
    for nodes in [1_600, 160_000] {
        let base = base(nodes);
        let held = measure(&base, &overlay).bytes_max;
        let inputs = (base.len() + overlay.len()) as u64;
        assert!(held <= 3 * inputs + (1 << 20), "{held} for {inputs}");
    }
}

/// Whichever of the overlays is the large one: a merger holds what one merge needs, not the largest of each place.
#[test]
fn what_a_merger_holds_does_not_grow_from_merge_to_merge() {
    let (base, small) = (base(160), overlay());
    let mut large = Overlay::new();
    let nodes = (0..10_000).map(|n| Node::new(format!("n{n}")).cells("reg", &[n]).phandle(n + 1));
    large.fragment(Target::label("l0"), Node::default().children(nodes.collect::<Vec<_>>()));
    let large = write(&large.finish());
    let mut merger = kbt_dto::Merger::default();
    let places = 40;
    let mut merge = |place: usize| {
        let mut overlays = vec![&small[..]; places];
        overlays[place] = &large;
        allocation_counter::measure(|| drop(merger.apply(&base, &overlays, &Options::default()).unwrap()))
    };
    let held: i64 = (0..places).map(|place| merge(place).bytes_current).sum();
    let inputs = i64::try_from(base.len() + small.len() * places + large.len()).unwrap();
    assert!(held <= 6 * inputs, "{held} for {inputs}");
    // What is kept is of use to the next merge of the same inputs.
    merge(7);
    let again = merge(7);
    assert!(again.bytes_total < 2 * u64::try_from(inputs).unwrap(), "{again:?} for {inputs}");
}
