//! `kbt depmod graph`: which modules need which.

use crate::args::depmod::Graph;
use crate::depmod::graph;
use crate::report::{Failure, Report};
use crate::workers::Jobs;

/// Reads the modules and shows the graph.
pub fn run(args: &Graph, jobs: Jobs, report: &mut Report) -> Result<(), Failure> {
    graph::run(args, jobs, report)
}
