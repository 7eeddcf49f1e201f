//! Derivations for people who look inside: `eval --instantiate` and `nixactions derivation show`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::error::{CliError, Exit, print};
use super::machine::{Machine, Reach};
use super::nix_error::plain;
use super::nix_options::NixOptions;
use crate::base::source::{SourceName, SpanId};
use crate::base::symbol::Symbol;
use crate::drv::derivation::Derivation;
use crate::drv::store_path::{StoreDir, StorePath};
use crate::eval::builtins::{derivation::read_derivation, store_view};
use crate::eval::{EvalError, Evaluation, Heap, Res, Slot, Value, on_big_stack};
use crate::store::{Connection, Location};

const EXAMPLES: &str = "\
Examples:
  nixactions derivation show package.nix
  nixactions derivation show package.nix -A hello
  nixactions derivation show -E 'derivation { name = \"a\"; system = \"s\"; builder = \"b\"; }'
  nixactions derivation show /nix/store/…-hello.drv";

/// Look at derivations
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct DerivationArgs {
    #[command(subcommand)]
    command: DerivationCommand,
}

#[derive(Debug, Subcommand)]
enum DerivationCommand {
    /// Print derivations as JSON
    Show(ShowArgs),
}

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
struct ShowArgs {
    /// A file, a `.drv` file, or an expression with `-E`
    #[arg(value_name = "FILE")]
    target: String,
    /// Take the argument as an expression
    #[arg(short = 'E', long)]
    expr: bool,
    /// Select an attribute of the value
    #[arg(short = 'A', long, value_name = "PATH")]
    attr: Option<String>,
    #[command(flatten)]
    nix: NixOptions,
}

/// Runs a subcommand.
pub(super) fn run(args: &DerivationArgs) -> Result<Exit, CliError> {
    let DerivationCommand::Show(args) = &args.command;
    let resolved = args.nix.resolve()?;
    let here = std::env::current_dir().map_err(CliError::io("finding the current directory"))?;
    let shown = on_big_stack(|| {
        let heap = Heap::new();
        let machine = Machine::new(Reach::Everything, &resolved.settings.store_dir, false);
        let mut ev = Evaluation::new(&heap, resolved.settings.clone(), machine)
            .map_err(CliError::io("preparing evaluation"))?;
        show(&mut ev, args, &here).map_err(|e| CliError::Nix(plain(&e, resolved.show_trace)))
    })?;
    let text = serde_json::to_string_pretty(&shown).map_err(|e| CliError::Infrastructure(e.to_string()))?;
    print(&(text + "\n"))?;
    Ok(Exit::Success)
}

fn show(ev: &mut Evaluation<'_>, args: &ShowArgs, here: &Path) -> Res<Json> {
    let dir = StoreDir::new(&ev.settings.store_dir);
    if !args.expr && args.target.ends_with(".drv") {
        let path =
            dir.parse(args.target.as_bytes()).map_err(|e| EvalError::other(e.to_string(), SpanId::NONE))?;
        let drv = read_derivation(ev, &path, SpanId::NONE)?;
        return Ok(json!({ dir.print(&path): as_json(&dir, &drv) }));
    }
    let mut value = match args.expr {
        true => ev.eval_text(SourceName::String, args.target.as_bytes(), here)?,
        false => {
            let file: PathBuf = here.join(&args.target);
            ev.import(file.as_os_str().as_encoded_bytes(), SpanId::NONE)?
        }
    };
    for part in args.attr.iter().flat_map(|a| a.split('.')).filter(|p| !p.is_empty()) {
        let attrs = ev.force_attrs(&Slot::new(value), SpanId::NONE)?;
        let Some(slot) = attrs.get(Symbol::intern(part)) else {
            let text = format!("attribute '{part}' in selection path not found");
            return Err(EvalError::other(text, SpanId::NONE));
        };
        value = ev.force(slot)?;
    }
    let mut found = serde_json::Map::new();
    for path in derivations(ev, value)? {
        let drv = match store_view::derivation(ev, &path) {
            Some(drv) => drv,
            None => read_derivation(ev, &path, SpanId::NONE)?,
        };
        found.insert(dir.print(&path), as_json(&dir, &drv));
    }
    Ok(Json::Object(found))
}

