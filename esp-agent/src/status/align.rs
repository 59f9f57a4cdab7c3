//! Columns of text.

use std::io::{self, Write};

/// A heading and what stands under it. Numbers (cells that start with a digit and hold nothing else) go to the right.
pub(super) fn table<const N: usize>(
    out: &mut dyn Write,
    head: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let head = head.map(str::to_owned);
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    });
    line(out, &head, &widths, &rows)?;
    rows.iter().try_for_each(|row| line(out, row, &widths, &rows))
}

/// One row; a column of numbers takes its heading with it to the right.
fn line<const N: usize>(
    out: &mut dyn Write,
    row: &[String; N],
    widths: &[usize; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut text = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        let right = !rows.is_empty() && rows.iter().all(|row| row[column].parse::<u64>().is_ok());
        let padding = " ".repeat(width - cell.chars().count());
        text.push_str("  ");
        text.push_str(&if right { padding + cell } else { cell.to_owned() + &padding });
    }
    writeln!(out, "{}", text.trim_end())
}

/// An empty cell as a dash, and no control character of a name reaches the terminal.
pub(super) fn printable(cell: &str) -> String {
    if cell.is_empty() {
        return "-".to_owned();
    }
    cell.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_numbers_go_right_and_escapes_are_taken_out() {
        let rows =
            [["eth5".into(), "7".into()], ["\x1b[2J".into(), "1000".into()], [String::new(), "0".into()]];
        let mut out = Vec::new();
        table(&mut out, ["IFACE", "PACKETS"], &rows).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "  IFACE  PACKETS\n  eth5         7\n  ?[2J      1000\n  -            0\n");
    }
}
