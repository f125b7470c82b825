//! Positions for the nodes of a graph, so that connected nodes are near each other.

use std::f64::consts::TAU;

/// Number of rounds in which the nodes move.
const ROUNDS: usize = 100;

/// Places `nodes` nodes in a plane. Edges pull their two nodes together, all nodes push each other apart, and a weak
/// force keeps parts without connection near the centre. Equal arguments give equal positions. The time is proportional
/// to the square of the number of nodes.
///
/// Fruchterman, T. M. J., and Reingold, E. M., Graph Drawing by Force-directed Placement, 1991.
pub(super) fn layout(nodes: usize, edges: &[(usize, usize)], seed: u64) -> Vec<(f64, f64)> {
    let mut state = seed;
    // On a circle, with distances from the centre that differ, so that the forces are in balance nowhere.
    let mut places: Vec<(f64, f64)> = (0..nodes)
        .map(|node| {
            let (sin, cos) = (TAU * node as f64 / nodes as f64).sin_cos();
            let radius = 0.5 + 0.5 * random(&mut state);
            (radius * cos, radius * sin)
        })
        .collect();
    let distance = 1.0 / (nodes.max(1) as f64).sqrt();
    for round in 0..ROUNDS {
        let farthest = 0.2 * (1.0 - round as f64 / ROUNDS as f64);
        let forces = forces(&places, edges, distance);
        for (place, force) in places.iter_mut().zip(forces) {
            let size = force.0.hypot(force.1);
            if size > 0.0 {
                let step = size.min(farthest) / size;
                place.0 += force.0 * step;
                place.1 += force.1 * step;
            }
        }
    }
    places
}

/// Returns the force on each node. `distance` is that at which the forces between two connected nodes are in balance.
fn forces(places: &[(f64, f64)], edges: &[(usize, usize)], distance: f64) -> Vec<(f64, f64)> {
    let between = |one: usize, other: usize| {
        let (x, y) = (places[one].0 - places[other].0, places[one].1 - places[other].1);
        (x, y, x.hypot(y).max(1e-9))
    };
    let mut forces: Vec<(f64, f64)> = places
        .iter()
        .map(|(x, y)| (-x * distance, -y * distance))
        .collect();
    for one in 0..places.len() {
        for other in 0..one {
            let (x, y, apart) = between(one, other);
            let push = distance * distance / (apart * apart);
            forces[one].0 += x * push;
            forces[one].1 += y * push;
            forces[other].0 -= x * push;
            forces[other].1 -= y * push;
        }
    }
    for &(one, other) in edges {
        let (x, y, apart) = between(one, other);
        let pull = apart / distance;
        forces[one].0 -= x * pull;
        forces[one].1 -= y * pull;
        forces[other].0 += x * pull;
        forces[other].1 += y * pull;
    }
    forces
}

/// Returns the next number of the generator `SplitMix64`, as a number in 0..1.
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(places: &[(f64, f64)], one: usize, other: usize) -> f64 {
        (places[one].0 - places[other].0).hypot(places[one].1 - places[other].1)
    }

    #[test]
    fn connected_nodes_are_nearer_than_others() {
        // Two triangles without a connection.
        let edges = [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)];
        let places = layout(6, &edges, 1);
        let longest = edges
            .map(|(one, other)| apart(&places, one, other))
            .into_iter()
            .fold(0.0, f64::max);
        for one in 0..3 {
            for other in 3..6 {
                assert!(apart(&places, one, other) > longest, "{places:?}");
            }
        }
    }

    #[test]
    fn equal_arguments_give_equal_positions_which_are_finite() {
        for nodes in [0, 1, 2, 40] {
            let edges: Vec<_> = (1..nodes).map(|node| (node / 2, node)).collect();
            let places = layout(nodes, &edges, 7);
            assert_eq!(places, layout(nodes, &edges, 7));
            assert!(places.iter().all(|(x, y)| x.is_finite() && y.is_finite()));
            assert_eq!(places.len(), nodes);
        }
    }
}
