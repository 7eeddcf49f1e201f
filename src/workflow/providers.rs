//! Environment providers: what each kind runs, and how what it prints becomes variables.
//!
//! Secret managers are reached through their own command line programs, which know how to log in.
//! Nothing secret is on a command line: their tokens come from the environment, as the manual of each
//! says.

use std::collections::BTreeMap;

use super::fields::{Fields, path_text};
use super::model::{Provider, ProviderKind};
use super::plan::Printed;
use super::schema;
use super::tree::{Attr, Kind, Node};

/// Leaves a provider out when its file is not there: arguments are the file, then the command.
const IF_THERE: &str = "[[ -e $1 ]] || exit 0; shift; exec \"$@\"";

/// The providers of a node of `envFrom`; one may need several programs.
pub(super) fn decode(node: &Node) -> Vec<Provider> {
    let at = |kind| Provider { kind, span: node.span };
    if let Kind::Derivation(d) = &node.kind {
        let Some(out) = d.out_path.as_deref() else { return Vec::new() };
        let argv = super::fields::only_program(out);
        return vec![at(ProviderKind::Program { argv, secrets: false, printed: Printed::default() })];
    }
    let Some(kind) = node.get("kind").and_then(Node::text) else { return Vec::new() };
    let (Some(options), Some(table)) = (node.get("options"), schema::provider(kind)) else {
        return Vec::new();
    };
    kinds(kind, Fields { node: options, table }).unwrap_or_default().into_iter().map(at).collect()
}

fn kinds(kind: &str, f: Fields<'_>) -> Option<Vec<ProviderKind>> {
    let secrets = f.bool("secrets");
    Some(vec![match kind {
        "file" => ProviderKind::File {
            path: path_text(f.get("path")?)?,
            required: f.bool("required").unwrap_or(false),
            secrets: secrets.unwrap_or(false),
        },
        "static" => ProviderKind::Static(f.env()),
        "required" => ProviderKind::Required(f.names("names")),
        "command" => {
            let printed = Printed { form: form(f, "exports"), ..named(f) };
            ProviderKind::Program { argv: f.words("argv")?, secrets: secrets.unwrap_or(true), printed }
        }
        "sops" => {
            let file = path_text(f.get("file")?)?;
            let format = f.get("format").and_then(Node::text);
            let mut argv = words(&["sops", "--decrypt"]);
            argv.extend(format.into_iter().flat_map(|f| ["--input-type".to_owned(), f.to_owned()]));
            argv.extend(words(&["--output-type", "dotenv", &file]));
            file_program(f, &file, argv, Printed { form: "dotenv".into(), ..named(f) })
        }
        "age" => {
            let file = path_text(f.get("file")?)?;
            let mut argv = words(&["age", "--decrypt"]);
            for identity in paths(f, "identity") {
                argv.extend(words(&["--identity", &identity]));
            }
            argv.push(file.clone());
            file_program(f, &file, argv, Printed { form: form(f, "dotenv"), ..named(f) })
        }
        "azureKeyVault" => return azure(f),
        _ => manager(kind, f)?,
    }])
}

