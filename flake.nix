{
  description = "Runs CI/CD workflows written in the Nix language, anywhere, without Nix";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      eachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});

      package = { lib, rustPlatform, bash, git, installShellFiles }:
        let manifest = (lib.importTOML ./Cargo.toml).package;
        in
        rustPlatform.buildRustPackage {
          pname = manifest.name;
          inherit (manifest) version;
          src = lib.cleanSource ./.;
          cargoLock.lockFile = ./Cargo.lock;
          nativeBuildInputs = [ installShellFiles ];
          nativeCheckInputs = [ bash git ];
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

      packages = eachSystem (pkgs: rec {
        nixactions = pkgs.callPackage package { };
        default = nixactions;
      });

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.default ];
          packages = with pkgs; [ cargo clippy rustc rustfmt rust-analyzer git ];
        };
      });

      # The workflow library for other flakes: `nixactions.lib.${system}.mkWorkflow { … }`.
      lib = eachSystem (pkgs: import ./nixlib { inherit pkgs; system = pkgs.stdenv.hostPlatform.system; });
    };
}
