// Command lines and settings, without VS Code.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

const { choice, server, settings, target, task } = createRequire(import.meta.url)("../out/test/command.js");

test("the server is found by name unless a path is set", () => {
  assert.deepEqual(server(undefined, undefined), { program: "nixactions", args: ["lsp"] });
  assert.deepEqual(server(" /opt/nixactions ", ["-I", "nixpkgs=/n"]), {
    program: "/opt/nixactions",
    args: ["lsp", "-I", "nixpkgs=/n"],
  });
});

test("tasks put the target last, and check writes what the problem matcher reads", () => {
  assert.deepEqual(task("", "check", "ci.nix").args, ["check", "--format", "short", "ci.nix"]);
  assert.deepEqual(task("", "run", "ci.nix#deploy", ["--pure"]).args, ["run", "--pure", "ci.nix#deploy"]);
  assert.equal(target("/a/ci.nix", "deploy"), "/a/ci.nix#deploy");
  assert.equal(target("/a/ci.nix", null), "/a/ci.nix");
});

test("a lens runs its job", () => {
  const run = { uri: "file:///a/ci.nix", workflow: null, job: "test" };
  assert.deepEqual(task("", "run", "/a/ci.nix", choice(run)).args, ["run", "--job", "test", "/a/ci.nix"]);
  assert.deepEqual(choice({ uri: "file:///a/ci.nix" }), []);
  assert.deepEqual(choice(undefined), []);
});

test("without trust nothing is evaluated or started", () => {
  const all = { serverPath: "x", trace: {}, pkgs: "/n", formatter: ["nixfmt"], evaluation: { enable: true, timeout: 5 } };
  assert.deepEqual(settings(all, true), { pkgs: "/n", formatter: ["nixfmt"], evaluation: { enable: true, timeout: 5 } });
  assert.deepEqual(settings(all, false), {
    pkgs: null,
    formatter: [],
    evaluation: { enable: false, timeout: 5 },
    codeLens: { enable: false },
  });
});
