// What is started, and with what settings. Nothing here needs VS Code, so that tests can call it.

/** Where a workflow is run from, as the server's code lens says. */
export interface Run {
  uri: string;
  workflow?: string | null;
  job?: string | null;
}

/** A program and its arguments. */
export interface CommandLine {
  program: string;
  args: string[];
}

/** The language server. */
export function server(program: string | undefined, args: readonly string[] | undefined): CommandLine {
  return { program: program?.trim() || "nixactions", args: ["lsp", ...(args ?? [])] };
}

/** A task: `check` is written so that the problem matcher reads it. */
export function task(
  program: string | undefined,
  command: string,
  target?: string,
  args?: readonly string[],
): CommandLine {
  const format = command === "check" ? ["--format", "short"] : [];
  return {
    program: program?.trim() || "nixactions",
    args: [command, ...format, ...(args ?? []), ...(target ? [target] : [])],
  };
}

/** `FILE`, or `FILE#NAME` for one of several workflows in a file. */
export function target(file: string, workflow?: string | null): string {
  return workflow ? `${file}#${workflow}` : file;
}

/** The arguments that choose what is run: a job, with all that it needs, or everything. */
export function choice(run?: Run): string[] {
  return run?.job ? ["--job", run.job] : [];
}

/** The settings that the server is given: without trust it evaluates nothing and starts no program. */
export function settings(
  configured: Record<string, unknown>,
  trusted: boolean,
): Record<string, unknown> {
  const { serverPath, serverArguments, trace, ...rest } = configured;
  if (trusted) {
    return rest;
  }
  const evaluation = { ...(rest.evaluation as object | undefined), enable: false };
  return { ...rest, evaluation, formatter: [], pkgs: null, codeLens: { enable: false } };
}
