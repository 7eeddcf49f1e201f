//! Options of executors.

use super::{ENV, Key, RESOURCES, Table, Type, key, required};

/// Options of `executors.local`.
pub static LOCAL_EXECUTOR: Table = Table {
    what: "set of options of executors.local",
    keys: &[
        key("copyRepo", Type::Bool, "true", "Copy the repository into each job directory."),
        key("name", Type::Name, "\"local\"", "Name of the workspace; jobs with one name share it."),
    ],
};

const COPY: Key = key("copyRepo", Type::Bool, "true", "Copy the repository into each job directory.");
const TEXTS: Type = Type::Map(&Type::Either(&Type::Text, &Type::Either(&Type::Number, &Type::Bool)), "texts");

const fn name_of(default: &'static str) -> Key {
    key("name", Type::Name, default, "Name of the workspace; jobs with one name share it.")
}

/// Options of `executors.ssh`.
pub static SSH_EXECUTOR: Table = Table {
    what: "set of options of executors.ssh",
    keys: &[
        key("host", Type::Name, "", "The host, as `ssh` takes it."),
        key(
            "hosts",
            Type::List(&Type::Name, "hosts"),
            "[ ]",
            "The hosts of a pool, each `HOST` or `HOST:PORT`.",
        ),
        key("user", Type::Name, "as ssh is configured", "The user on the host."),
        key("port", Type::Int(1), "22", "The port of the host."),
        key("identityFile", Type::PathText, "as ssh is configured", "The private key."),
        key(
            "mode",
            Type::OneOf(&["shared", "dedicated", "pool"]),
            "\"shared\"; with `hosts` \"pool\"",
            "One connection for all jobs, one for each, or jobs spread over `hosts`.",
        ),
        COPY,
        key("workspaceDir", Type::PathText, "\"/tmp/nixactions\"", "Where workspaces lie on the host."),
        key("jumpHost", Type::Name, "none", "The host through which to connect."),
        key("knownHosts", Type::PathText, "as ssh is configured", "The file of known host keys."),
        key("options", TEXTS, "{ }", "Further options of ssh_config(5)."),
        key("capacity", Type::Int(1), "1", "Jobs at a time on each host of a pool."),
        name_of("\"ssh\""),
    ],
};

static MOUNT: Table = Table {
    what: "mount",
    keys: &[
        required("source", Type::PathText, "A path of the machine that runs the container."),
        required("target", Type::PathText, "Where it appears in the container."),
        key("readOnly", Type::Bool, "true", "Whether it cannot be written there."),
    ],
};

static REGISTRY_AUTH: Table = Table {
    what: "set of registry credentials",
    keys: &[
        key("username", Type::Name, "", "The user."),
        key("passwordEnv", Type::Name, "", "The environment variable that holds the password."),
        key("server", Type::Name, "the image's", "The registry."),
    ],
};

/// Options of `executors.oci` and `executors.podman`.
pub static OCI_EXECUTOR: Table = Table {
    what: "set of options of executors.oci",
    keys: &[
        key("image", Type::Name, "made of the steps' packages", "The image of the container."),
        key(
            "mode",
            Type::OneOf(&["shared", "isolated"]),
            "\"shared\"",
            "One container for all jobs, or one for each.",
        ),
        key(
            "extraPackages",
            Type::List(&Type::Package, "packages"),
            "[ ]",
            "Packages that are in the container besides those of the steps.",
        ),
        key(
            "extraMounts",
            Type::List(&Type::Either(&Type::Record(&MOUNT), &Type::Name), "mounts"),
            "[ ]",
            "Directories of the engine's machine, as sets or as `SOURCE:TARGET[:ro]`.",
        ),
        key("containerEnv", ENV, "{ }", "Variables of the container itself."),
        key("network", Type::Name, "the engine's", "The network, or `host` or `none`."),
        key("user", Type::Name, "the image's", "The user in the container, `USER[:GROUP]`."),
        key("pull", Type::OneOf(&["missing", "always", "never"]), "\"missing\"", "When the image is pulled."),
        key(
            "registryAuth",
            Type::Record(&REGISTRY_AUTH),
            "as docker is configured",
            "Credentials for the pull.",
        ),
        key("runtime", Type::Name, "the engine's", "The runtime that the engine is to use."),
        key("platform", Type::Name, "the engine's", "The platform of the image, as `linux/arm64`."),
        key("resources", Type::Record(&RESOURCES), "none", "Limits of the container."),
        key("socket", Type::PathText, "as docker is configured", "The engine's socket."),
        COPY,
        name_of("\"oci\""),
    ],
};

/// Options of `executors.nixos-container`.
pub static NSPAWN_EXECUTOR: Table = Table {
    what: "set of options of executors.nixos-container",
    keys: &[
        key("root", Type::PathText, "", "A directory with a root file system."),
        key("path", Type::PathText, "", "A disk image with a root file system."),
        key("system", Type::Package, "", "A NixOS system closure."),
        key(
            "bind",
            Type::List(&Type::Either(&Type::Record(&MOUNT), &Type::PathText), "mounts"),
            "[ ]",
            "Directories of this machine, as sets or as `SOURCE[:TARGET[:ro]]`.",
        ),
        key("network", Type::OneOf(&["host", "none"]), "\"host\"", "The network of the machine."),
        key("ephemeral", Type::Bool, "true", "Leave the root as it was."),
        key("boot", Type::Bool, "true for `system`", "Start systemd as the machine's first process."),
        COPY,
        name_of("\"nixos-container\""),
    ],
};

/// Options of `executors.compose`.
pub static COMPOSE_EXECUTOR: Table = Table {
    what: "set of options of executors.compose",
    keys: &[
        required("file", Type::PathText, "The compose file."),
        required("service", Type::Name, "The service in which jobs run."),
        key("project", Type::Name, "made of the run", "Name of the compose project."),
        key("socket", Type::PathText, "as docker is configured", "The engine's socket."),
        COPY,
        name_of("\"compose\""),
    ],
};

/// Arguments of `mkExecutor`.
pub static CUSTOM_EXECUTOR: Table = Table {
    what: "set of arguments of mkExecutor",
    keys: &[
        required("name", Type::Name, "Name of the workspace; jobs with one name share it."),
        COPY,
        key(
            "workspaceDir",
            Type::PathText,
            "\"/tmp/nixactions\"",
            "Where workspaces lie in the place of jobs.",
        ),
        key("hooks", Type::Map(&Type::Text, "scripts"), "{ }", "The scripts, by the names of the arguments."),
    ],
};

/// The table of an executor's options, by its kind.
pub fn executor(kind: &str) -> Option<&'static Table> {
    Some(match kind {
        "local" => &LOCAL_EXECUTOR,
        "ssh" => &SSH_EXECUTOR,
        "oci" | "podman" => &OCI_EXECUTOR,
        "nixos-container" => &NSPAWN_EXECUTOR,
        "compose" => &COMPOSE_EXECUTOR,
        "custom" => &CUSTOM_EXECUTOR,
        _ => return None,
    })
}
