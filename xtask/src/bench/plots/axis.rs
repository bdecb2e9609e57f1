//! Where a figure lies on an axis, and the figures that are written beside it.

/// How figures lie on an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From zero.
    Linear,
    /// Equal ratios are equal distances; only for figures above zero.
    Log,
}

/// From its least to its most figure.
pub struct Axis {
    scale: Scale,
    least: f64,
    most: f64,
    /// The figures that are written.
    pub ticks: Vec<f64>,
}

/// A step is one of these times a power of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

/// A linear axis has at most so many steps.
const MOST_STEPS: f64 = 6.0;

impl Axis {
    /// An axis whose ends are round figures around all of `figures`.
    pub fn around(scale: Scale, figures: impl IntoIterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for figure in figures.into_iter().filter(|&figure| scale == Scale::Linear || figure > 0.0) {
            (least, most) = (least.min(figure), most.max(figure));
        }
        if most <= 0.0 {
            (least, most) = (1.0, 1.0);
        }
        match scale {
            Scale::Linear => Self::linear(most),
            Scale::Log => Self::log(least, most),
        }
    }

    /// An axis that has just the given figures, in rising order, and writes each of them.
    pub fn at(scale: Scale, figures: &[f64]) -> Self {
        let (least, most) = (figures.first().copied(), figures.last().copied());
        Self { scale, least: least.unwrap_or(0.0), most: most.unwrap_or(1.0), ticks: figures.to_vec() }
    }

    fn linear(most: f64) -> Self {
        let step = round_figures().find(|step| most / step <= MOST_STEPS).unwrap_or(most);
        let steps = (most / step).ceil();
        // Products, since sums of a step would gather errors.
        let ticks: Vec<f64> = (0..).map(f64::from).take_while(|&n| n <= steps).map(|n| n * step).collect();
        let most = ticks.last().copied().unwrap_or(most);
        Self { scale: Scale::Linear, least: 0.0, most, ticks }
    }

    fn log(least: f64, most: f64) -> Self {
        let all: Vec<f64> = round_figures().collect();
        let low = all.iter().copied().rfind(|&figure| figure <= least * 1.001).unwrap_or(least);
        let high = all.iter().copied().find(|&figure| figure >= most * 0.999).unwrap_or(most);
        let high = if high > low { high } else { low * 10.0 };
        let within = all.into_iter().filter(|&figure| figure >= low && figure <= high);
        // Over several powers of ten only these have room.
        let only_powers = high / low > 1000.0;
        let ticks = within.filter(|&figure| !only_powers || is_power_of_ten(figure)).collect();
        Self { scale: Scale::Log, least: low, most: high, ticks }
    }

    /// The part of the axis that lies below a figure, from 0 to 1.
    pub fn place(&self, figure: f64) -> f64 {
        if self.most <= self.least {
            return 0.5;
        }
        match self.scale {
            Scale::Linear => (figure - self.least) / (self.most - self.least),
            Scale::Log => (figure / self.least).ln() / (self.most / self.least).ln(),
        }
    }
}

/// 1, 2 and 5 times the powers of ten, rising.
fn round_figures() -> impl Iterator<Item = f64> {
    (-9..=12).flat_map(|power| STEPS.map(|step| step * 10_f64.powi(power)))
}

fn is_power_of_ten(figure: f64) -> bool {
    let power = figure.log10();
    (power - power.round()).abs() < 1e-9
}

/// A round figure in few letters: `0.5`, `20`, `64k`, `1M`.
pub fn short(figure: f64) -> String {
    let (figure, unit) = match figure {
        million if million >= 1e6 => (million / 1e6, "M"),
        thousand if thousand >= 1e3 => (thousand / 1e3, "k"),
        one => (one, ""),
    };
    // Three times a tenth is not three tenths.
    format!("{}{unit}", (figure * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_begins_at_zero() {
        let axis = Axis::around(Scale::Linear, [3.0, 7.4]);
        assert_eq!(axis.ticks, [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(axis.place(4.0), 0.5);
        let small = Axis::around(Scale::Linear, [0.3]);
        assert_eq!(small.ticks.last().map(|&tick| short(tick)), Some("0.3".to_owned()));
    }

    #[test]
    fn a_log_axis_ends_at_round_figures() {
        let axis = Axis::around(Scale::Log, [0.3, 12.0]);
        assert_eq!(
            axis.ticks.iter().copied().map(short).collect::<Vec<_>>(),
            ["0.2", "0.5", "1", "2", "5", "10", "20"]
        );
        assert!((axis.place(2.0) - 0.5).abs() < 1e-9);
        assert_eq!(Axis::around(Scale::Log, [0.03, 3000.0]).ticks, [0.1, 1.0, 10.0, 100.0, 1000.0]);
    }

    #[test]
    fn nothing_and_one_figure_have_an_axis_too() {
        for scale in [Scale::Linear, Scale::Log] {
            assert!(Axis::around(scale, []).place(1.0).is_finite());
            assert!(Axis::around(scale, [5.0]).place(5.0).is_finite());
            assert!(Axis::at(scale, &[3.0]).place(3.0).is_finite());
        }
    }

    #[test]
    fn figures_are_written_short() {
        assert_eq!([0.5, 20.0, 64_000.0, 2_500_000.0].map(short), ["0.5", "20", "64k", "2.5M"]);
    }
}
