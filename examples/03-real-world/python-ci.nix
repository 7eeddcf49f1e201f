# A Python project linted, tested and packaged, with what the machine has: pyflakes where it is
# installed, the compiler's own checks everywhere.
{ nixactions, lib, ... }:

let
  project = "examples/03-real-world/python-project";
  inherit (nixactions.actions) checkout setupPython;
  python = name: bash: {
    inherit name bash;
    workdir = project;
    env.PYTHONDONTWRITEBYTECODE = 1;
  };
in
nixactions.mkWorkflow {
  name = "python-ci";

  env.PYTHONWARNINGS = "error";
  timeout = "5m";

  jobs = {
    lint = {
      steps = [
        checkout
        setupPython
        (python "syntax" ''
          python3 - <<'PY'
          import ast, pathlib, sys
          bad = 0
          for path in sorted(pathlib.Path(".").rglob("*.py")):
              tree = ast.parse(path.read_text(), str(path))
              for node in ast.walk(tree):
                  if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("test") \
                          and ast.get_docstring(node) is None and "tests" not in path.parts:
                      print(f"{path}:{node.lineno}: {node.name} has no docstring")
                      bad += 1
          sys.exit(bad > 0)
          PY
        '')
        (python "pyflakes" "python3 -m pyflakes calc tests" // {
          condition = "python3 -c 'import pyflakes' 2>/dev/null";
        })
      ];
    };
  }
  // nixactions.mkMatrixJobs {
    name = "test";
    matrix.optimize = [ 0 1 ];
    jobTemplate = { optimize }: {
      needs = [ "lint" ];
      env.PYTHONOPTIMIZE = optimize;
      outputs."results-${toString optimize}" = {
        path = "results-${toString optimize}.txt";
        when = "always";
      };
      steps = [
        setupPython
        (python "unittest" ''
          python3 -m unittest discover -v -s tests -t . 2>&1 | tee "$JOB_DIR/results-${toString optimize}.txt"
        '')
      ];
    };
  }
  // {
    package = {
      needs = [ "test-optimize-0" "test-optimize-1" ];
      inputs = lib.genList (i: "results-${toString i}") 2;
      outputs.calc = "calc.pyz";
      steps = [
        {
          name = "zipapp";
          bash = ''
            grep -h '^Ran ' results-*.txt
            python3 -m zipapp ${project} --main calc.cli:main --output calc.pyz
            [[ "$(python3 calc.pyz '2 ** 10')" == 1024 ]]
          '';
        }
      ];
    };
  };
}
