# Job templates.
{ lib, actions }:
let
  q = lib.escapeShellArg;
in
{
  # Builds a container image with buildah and pushes it.
  buildahBuildPush =
    {
      name ? "build-image",
      context ? ".",
      dockerfile ? "Dockerfile",
      image,
      tags ? [ "latest" ],
      push ? true,
      registry ? null,
      tlsVerify ? true,
      ...
    }@args:
    let
      repository = if registry == null then image else "${registry}/${image}";
      # A registry without TLS, on this machine say, is spoken to only when told.
      tls = lib.optionalString (!tlsVerify) "--tls-verify=false ";
      refs = map (tag: "${repository}:${tag}") tags;
    in
    removeAttrs args [ "name" "context" "dockerfile" "image" "tags" "push" "registry" "tlsVerify" ]
    // {
      steps = [
        actions.checkout
        {
          name = "${name}: build";
          bash = ''
            buildah build --file ${q "${context}/${dockerfile}"} ${lib.concatMapStringsSep " " (r: "--tag ${q r}") refs} ${q context}
          '';
        }
      ]
      ++ lib.optional push {
        name = "${name}: push";
        bash = lib.concatMapStringsSep "\n" (r: "buildah push ${tls}${q r}") refs;
      };
    };
}
