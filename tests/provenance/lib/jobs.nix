# Imported by ci.nix.
{
  slow = { timeout = "a while"; steps = [ { bash = "true"; } ]; };
  job = needs: { inherit needs; steps = [ { bash = "true"; } ]; };
}
