{
  description = "Runs CI/CD workflows written in the Nix language, anywhere, without Nix";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      eachSystem = f: builtins.listToAttrs (map
        (system: { name = system; value = f system nixpkgs.legacyPackages.${system}; })
        systems);

      package = { lib, rustPlatform, bash, git, installShellFiles }:
        let manifest = (lib.importTOML ./Cargo.toml).package;
        in
        rustPlatform.buildRustPackage {
          pname = manifest.name;
          inherit (manifest) version;
          src = lib.cleanSourceWith {
            src = ./.;
            filter = path: type: lib.cleanSourceFilter path type && baseNameOf path != "target";
          };
          cargoLock.lockFile = ./Cargo.lock;
          nativeBuildInputs = [ installShellFiles ];
          nativeCheckInputs = [ bash git ];
          # The other tests want what a build does not have: a nix daemon, container engines, ssh, busybox.
          cargoTestFlags = [ "--lib" "--test=check" "--test=lang" "--test=workflow" ];
          checkFlags = [ "--skip=exec::remote::trees" ];
          postInstall = ''
            $out/bin/nixactions man --directory man
            installManPage man/*.1
            for shell in bash zsh fish; do
              $out/bin/nixactions completions $shell > nixactions.$shell
            done
            installShellCompletion nixactions.{bash,zsh,fish}
          '';
          meta = {
            inherit (manifest) description;
            license = lib.licenses.mit;
            mainProgram = "nixactions";
            platforms = lib.platforms.linux;
          };
        };
    in
    {
      overlays.default = final: _: { nixactions = final.callPackage package { }; };

      packages = eachSystem (_: pkgs: rec {
        nixactions = pkgs.callPackage package { };
        default = nixactions;
      });

      devShells = eachSystem (system: pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${system}.default ];
          packages = with pkgs; [ cargo clippy rustc rustfmt rust-analyzer git ];
        };
      });

      # The workflow library for other flakes. Its `mkWorkflow` gives a package that runs the workflow:
      # with `packages.${system}.ci = nixactions.lib.${system}.mkWorkflow { … };`, both `nix run .#ci` and
      # `nixactions run .#ci` run it.
      lib = eachSystem (system: pkgs:
        let nixactions = import ./nixlib { inherit pkgs system; };
        in
        nixactions // {
          mkWorkflow = import ./nixlib/app.nix {
            inherit nixactions pkgs;
            program = self.packages.${system}.default;
          };
        });
    };
}
