//! How the instructions of a merge grow as one size doubles and the others stay.

use std::path::Path;

use super::Case;
use super::engine::{Engine, Engines};
use crate::bench::table::{Table, grouped};
use crate::files;
use crate::run::Result;

/// The largest exponent that is still 'doubling at most doubles'.
const MOST: f64 = 1.05;

/// A folder of cases and what is doubled there.
const SERIES: [(&str, &str); 3] = [
    ("base", "nodes of the base; 20 fragments"),
    ("overlay", "fragments of the overlay; base of 10,000 nodes"),
    ("overlays", "overlays of 20 fragments; base of 10,000 nodes"),
];

/// Prints a table for each series and gives the series whose exponent is too large.
pub fn measure(engines: &Engines, scratch: &Path) -> Result<Vec<String>> {
    let mut over = Vec::new();
    for (folder, what) in SERIES {
        eprintln!("measuring growth: {what}");
        let mut table = Table::new(&[what, "bytes in", "instructions", "to the row before", "allocations"]);
        let mut points: Vec<(f64, f64)> = Vec::new();
        for size in files::names(&scratch.join(folder))? {
            let case = Case::read(&scratch.join(folder).join(&size))?;
            let number: u32 = size.parse().map_err(|_| format!("a case called {size}"))?;
            let count = engines.instructions(Engine::Kbt, &case, scratch)?;
            let (allocations, _) = engines.allocations(&case)?;
            let step =
                points.last().map_or("-".to_owned(), |(_, last)| format!("{:.2}", count as f64 / last));
            points.push((f64::from(number), count as f64));
            table.row([
                grouped(number.into()),
                grouped(case.size),
                grouped(count),
                step,
                allocations.to_string(),
            ]);
        }
        let exponent = exponent(&points);
        println!("{table}\nExponent, fitted over all rows: {exponent:.3} (at most {MOST}).\n");
        if exponent > MOST {
            over.push(format!("{what}: exponent {exponent:.3}"));
        }
    }
    Ok(over)
}

/// The slope of the least-squares line through the logarithms.
fn exponent(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let logarithms: Vec<_> = points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let mean_size = logarithms.iter().map(|(size, _)| size).sum::<f64>() / count;
    let mean_cost = logarithms.iter().map(|(_, cost)| cost).sum::<f64>() / count;
    let covariance: f64 = logarithms.iter().map(|(size, cost)| (size - mean_size) * (cost - mean_cost)).sum();
    let variance: f64 = logarithms.iter().map(|(size, _)| (size - mean_size).powi(2)).sum();
    covariance / variance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_the_power() {
        let powers = |power: f64| [1.0, 2.0, 4.0, 8.0].map(|size: f64| (size, 3.0 * size.powf(power)));
        assert!((exponent(&powers(1.0)) - 1.0).abs() < 1e-9);
        assert!((exponent(&powers(2.0)) - 2.0).abs() < 1e-9);
    }
}