/// The secret managers that one program answers for.
fn manager(kind: &str, f: Fields<'_>) -> Option<ProviderKind> {
    let word = |key: &str| f.get(key).and_then(Node::text).map(str::to_owned);
    let option = |argv: &mut Vec<String>, flag: &str, key: &str| {
        argv.extend(word(key).into_iter().flat_map(|value| [flag.to_owned(), value]));
    };
    let equals = |argv: &mut Vec<String>, flag: &str, key: &str| {
        argv.extend(word(key).map(|value| format!("{flag}={value}")));
    };
    let mut printed = Printed { form: "json".into(), ..named(f) };
    let argv = match kind {
        // https://developer.hashicorp.com/vault/docs/commands/kv/get
        "vault" => {
            let mut argv = words(&["vault", "kv", "get", "-format=json"]);
            argv.push(format!("-mount={}", word("mount").unwrap_or_else(|| "secret".into())));
            equals(&mut argv, "-address", "address");
            equals(&mut argv, "-namespace", "namespace");
            argv.push(word("path")?);
            printed.path = words(&["data", "data"]);
            argv
        }
        // https://developer.1password.com/docs/cli/reference/management-commands/item#item-get
        "onePassword" => {
            let mut argv = words(&["op", "item", "get", &word("item")?, "--format", "json"]);
            option(&mut argv, "--vault", "vault");
            option(&mut argv, "--account", "account");
            printed.path = words(&["fields"]);
            argv
        }
        // https://bitwarden.com/help/secrets-manager-cli/ and https://bitwarden.com/help/cli/
        "bitwarden" => match word("item") {
            Some(item) => {
                printed.form = "bitwarden".into();
                words(&["bw", "get", "item", &item])
            }
            None => {
                let mut argv = words(&["bws", "secret", "list"]);
                argv.extend(word("project"));
                argv.extend(words(&["--output", "json"]));
                argv
            }
        },
        // https://docs.aws.amazon.com/cli/latest/reference/secretsmanager/get-secret-value.html
        "awsSecrets" => {
            let mut argv =
                words(&["aws", "secretsmanager", "get-secret-value", "--secret-id", &word("secret")?]);
            argv.extend(words(&["--query", "SecretString", "--output", "text"]));
            option(&mut argv, "--region", "region");
            option(&mut argv, "--profile", "profile");
            argv
        }
        // https://cloud.google.com/sdk/gcloud/reference/secrets/versions/access
        "gcpSecrets" => {
            let version = word("version").unwrap_or_else(|| "latest".into());
            let mut argv = words(&["gcloud", "secrets", "versions", "access", &version]);
            argv.push(format!("--secret={}", word("secret")?));
            equals(&mut argv, "--project", "project");
            argv
        }
        // https://docs.doppler.com/docs/cli
        "doppler" => {
            let mut argv = words(&["doppler", "secrets", "download", "--no-file", "--format", "json"]);
            option(&mut argv, "--project", "project");
            option(&mut argv, "--config", "config");
            argv
        }
        _ => return None,
    };
    if printed.variable.is_some() {
        printed.form = "text".into();
    }
    Some(ProviderKind::Program { argv, secrets: true, printed })
}

/// One program a secret: <https://learn.microsoft.com/cli/azure/keyvault/secret#az-keyvault-secret-show>.
fn azure(f: Fields<'_>) -> Option<Vec<ProviderKind>> {
    let vault = f.get("vault")?.text()?;
    let one = |a: &Attr| {
        let secret = a.value.text()?;
        let mut argv = words(&["az", "keyvault", "secret", "show", "--vault-name", vault, "--name", secret]);
        argv.extend(words(&["--query", "value", "--output", "tsv"]));
        let printed = Printed { form: "text".into(), variable: Some(a.name.clone()), ..Printed::default() };
        Some(ProviderKind::Program { argv, secrets: true, printed })
    };
    Some(f.get("secrets")?.attrs()?.iter().filter_map(one).collect())
}

fn file_program(f: Fields<'_>, file: &str, argv: Vec<String>, printed: Printed) -> ProviderKind {
    let argv = if f.bool("required").unwrap_or(true) {
        argv
    } else {
        words(&["bash", "-c", IF_THERE, "provider", file]).into_iter().chain(argv).collect()
    };
    ProviderKind::Program { argv, secrets: true, printed }
}

fn form(f: Fields<'_>, default: &str) -> String {
    f.get("format").and_then(Node::text).unwrap_or(default).to_owned()
}

/// Which variables are wanted: `fields` picks them by their keys, `variable` takes all that is printed.
fn named(f: Fields<'_>) -> Printed {
    let fields = f.get("fields").and_then(Node::attrs).unwrap_or_default();
    let fields: BTreeMap<String, String> =
        fields.iter().filter_map(|a| Some((a.name.clone(), a.value.text()?.to_owned()))).collect();
    Printed { fields, variable: f.text("variable").map(|t| t.value), ..Printed::default() }
}

fn paths(f: Fields<'_>, key: &str) -> Vec<String> {
    match f.get(key) {
        Some(node) => match node.list() {
            Some(items) => items.iter().filter_map(path_text).collect(),
            None => path_text(node).into_iter().collect(),
        },
        None => Vec::new(),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}
