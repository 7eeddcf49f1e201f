# A Python project in one job: compiled, then tested.
{ nixactions, ... }:

nixactions.mkWorkflow {
  name = "python-ci-simple";

  jobs.ci = {
    steps = [
      nixactions.actions.checkout
      nixactions.actions.setupPython
      {
        name = "lint";
        workdir = "examples/03-real-world/python-project";
        bash = "python3 -m compileall -q -f calc tests";
      }
      {
        name = "test";
        workdir = "examples/03-real-world/python-project";
        bash = "python3 -m unittest discover -s tests -t .";
      }
    ];
  };
}
