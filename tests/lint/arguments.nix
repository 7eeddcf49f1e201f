{ nixactions, ... }:
let
  f = { a, b }: a;
  g = { a, b, c ? 1, ... }: b;
  h = args@{ a, ... }: a;
  i = { a, ... }@args: a;
  j = x: y: y;
  _k = 1;
in
nixactions.mkWorkflow {
  name = f { a = "x"; b = 1; } + g { b = "y"; } + h { a = "z"; } + i { a = "q"; } + j 1 "r" + toString _k;
  jobs.t.steps = [ { bash = "true"; } ];
}
