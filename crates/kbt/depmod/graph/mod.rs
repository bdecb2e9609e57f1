//! `kbt depmod graph`: the modules that some modules need, or that need them.

mod layout;
mod svg;

use std::collections::BTreeSet;

use kbt_depmod::{Dependencies, Modules, Options, dependencies, push_module_name};
use serde_json::{Value, json};

use super::log::Log;
use super::settings::Settings;
use super::{Stop, find, find::Found, incremental::Gathered, name_inputs, path, read};
use crate::args::depmod::{Format, Graph as Args};
use crate::depfile;
use crate::inputs::Inputs;
use crate::output::{Output, Set};
use crate::report::{Failure, Report, visible};
use crate::workers::Jobs;

/// A part of the dependency graph.
pub struct Graph {
    nodes: Vec<Node>,
    /// Pairs of nodes: who needs, and what.
    edges: Vec<(usize, usize)>,
    /// Whether it was followed from what is needed to who needs it.
    reverse: bool,
}

struct Node {
    name: String,
    path: String,
    /// Whether it was asked for.
    asked: bool,
}

/// Shows the graph.
pub fn run(args: &Args, jobs: Jobs, report: &mut Report) -> Result<(), Failure> {
    let output = Output::parse(&args.output);
    output.leave_json(report)?;
    let mut inputs = Inputs::default();
    let graph = read_graph(args, &mut inputs, jobs, report).map_err(Stop::into_failure)?;
    let text = match args.format {
        Format::Dot => graph.dot(),
        Format::Svg => svg::draw(&graph),
        Format::Json => format!("{:#}\n", graph.json()),
    };
    report.field("modules", graph.nodes.len());
    report.field("needs", graph.edges.len());
    let mut files = Set::made_of(&inputs);
    depfile::add(&args.depfile, &output, &mut files)?;
    output.write_with(files, text.as_bytes(), false)
}

fn read_graph(args: &Args, inputs: &mut Inputs, jobs: Jobs, report: &mut Report) -> Result<Graph, Stop> {
    let mut log = Log::new(report, 0);
    let settings = Settings::of_place(&args.place, args.kernel.as_deref(), &mut log);
    let graph = settings.and_then(|settings| {
        let Found { modules, config, .. } = find::modules(&settings, false, &mut log)?;
        name_inputs(inputs, &settings, &config);
        inputs.files(modules.iter().map(|module| path(module.path)));
        let files: Vec<_> = modules.iter().collect();
        let gathered = Gathered::all(read::facts(&settings.directory, &files, false, jobs, &mut log)?);
        let all = dependencies(&modules, &gathered.views(), &Options::default());
        Graph::of(&modules, &all, args)
    });
    // What modules.order has to say is of no matter here.
    if graph.is_err() {
        log.flush();
    }
    graph
}

impl Graph {
    fn of(modules: &Modules, all: &Dependencies, args: &Args) -> Result<Self, Stop> {
        let asked =
            args.modules.iter().map(|word| find_module(modules, word)).collect::<Result<Vec<_>, _>>()?;
        let asked: BTreeSet<usize> = asked.into_iter().collect();
        let neighbours = if args.reverse { users(all) } else { needs(all) };
        let chosen = if asked.is_empty() { (0..modules.len()).collect() } else { reach(&asked, &neighbours) };
        let mut place = vec![None; modules.len()];
        let mut nodes = Vec::with_capacity(chosen.len());
        for (number, &module) in chosen.iter().enumerate() {
            let Some(file) = modules.get(module) else { continue };
            if let Some(place) = place.get_mut(module) {
                *place = Some(number);
            }
            nodes.push(Node {
                name: String::from_utf8_lossy(file.name).into_owned(),
                path: path(file.relative).display().to_string(),
                asked: asked.contains(&module),
            });
        }
        let mut edges = Vec::new();
        for &module in &chosen {
            for needed in needs_of(all, module) {
                let ends = (place.get(module).copied().flatten(), place.get(needed).copied().flatten());
                if let (Some(user), Some(needed)) = ends {
                    edges.push((user, needed));
                }
            }
        }
        Ok(Self { nodes, edges, reverse: args.reverse })
    }

    /// Graphviz's language.
    fn dot(&self) -> String {
        let mut text =
            String::from("digraph modules {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
        for node in &self.nodes {
            let style = if node.asked { ", style=filled, fillcolor=\"#dbeafe\"" } else { "" };
            text.push_str(&format!("  {} [tooltip={}{style}];\n", quoted(&node.name), quoted(&node.path)));
        }
        for &(user, needed) in &self.edges {
            let name = |node: usize| self.nodes.get(node).map(|node| quoted(&node.name)).unwrap_or_default();
            text.push_str(&format!("  {} -> {};\n", name(user), name(needed)));
        }
        text.push_str("}\n");
        text
    }

    fn json(&self) -> Value {
        let mut needs = vec![Vec::new(); self.nodes.len()];
        for &(user, needed) in &self.edges {
            if let (Some(list), Some(node)) = (needs.get_mut(user), self.nodes.get(needed)) {
                list.push(node.name.as_str());
            }
        }
        let node =
            |(node, needs): (&Node, Vec<&str>)| json!({"name": node.name, "path": node.path, "needs": needs});
        self.nodes.iter().zip(needs).map(node).collect()
    }
}

/// A name as Graphviz takes any.
fn quoted(name: &str) -> String {
    let name = visible(name);
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

fn find_module(modules: &Modules, word: &std::ffi::OsStr) -> Result<usize, Stop> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut name = Vec::new();
    push_module_name(word.as_bytes(), &mut name);
    modules.find(&name).ok_or_else(|| {
        let directory = path(modules.directory()).display();
        let message = format!("no module '{}' in {directory}", word.display());
        Stop::Fatal(
            Failure::new("no-such-module", message).hint("give its name, as lsmod shows it, or its file"),
        )
    })
}

fn needs_of(all: &Dependencies, module: usize) -> impl Iterator<Item = usize> {
    let module = u32::try_from(module).unwrap_or(u32::MAX);
    all.of(module).iter().map(|&needed| needed as usize)
}

fn needs(all: &Dependencies) -> Vec<Vec<usize>> {
    (0..all.len()).map(|module| needs_of(all, module).collect()).collect()
}

fn users(all: &Dependencies) -> Vec<Vec<usize>> {
    let mut users = vec![Vec::new(); all.len()];
    for module in 0..all.len() {
        for needed in needs_of(all, module) {
            if let Some(users) = users.get_mut(needed) {
                users.push(module);
            }
        }
    }
    users
}

/// What can be reached, the start included, in the order of the modules.
fn reach(start: &BTreeSet<usize>, neighbours: &[Vec<usize>]) -> Vec<usize> {
    let mut found = start.clone();
    let mut open: Vec<usize> = start.iter().copied().collect();
    while let Some(module) = open.pop() {
        for &next in neighbours.get(module).into_iter().flatten() {
            if found.insert(next) {
                open.push(next);
            }
        }
    }
    found.into_iter().collect()
}
