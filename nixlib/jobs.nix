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
      ...
    }@args:
    let
      repository = if registry == null then image else "${registry}/${image}";
      refs = map (tag: "${repository}:${tag}") tags;
    in
    removeAttrs args [ "name" "context" "dockerfile" "image" "tags" "push" "registry" ]
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
        bash = lib.concatMapStringsSep "\n" (r: "buildah push ${q r}") refs;
      };
    };
}
