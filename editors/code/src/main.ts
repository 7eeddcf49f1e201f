// The extension: starts the server, runs workflows in terminals. All else is the server's.

import * as vscode from "vscode";
import { LanguageClient, type LanguageClientOptions, State } from "vscode-languageclient/node";

import { choice, type Run, server, settings, target, task } from "./command";

let client: LanguageClient | undefined;

function configured(): vscode.WorkspaceConfiguration {
  return vscode.workspace.getConfiguration("nixactions");
}

function serverSettings(): Record<string, unknown> {
  return settings({ ...configured() }, vscode.workspace.isTrusted);
}

async function start(): Promise<void> {
  const command = server(configured().get("serverPath"), configured().get("serverArguments"));
  const options: LanguageClientOptions = {
    documentSelector: [
      { scheme: "file", language: "nix" },
      { scheme: "untitled", language: "nix" },
    ],
    initializationOptions: serverSettings(),
    middleware: {
      workspace: {
        configuration: (params) =>
          params.items.map((item) => (item.section === "nixactions" ? serverSettings() : null)),
      },
    },
    synchronize: { configurationSection: "nixactions" },
  };
  client = new LanguageClient("nixactions", "nixactions", { command: command.program, args: command.args }, options);
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    const change = "Open Settings";
    const chosen = await vscode.window.showErrorMessage(
      `nixactions: cannot start \`${command.program}\`: ${error instanceof Error ? error.message : error}. ` +
        "Install it, or set `nixactions.serverPath`.",
      change,
    );
    if (chosen === change) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "nixactions.serverPath");
    }
  }
}

async function stop(): Promise<void> {
  const running = client;
  client = undefined;
  if (running?.state === State.Running) {
    await running.stop();
  }
}

function makeTask(definition: vscode.TaskDefinition, scope: vscode.WorkspaceFolder | vscode.TaskScope): vscode.Task {
  const line = task(configured().get("serverPath"), definition.command, definition.target, definition.args);
  const name = definition.target ? `${definition.command} ${definition.target}` : definition.command;
  const run = new vscode.ProcessExecution(line.program, line.args);
  return new vscode.Task(definition, scope, name, "nixactions", run, "$nixactions");
}

async function run(argument?: Run): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    return;
  }
  const uri = argument ? vscode.Uri.parse(argument.uri) : vscode.window.activeTextEditor?.document.uri;
  if (uri?.scheme !== "file") {
    await vscode.window.showErrorMessage("nixactions: only a file that is saved can be run.");
    return;
  }
  await vscode.workspace.saveAll(false);
  const folder = vscode.workspace.getWorkspaceFolder(uri) ?? vscode.TaskScope.Workspace;
  const chosen = { target: target(uri.fsPath, argument?.workflow), args: choice(argument) };
  const definition = { type: "nixactions", command: "run", ...chosen };
  await vscode.tasks.executeTask(makeTask(definition, folder));
}

/** Called by VS Code. */
export async function activate(context: vscode.ExtensionContext): Promise<void> {
  context.subscriptions.push(
    vscode.commands.registerCommand("nixactions.restart", async () => {
      await stop();
      await start();
    }),
    vscode.commands.registerCommand("nixactions.run", run),
    vscode.tasks.registerTaskProvider("nixactions", {
      provideTasks: () => [
        makeTask({ type: "nixactions", command: "check" }, vscode.TaskScope.Workspace),
        makeTask({ type: "nixactions", command: "run" }, vscode.TaskScope.Workspace),
      ],
      resolveTask: (given) => makeTask(given.definition, given.scope ?? vscode.TaskScope.Workspace),
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(async () => {
      await stop();
      await start();
    }),
    vscode.workspace.onDidChangeConfiguration(async (change) => {
      if (["serverPath", "serverArguments"].some((key) => change.affectsConfiguration(`nixactions.${key}`))) {
        await stop();
        await start();
      }
    }),
  );
  await start();
}

/** Called by VS Code. */
export async function deactivate(): Promise<void> {
  await stop();
}
