//! Adding to tables, and what may not be added.

use super::{Array, Item, Kind, Table};

/// How something is added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// `key = value`
    Value,
    /// `[key]`
    Header,
    /// `[[key]]`
    ArrayHeader,
}

const EXISTS: &str = "toml::insert_value: failed to insert a value, value already exists";

const NO_ARRAY: &str = "toml::insert_value: failed to insert an array of tables, value already exists";

/// The table in which the last of some keys is to be set: goes down the others, making tables.
fn descend<'t>(mut table: &'t mut Table, keys: &[Vec<u8>], how: How) -> Result<&'t mut Table, &'static str> {
    for key in keys {
        let kind = if how == How::Value { Kind::Dotted } else { Kind::Implicit };
        let found = table.members.entry(key.clone()).or_insert_with(|| Item::Table(Table::new(kind)));
        table = match found {
            Item::Table(t) if t.kind == Kind::Inline => {
                return Err("toml::insert_value: failed to insert a value: inline table is immutable");
            }
            Item::Table(t) if how == How::Value && t.kind != Kind::Dotted => {
                return Err("toml::insert_value: reopening a table using dotted keys");
            }
            Item::Table(t) => t,
            Item::Array(a) if !a.items.is_empty() && a.items.iter().all(is_table) => {
                if !a.of_tables {
                    return Err("toml::insert_value:inline array of tables are immutable");
                }
                if how == How::Value {
                    return Err("toml::insert_value:dotted key cannot reopen an array-of-tables");
                }
                match a.items.last_mut() {
                    Some(Item::Table(t)) => t,
                    _ => return Err(EXISTS),
                }
            }
            _ => return Err(EXISTS),
        };
    }
    Ok(table)
}

fn is_table(item: &Item) -> bool {
    matches!(item, Item::Table(_))
}

/// Sets a value.
///
/// # Errors
/// What is in the way.
pub(super) fn value(table: &mut Table, keys: &[Vec<u8>], value: Item) -> Result<(), &'static str> {
    let Some((last, before)) = keys.split_last() else { return Ok(()) };
    let table = descend(table, before, How::Value)?;
    if table.members.contains_key(last) {
        return Err(EXISTS);
    }
    table.members.insert(last.clone(), value);
    Ok(())
}

/// Opens the table of a header.
///
/// # Errors
/// What is in the way.
pub(super) fn header<'t>(
    root: &'t mut Table,
    keys: &[Vec<u8>],
    how: How,
) -> Result<&'t mut Table, &'static str> {
    let Some((last, before)) = keys.split_last() else { return Ok(root) };
    let table = descend(root, before, how)?;
    if how == How::Header {
        let implicit = || Item::Table(Table::new(Kind::Implicit));
        return match table.members.entry(last.clone()).or_insert_with(implicit) {
            Item::Table(t) if t.kind == Kind::Implicit => {
                t.kind = Kind::Explicit;
                Ok(t)
            }
            _ => Err("toml::insert_value: failed to insert a table, table already defined"),
        };
    }
    let fresh = || Item::Array(Array { items: Vec::new(), of_tables: true });
    let Item::Array(array) = table.members.entry(last.clone()).or_insert_with(fresh) else {
        return Err(NO_ARRAY);
    };
    if !array.of_tables {
        return Err(match array.items.is_empty() || !array.items.iter().all(is_table) {
            true => NO_ARRAY,
            false => "toml::insert_value: failed to insert a table, inline array of tables is immutable",
        });
    }
    array.items.push(Item::Table(Table::new(Kind::Explicit)));
    match array.items.last_mut() {
        Some(Item::Table(t)) => Ok(t),
        _ => Err(NO_ARRAY),
    }
}
