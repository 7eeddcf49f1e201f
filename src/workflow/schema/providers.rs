//! Options of environment providers.

use super::{ENV, Key, NAMES, Table, Type, key, required};

/// Options of `envProviders.file`.
pub static FILE_PROVIDER: Table = Table {
    what: "set of options of envProviders.file",
    keys: &[
        required("path", Type::PathText, "A dotenv file."),
        key("required", Type::Bool, "false", "Whether it must exist."),
        key("secrets", Type::Bool, "false", "Whether its values are masked."),
    ],
};

/// Options of `envProviders.static`.
pub static STATIC_PROVIDER: Table = Table {
    what: "set of variables of envProviders.static",
    keys: &[required("env", ENV, "The variables.")],
};

/// Options of `envProviders.required`.
pub static REQUIRED_PROVIDER: Table = Table {
    what: "list of names of envProviders.required",
    keys: &[required("names", NAMES, "Variables that must be set and not empty.")],
};

/// Options of `envProviders.sops`.
pub static SOPS_PROVIDER: Table = Table {
    what: "set of options of envProviders.sops",
    keys: &[
        required("file", Type::PathText, "The encrypted file."),
        key(
            "format",
            Type::OneOf(&["dotenv", "json", "yaml", "ini", "binary"]),
            "by its extension",
            "Format of the file.",
        ),
        FIELDS,
        key("required", Type::Bool, "true", "Whether it must exist."),
    ],
};

const FIELDS: Key = key(
    "fields",
    Type::Map(&Type::Name, "keys"),
    "all",
    "Variables that are wanted, each with its key: `{ DB_PASSWORD = \"password\"; }`.",
);
const VARIABLE: Key = key("variable", Type::Name, "null", "The one variable that takes all that is printed.");

/// Options of `envProviders.command`.
pub static COMMAND_PROVIDER: Table = Table {
    what: "set of options of envProviders.command",
    keys: &[
        required("argv", Type::List(&Type::PathText, "words"), "Program and arguments."),
        key("secrets", Type::Bool, "true", "Whether its values are masked."),
        key("format", Type::OneOf(&["exports", "dotenv", "json"]), "\"exports\"", "What it prints."),
        FIELDS,
        VARIABLE,
    ],
};

/// Options of `envProviders.age`.
pub static AGE_PROVIDER: Table = Table {
    what: "set of options of envProviders.age",
    keys: &[
        required("file", Type::PathText, "The encrypted file."),
        required(
            "identity",
            Type::OneOrList(&Type::PathText, "files"),
            "Files of identities, as age-keygen writes.",
        ),
        key("format", Type::OneOf(&["dotenv", "json"]), "\"dotenv\"", "What the file holds."),
        FIELDS,
        VARIABLE,
        key("required", Type::Bool, "true", "Whether it must exist."),
    ],
};

/// Options of `envProviders.vault`.
pub static VAULT_PROVIDER: Table = Table {
    what: "set of options of envProviders.vault",
    keys: &[
        required("path", Type::Name, "Path of the secret."),
        key("mount", Type::Name, "\"secret\"", "Where the secrets engine (KV version 2) is mounted."),
        key("address", Type::Name, "$VAULT_ADDR", "Address of the server."),
        key("namespace", Type::Name, "$VAULT_NAMESPACE", "Namespace."),
        FIELDS,
    ],
};

/// Options of `envProviders.onePassword`.
pub static ONE_PASSWORD_PROVIDER: Table = Table {
    what: "set of options of envProviders.onePassword",
    keys: &[
        required("item", Type::Name, "Name or identifier of the item."),
        key("vault", Type::Name, "any", "Vault of the item."),
        key("account", Type::Name, "the only one", "Account."),
        FIELDS,
    ],
};

/// Options of `envProviders.bitwarden`.
pub static BITWARDEN_PROVIDER: Table = Table {
    what: "set of options of envProviders.bitwarden",
    keys: &[
        key("project", Type::Name, "all", "Project of the Secrets Manager, read with `bws`."),
        key("item", Type::Name, "null", "Item of the password manager, read with `bw` instead."),
        FIELDS,
    ],
};

/// Options of `envProviders.awsSecrets`.
pub static AWS_PROVIDER: Table = Table {
    what: "set of options of envProviders.awsSecrets",
    keys: &[
        required("secret", Type::Name, "Name or ARN of the secret."),
        key("region", Type::Name, "the configured one", "Region."),
        key("profile", Type::Name, "the configured one", "Profile."),
        FIELDS,
        VARIABLE,
    ],
};

/// Options of `envProviders.gcpSecrets`.
pub static GCP_PROVIDER: Table = Table {
    what: "set of options of envProviders.gcpSecrets",
    keys: &[
        required("secret", Type::Name, "Name of the secret."),
        key("project", Type::Name, "the configured one", "Project."),
        key("version", Type::Name, "\"latest\"", "Version."),
        FIELDS,
        VARIABLE,
    ],
};

/// Options of `envProviders.azureKeyVault`.
pub static AZURE_PROVIDER: Table = Table {
    what: "set of options of envProviders.azureKeyVault",
    keys: &[
        required("vault", Type::Name, "Name of the vault."),
        required(
            "secrets",
            Type::Map(&Type::Name, "names of secrets"),
            "Variables, each with the name of its secret.",
        ),
    ],
};

/// Options of `envProviders.doppler`.
pub static DOPPLER_PROVIDER: Table = Table {
    what: "set of options of envProviders.doppler",
    keys: &[
        key("project", Type::Name, "the configured one", "Project."),
        key("config", Type::Name, "the configured one", "Configuration."),
        FIELDS,
    ],
};

/// The table of a provider's options, by its kind.
pub fn provider(kind: &str) -> Option<&'static Table> {
    PROVIDERS_BY_KIND.iter().find(|(name, _)| *name == kind).map(|(_, table)| *table)
}

/// All kinds of providers and the options of each.
pub static PROVIDERS_BY_KIND: &[(&str, &Table)] = &[
    ("file", &FILE_PROVIDER),
    ("static", &STATIC_PROVIDER),
    ("required", &REQUIRED_PROVIDER),
    ("sops", &SOPS_PROVIDER),
    ("age", &AGE_PROVIDER),
    ("vault", &VAULT_PROVIDER),
    ("onePassword", &ONE_PASSWORD_PROVIDER),
    ("bitwarden", &BITWARDEN_PROVIDER),
    ("awsSecrets", &AWS_PROVIDER),
    ("gcpSecrets", &GCP_PROVIDER),
    ("azureKeyVault", &AZURE_PROVIDER),
    ("doppler", &DOPPLER_PROVIDER),
    ("command", &COMMAND_PROVIDER),
];
