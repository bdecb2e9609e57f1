//! What a plot is drawn from: a table of figures, kept as a CSV file that needs no quotes.

use std::fmt;

use crate::run::Result;

/// A head and its rows; a cell without a figure is empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The names of the columns.
    pub head: Vec<String>,
    /// Each as long as the head.
    pub rows: Vec<Vec<String>>,
}

impl Numbers {
    /// A table without rows.
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row of as many cells as the head has. A comma, which would be the end of a cell, becomes a
    /// semicolon.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().map(|cell| cell.replace(',', ";")).collect();
        debug_assert_eq!(row.len(), self.head.len());
        self.rows.push(row);
    }

    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// Where there is no head, or a row has another number of cells.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines =
            text.lines().map(|line| line.split(',').map(ToOwned::to_owned).collect::<Vec<String>>());
        let head = lines.next().ok_or("an empty file")?;
        let rows: Vec<Vec<String>> = lines.collect();
        match rows.iter().position(|row| row.len() != head.len()) {
            Some(index) => Err(format!("line {} has not as many cells as the head", index + 2)),
            None => Ok(Self { head, rows }),
        }
    }

    /// The text of a cell.
    pub fn text(&self, row: usize, column: usize) -> &str {
        self.rows.get(row).and_then(|row| row.get(column)).map_or("", String::as_str)
    }

    /// The figure in a cell.
    ///
    /// # Errors
    /// Where the cell has a text that is no finite number.
    pub fn figure(&self, row: usize, column: usize) -> Result<Option<f64>> {
        match self.text(row, column) {
            "" => Ok(None),
            text => match text.parse::<f64>() {
                Ok(figure) if figure.is_finite() => Ok(Some(figure)),
                _ => Err(format!("line {}: '{text}' is no number", row + 2)),
            },
        }
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in std::iter::once(&self.head).chain(&self.rows) {
            writeln!(f, "{}", row.join(","))?;
        }
        Ok(())
    }
}

/// A figure with four digits that count; nothing where there is none.
pub fn digits(figure: Option<f64>) -> String {
    let Some(figure) = figure else { return String::new() };
    // The first power of ten that the figure reaches says how many digits follow the point.
    let places = [1000.0, 100.0, 10.0, 1.0, 0.1, 0.01].iter().position(|&power| figure >= power);
    format!("{figure:.*}", places.unwrap_or(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut numbers = Numbers::new(&["nodes", "kbt"]);
        numbers.row(["1000".to_owned(), digits(Some(1.5))]);
        numbers.row(["2000".to_owned(), digits(None)]);
        let text = numbers.to_string();
        assert_eq!(text, "nodes,kbt\n1000,1.500\n2000,\n");
        assert_eq!(Numbers::parse(&text).unwrap(), numbers);
        assert_eq!(numbers.figure(0, 1), Ok(Some(1.5)));
        assert_eq!(numbers.figure(1, 1), Ok(None));
    }

    #[test]
    fn a_bad_table_is_told() {
        assert!(Numbers::parse("").is_err());
        assert_eq!(Numbers::parse("a,b\n1,2\n3\n").unwrap_err(), "line 3 has not as many cells as the head");
        let numbers = Numbers::parse("a\nx\ninf\n").unwrap();
        assert_eq!(numbers.figure(0, 0).unwrap_err(), "line 2: 'x' is no number");
        assert!(numbers.figure(1, 0).is_err());
    }

    #[test]
    fn commas_do_not_end_a_cell() {
        let mut numbers = Numbers::new(&["machine"]);
        numbers.row(["a, b".to_owned()]);
        assert_eq!(numbers.to_string(), "machine\na; b\n");
    }

    #[test]
    fn four_digits_count() {
        let shown = [0.0, 0.01234, 0.98765, 1.0, 12.345, 12345.6].map(|figure| digits(Some(figure)));
        assert_eq!(shown, ["0.000000", "0.01234", "0.9877", "1.000", "12.35", "12346"]);
    }
}