/// The derivation that a value is, or those that a set or list holds.
pub(super) fn derivations<'h>(ev: &mut Evaluation<'h>, value: Value<'h>) -> Res<Vec<StorePath>> {
    let value = ev.force_value(value)?;
    let none = SpanId::NONE;
    let slots: Vec<&Slot<'h>> = match value {
        Value::List(list) => list.items.iter().collect(),
        Value::Attrs(attrs) => {
            if let Some(own) = derivation(ev, value)? {
                return Ok(vec![own]);
            }
            attrs.sorted().into_iter().map(|a| a.slot).collect()
        }
        _ => {
            return Err(EvalError::type_error("the value is no derivation, and no set of derivations", none));
        }
    };
    let mut found = Vec::new();
    for slot in slots {
        let inner = ev.force(slot)?;
        found.extend(derivation(ev, inner)?);
    }
    Ok(found)
}

fn derivation<'h>(ev: &mut Evaluation<'h>, value: Value<'h>) -> Res<Option<StorePath>> {
    let Value::Attrs(attrs) = value else { return Ok(None) };
    let Some(kind) = attrs.get(Symbol::intern("type")) else { return Ok(None) };
    if !matches!(ev.force(kind)?, Value::Str(s) if s.bytes == b"derivation") {
        return Ok(None);
    }
    let Some(path) = attrs.get(Symbol::intern("drvPath")) else { return Ok(None) };
    let path = ev.force_str(path, SpanId::NONE)?;
    let dir = StoreDir::new(&ev.settings.store_dir);
    dir.parse(path.bytes).map(Some).map_err(|e| EvalError::other(e.to_string(), SpanId::NONE))
}

/// Adds derivations, with all that they refer to, to the store of the daemon: their paths, a line
/// each.
pub(super) fn instantiate<'h>(ev: &mut Evaluation<'h>, value: Value<'h>) -> Res<String> {
    let roots = derivations(ev, value)?;
    let objects = store_view::closure(ev, roots.iter().cloned());
    let dir = StoreDir::new(&ev.settings.store_dir);
    let failed = |e: String| EvalError::other(e, SpanId::NONE);
    let location = Location::from_environment(|name| std::env::var(name).ok());
    let location = location.map_err(|e| failed(e.to_string()))?;
    let location = Location { store_dir: dir.clone(), ..location };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| failed(e.to_string()))?;
    let added = runtime.block_on(async {
        let mut connection = Connection::open(&location).await?;
        connection.add_objects(&objects).await
    });
    added.map_err(|e| failed(e.to_string()))?;
    Ok(roots.iter().map(|p| dir.print(p) + "\n").collect())
}

/// A derivation in the form of `nix derivation show`.
fn as_json(dir: &StoreDir, drv: &Derivation) -> Json {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let outputs: BTreeMap<String, Json> = drv
        .outputs
        .iter()
        .map(|(name, output)| {
            let path = output.path(dir, &drv.name, name).ok().flatten();
            let value = match path {
                Some(path) => json!({ "path": dir.print(&path) }),
                None => json!({}),
            };
            (text(name), value)
        })
        .collect();
    let inputs: BTreeMap<String, Json> = drv
        .input_drvs
        .iter()
        .map(|(path, outputs)| {
            let outputs: Vec<String> = outputs.iter().map(|o| text(o)).collect();
            (dir.print(path), json!({ "dynamicOutputs": {}, "outputs": outputs }))
        })
        .collect();
    let env: BTreeMap<String, String> = drv.env.iter().map(|(n, v)| (text(n), text(v))).collect();
    json!({
        "args": drv.args.iter().map(|a| text(a)).collect::<Vec<_>>(),
        "builder": text(&drv.builder),
        "env": env,
        "inputDrvs": inputs,
        "inputSrcs": drv.input_srcs.iter().map(|p| dir.print(p)).collect::<Vec<_>>(),
        "name": text(&drv.name),
        "outputs": outputs,
        "system": text(&drv.platform),
    })
}
