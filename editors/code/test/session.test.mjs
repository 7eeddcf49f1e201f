// A session with the real server, over the layer that VS Code itself speaks.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const protocol = createRequire(import.meta.url)("vscode-languageserver-protocol/node");
const root = fileURLToPath(new URL("..", import.meta.url));
const binary = process.env.NIXACTIONS ?? `${root}../../target/release/nixactions`;
const file = `${root}test/wrong.nix`;
const uri = pathToFileURL(file).href;

/** What VS Code 1.91 sends, as far as the server reads it. */
const capabilities = {
  general: { positionEncodings: ["utf-16"] },
  workspace: {
    configuration: true,
    workspaceEdit: { documentChanges: true },
    didChangeWatchedFiles: { dynamicRegistration: true },
    codeLens: { refreshSupport: true },
    inlayHint: { refreshSupport: true },
    diagnostics: { refreshSupport: true },
  },
  textDocument: {
    completion: { completionItem: { snippetSupport: true } },
    definition: { linkSupport: true },
    documentSymbol: { hierarchicalDocumentSymbolSupport: true },
    diagnostic: { dynamicRegistration: true, relatedDocumentSupport: false },
    publishDiagnostics: { relatedInformation: true },
  },
};

test("from initialize to exit", { timeout: 60_000 }, async () => {
  const child = spawn(binary, ["lsp"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const connection = protocol.createProtocolConnection(
    new protocol.StreamMessageReader(child.stdout),
    new protocol.StreamMessageWriter(child.stdin),
  );
  const asked = [];
  connection.onRequest((method) => {
    asked.push(method);
    return method === "workspace/configuration" ? [{ inlayHints: { enable: true } }] : null;
  });
  connection.onError(([error]) => assert.fail(String(error)));
  connection.listen();
  const initialized = await connection.sendRequest("initialize", {
    processId: process.pid,
    clientInfo: { name: "Visual Studio Code" },
    rootUri: pathToFileURL(root).href,
    capabilities,
    workspaceFolders: [{ uri: pathToFileURL(root).href, name: "code" }],
  });
  assert.equal(initialized.capabilities.positionEncoding, "utf-16");
  await connection.sendNotification("initialized", {});
  const text = readFileSync(file, "utf8");
  await connection.sendNotification("textDocument/didOpen", {
    textDocument: { uri, languageId: "nix", version: 1, text },
  });
  const textDocument = { uri };
  const report = await connection.sendRequest("textDocument/diagnostic", { textDocument });
  assert.deepEqual(report.items.map((d) => d.code), ["NXA101"]);
  const range = report.items[0].range;
  const actions = await connection.sendRequest("textDocument/codeAction", {
    textDocument,
    range,
    context: { diagnostics: report.items, only: ["quickfix"] },
  });
  const edit = actions[0].edit.documentChanges[0];
  assert.deepEqual([edit.textDocument.version, edit.edits[0].newText], [1, '"lint"']);
  await connection.sendNotification("textDocument/didChange", {
    textDocument: { uri, version: 2 },
    contentChanges: [{ range: edit.edits[0].range, text: edit.edits[0].newText }],
  });
  const after = await connection.sendRequest("textDocument/diagnostic", { textDocument });
  assert.deepEqual(after.items, []);
  const position = { line: 5, character: 24 };
  const hover = await connection.sendRequest("textDocument/hover", { textDocument, position });
  assert.match(hover.contents.value, /needed by `test`/);
  const definition = await connection.sendRequest("textDocument/definition", { textDocument, position });
  assert.equal(definition[0].targetSelectionRange.start.line, 4);
  const tokens = await connection.sendRequest("textDocument/semanticTokens/full", { textDocument });
  assert.equal(tokens.data.length % 5, 0);
  assert.ok(asked.includes("client/registerCapability") && asked.includes("workspace/configuration"), String(asked));
  await connection.sendRequest("shutdown");
  await connection.sendNotification("exit");
  assert.equal(await ended, 0);
});
