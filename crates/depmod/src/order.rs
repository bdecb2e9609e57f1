//! modules.order: the order in which the kernel's build made the modules; those that it names come first.

use crate::lines::{PATH_LINE, fgets};
use crate::message::Messages;
use crate::modules::Modules;

impl Modules {
    /// Sorts by the lines of modules.order: what they name in their order, the others behind in theirs.
    ///
    /// A line without a line feed makes the whole file useless, as for kmod; `name` is the file's in the message.
    pub fn sort_by_order(&mut self, name: &[u8], text: &[u8], messages: &mut Messages) {
        let Some(lines) = whole_lines(name, text, messages) else { return };
        let mut order = Vec::with_capacity(self.len());
        let mut taken = vec![false; self.len()];
        for line in lines {
            let found = self.find_order_path(line);
            if let Some(taken) = found.and_then(|index| taken.get_mut(index)).filter(|taken| !**taken) {
                *taken = true;
                order.extend(found.and_then(|index| u32::try_from(index).ok()));
            }
        }
        order.extend((0..).zip(&taken).filter(|(_, taken)| !**taken).map(|(index, _): (u32, _)| index));
        self.reorder(&order);
    }

    fn find_order_path(&self, line: &[u8]) -> Option<usize> {
        let mut name = Vec::with_capacity(64);
        crate::names::push_module_name(line, &mut name);
        self.find(&name).filter(|&index| self.order_path(index) == Some(line))
    }
}

/// The lines without their ends; none where one of them lacks it.
fn whole_lines<'t>(name: &[u8], text: &'t [u8], messages: &mut Messages) -> Option<Vec<&'t [u8]>> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(fgets(text, PATH_LINE)) {
        match line {
            [] => {}
            [line @ .., b'\n'] => lines.push(line),
            _ => {
                let number: usize = number;
                messages.error(&[name, b":", number.to_string().as_bytes(), b" corrupted line misses '\\n'"]);
                return None;
            }
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn sorted(order: &str) -> (Vec<String>, usize) {
        let mut modules = Modules::new(b"/d");
        for path in ["/elsewhere/f.ko", "/d/e.ko", "/d/kernel/a-b.ko.xz", "/d/kernel/c.ko"] {
            modules.offer(path.as_bytes(), 0, &Config::default());
        }
        let mut messages = Messages::default();
        modules.sort_by_order(b"/d/modules.order", order.as_bytes(), &mut messages);
        let names = modules.iter().map(|file| String::from_utf8(file.name.to_vec()).unwrap());
        (names.collect(), messages.iter().count())
    }

    #[test]
    fn what_is_named_comes_first_and_counts_once() {
        let (names, told) = sorted("kernel/c.ko\nkernel/gone.ko\nkernel/a-b.ko\nkernel/c.ko\nf.ko\n");
        assert_eq!(names, ["c", "a_b", "f", "e"]);
        assert_eq!(told, 0);
    }

    #[test]
    fn a_line_without_an_end_stops_the_sorting() {
        let (names, told) = sorted("kernel/c.ko\nkernel/a-b.ko");
        assert_eq!(names, ["f", "e", "a_b", "c"]);
        assert_eq!(told, 1);
        assert_eq!(sorted("kernel/c.ko\nx\0y\n").1, 1);
    }
}
