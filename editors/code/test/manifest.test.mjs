// The manifest and the code agree, and the package holds only what it should.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
const code = ["main.ts", "command.ts"].map((name) => readFileSync(`${root}src/${name}`, "utf8")).join("\n");
const found = (pattern) => [...new Set([...code.matchAll(pattern)].map((m) => m[1]))].sort();

test("every command that is registered is contributed, and the other way round", () => {
  const contributed = manifest.contributes.commands.map((c) => c.command).sort();
  assert.deepEqual(found(/registerCommand\("([^"]+)"/g), contributed);
});

test("every setting that is read is contributed", () => {
  const contributed = Object.keys(manifest.contributes.configuration.properties);
  for (const key of found(/configured\(\)\.get\("([^"]+)"/g)) {
    assert.ok(contributed.includes(`nixactions.${key}`), key);
  }
});

test("the settings are those of the server", () => {
  const docs = readFileSync(`${root}../../docs/editors.md`, "utf8");
  const documented = [...docs.matchAll(/^\| `([a-zA-Z.]+)` \|/gm)].map((m) => m[1]).sort();
  const own = ["serverPath", "serverArguments", "trace.server"];
  const properties = Object.keys(manifest.contributes.configuration.properties);
  const served = properties.map((p) => p.replace("nixactions.", "")).filter((p) => !own.includes(p)).sort();
  assert.deepEqual(served, documented);
});

test("the problem matcher reads what check writes", () => {
  const pattern = new RegExp(manifest.contributes.problemMatchers[0].pattern.regexp);
  const binary = process.env.NIXACTIONS ?? `${root}../../target/release/nixactions`;
  const file = `${root}test/wrong.nix`;
  let out = "";
  try {
    out = execFileSync(binary, ["check", "--format", "short", file], { encoding: "utf8" });
  } catch (error) {
    out = error.stdout;
  }
  const match = out.split("\n")[0].match(pattern);
  assert.ok(match, out);
  assert.deepEqual([match[1].endsWith("wrong.nix"), match[2], match[4], match[5]], [true, "6", "error", "NXA101"]);
});

test("the package holds the bundle, the grammar and the texts, and nothing else", () => {
  const listed = execFileSync("npx", ["vsce", "ls", "--no-dependencies"], { cwd: root, encoding: "utf8" });
  const files = listed.split("\n").filter((l) => l && !l.startsWith(">") && !/^(npm|\s)/.test(l)).sort();
  const wanted = ["LICENSE", "README.md", "out/main.js", "package.json", "syntaxes/nixactions.json"];
  assert.deepEqual(files.filter((f) => wanted.includes(f) || f.includes(".")), wanted);
});
