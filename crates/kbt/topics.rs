//! The pages of the manual that `kbt help` prints: docs/ is where they are written.

/// A page of docs/ that the binary carries.
pub struct Topic {
    pub name: &'static str,
    pub about: &'static str,
    pub text: &'static str,
}

/// In the order of the list.
pub const TOPICS: &[Topic] = &[
    Topic {
        name: "cli",
        about: "messages, exit codes, JSON: what all commands have in common",
        text: include_str!("../../docs/cli.md"),
    },
    Topic {
        name: "output",
        about: "how results are written, and what a killed run leaves",
        text: include_str!("../../docs/output.md"),
    },
    Topic {
        name: "overlays",
        about: "what a merge does, rule by rule",
        text: include_str!("../../docs/formats/overlay.md"),
    },
    Topic {
        name: "trees",
        about: "dto show, diff, verify and matrix",
        text: include_str!("../../docs/dto-tools.md"),
    },
    Topic { name: "lint", about: "the rules of dto lint", text: include_str!("../../docs/dto-lint.md") },
    Topic {
        name: "images",
        about: "the layout of DTBO images, and how they are taken apart",
        text: include_str!("../../docs/formats/dtbo.md"),
    },
    Topic {
        name: "modules",
        about: "depmod: options, decisions, what an incremental run keeps",
        text: include_str!("../../docs/depmod.md"),
    },
    Topic {
        name: "indexes",
        about: "the format of modules.*.bin",
        text: include_str!("../../docs/formats/modules-index.md"),
    },
    Topic {
        name: "symbols",
        about: "the table of kallsyms, by kernel",
        text: include_str!("../../docs/formats/kallsyms.md"),
    },
    Topic {
        name: "one-link",
        about: "the kernel's build with one link",
        text: include_str!("../../docs/integrations/linux.md"),
    },
    Topic {
        name: "tokens",
        about: "make's jobserver: exec, pool, status",
        text: include_str!("../../docs/jobserver.md"),
    },
    Topic {
        name: "jobs",
        about: "how many threads a command has",
        text: include_str!("../../docs/parallel.md"),
    },
    Topic {
        name: "farm",
        about: "many boards with make, ninja or Bazel",
        text: include_str!("../../docs/scaling.md"),
    },
    Topic { name: "glossary", about: "the words", text: include_str!("../../docs/glossary.md") },
];

/// The list under the help of `help`.
pub fn topics() -> String {
    let width = TOPICS.iter().map(|topic| topic.name.len()).max().unwrap_or(0);
    let line = |topic: &Topic| format!("\n  {:width$}  {}", topic.name, topic.about);
    format!("Topics:{}", TOPICS.iter().map(line).collect::<String>())
}
