//! Environment providers: real `age`, and stand-ins that answer as the manuals of the others say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::Project;
use crate::services_support::program;

/// A project with programs of its own in front of the PATH.
fn with_programs(fields: &str, programs: &[(&str, &str)]) -> Project {
    let mut project = Project::new(fields);
    for (name, script) in programs {
        project = project.with(&format!("bin/{name}"), &format!("#!/usr/bin/env bash\n{script}\n"));
        let path = project.path(&format!("bin/{name}"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
    }
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").expect("a PATH"));
    project.env("PATH", &path)
}

/// A job whose environment comes from one provider, and which prints it reversed, so that the masks do
/// not hide it.
fn reveal(provider: &str, names: &str) -> String {
    format!(
        r#"jobs.a = {{ envFrom = [ (nixactions.envProviders.{provider}) ];
             steps = [ {{ bash = "for n in {names}; do echo \"$n=$(rev <<< \"\${{!n}}\") \${{!n}}\"; done"; }} ]; }};"#
    )
}

fn check(provider: &str, name: &str, script: &str, expected: &[&str]) {
    let names: Vec<&str> = expected.iter().filter_map(|l| l.split('=').next()).collect();
    let ran = with_programs(&reveal(provider, &names.join(" ")), &[(name, script)]).ok(&[]);
    let expected: Vec<String> = expected
        .iter()
        .map(|line| {
            let (name, value) = line.split_once('=').expect("NAME=VALUE");
            format!("{name}={} ***", value.chars().rev().collect::<String>())
        })
        .collect();
    assert_eq!(ran.lines("a"), expected, "{provider}");
    for line in &expected {
        let value: String = line.split(['=', ' ']).nth(1).expect("a value").chars().rev().collect();
        assert!(!ran.out.contains(&value), "{provider} shows {value}");
    }
}

#[test]
fn age_decrypts_with_an_identity() {
    let age = program("age", "age");
    let keygen = age.with_file_name("age-keygen");
    let project =
        Project::new(&reveal("age { file = \"secrets.age\"; identity = ./key.txt; }", "TOKEN OTHER"))
            .with("plain", "# comment\nTOKEN=age-s3cret\nexport OTHER=\"two words\"\n");
    let run = |command: &mut Command| {
        let output = command.current_dir(project.dir.path()).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    run(Command::new(&keygen).args(["-o", "key.txt"]));
    let recipient = run(Command::new(&keygen).args(["-y", "key.txt"]));
    run(Command::new(&age).args(["-r", recipient.trim(), "-o", "secrets.age", "plain"]));
    fs::remove_file(project.path("plain")).expect("removed");
    let ran = project.ok(&[]);
    assert_eq!(ran.lines("a"), ["TOKEN=terc3s-ega ***", "OTHER=sdrow owt ***"]);
    fs::write(project.path("key.txt"), "AGE-SECRET-KEY-NOT").expect("written");
    let ran = project.run(&[]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("provider `age` failed"), "{}", ran.out);
}

#[test]
fn a_file_that_need_not_exist_is_left_out() {
    let fields = |required: &str| {
        reveal(&format!("age {{ file = \"no.age\"; identity = \"k\"; {required} }}"), "HOME")
    };
    assert_eq!(with_programs(&fields("required = false;"), &[("age", "exit 9")]).run(&[]).code, 0);
    assert_eq!(with_programs(&fields(""), &[("age", "exit 9")]).run(&[]).code, 1);
}

#[test]
fn sops_prints_dotenv() {
    let script = r#"[ "$*" = "--decrypt --input-type yaml --output-type dotenv secrets.yaml" ] || { echo "$*" >&2; exit 1; }
printf "A=sops-one\nB=it's\n""#;
    check("sops { file = \"secrets.yaml\"; format = \"yaml\"; }", "sops", script, &["A=sops-one", "B=it's"]);
}

#[test]
fn vault_gives_the_data_of_a_secret() {
    let script = r#"[ "$*" = "kv get -format=json -mount=kv -address=http://v:8200 team/app" ] || { echo "$*" >&2; exit 2; }
echo '{"request_id":"x","data":{"data":{"db-password":"vault-pw","port":5432},"metadata":{"version":3}}}'"#;
    let options = "path = \"team/app\"; mount = \"kv\"; address = \"http://v:8200\";";
    check(&format!("vault {{ {options} }}"), "vault", script, &["DB_PASSWORD=vault-pw", "port=5432"]);
    check(&format!("vault {{ {options} fields.P = \"db-password\"; }}"), "vault", script, &["P=vault-pw"]);
}

#[test]
fn one_password_gives_the_fields_of_an_item() {
    let script = r#"[ "$*" = "item get App --format json --vault Team" ] || { echo "$*" >&2; exit 2; }
echo '{"id":"q","title":"App","fields":[{"id":"username","label":"username","value":"op-user"},{"id":"z","label":"api key","value":"op-key"},{"id":"notesPlain","label":"notesPlain"}]}'"#;
    let options = "item = \"App\"; vault = \"Team\";";
    check(&format!("onePassword {{ {options} fields.K = \"api key\"; }}"), "op", script, &["K=op-key"]);
    check(&format!("onePassword {{ {options} }}"), "op", script, &["username=op-user", "API_KEY=op-key"]);
}

#[test]
fn bitwarden_gives_secrets_of_a_project_or_an_item() {
    let bws = r#"[ "$*" = "secret list 123 --output json" ] || { echo "$*" >&2; exit 2; }
echo '[{"object":"secret","id":"1","key":"TOKEN","value":"bws-token","note":""}]'"#;
    check("bitwarden { project = \"123\"; }", "bws", bws, &["TOKEN=bws-token"]);
    let bw = r#"[ "$*" = "get item app" ] || { echo "$*" >&2; exit 2; }
echo '{"name":"app","login":{"username":"bw-user","password":"bw-pass"},"fields":[{"name":"pin","value":"bw-pin"}]}'"#;
    check(
        "bitwarden { item = \"app\"; fields = { P = \"password\"; Q = \"pin\"; }; }",
        "bw",
        bw,
        &["P=bw-pass", "Q=bw-pin"],
    );
}

#[test]
fn the_clouds_give_secrets() {
    let aws = r#"[ "$*" = "secretsmanager get-secret-value --secret-id app --query SecretString --output text --region eu-1" ] || { echo "$*" >&2; exit 2; }
echo '{"USER":"ignored","DB":"aws-db"}'"#;
    check("awsSecrets { secret = \"app\"; region = \"eu-1\"; }", "aws", aws, &["DB=aws-db"]);
    let gcloud = r#"[ "$*" = "secrets versions access 5 --secret=app --project=p" ] || { echo "$*" >&2; exit 2; }
printf 'gcp whole'"#;
    check(
        "gcpSecrets { secret = \"app\"; project = \"p\"; version = \"5\"; variable = \"G\"; }",
        "gcloud",
        gcloud,
        &["G=gcp whole"],
    );
    let az = r#"case "$*" in
"keyvault secret show --vault-name v --name one --query value --output tsv") echo az-one ;;
"keyvault secret show --vault-name v --name two --query value --output tsv") echo az-two ;;
*) echo "$*" >&2; exit 2 ;; esac"#;
    check(
        "azureKeyVault { vault = \"v\"; secrets = { A = \"one\"; B = \"two\"; }; }",
        "az",
        az,
        &["A=az-one", "B=az-two"],
    );
    let doppler = r#"[ "$*" = "secrets download --no-file --format json --project p --config dev" ] || { echo "$*" >&2; exit 2; }
echo '{"KEY":"dop-key"}'"#;
    check("doppler { project = \"p\"; config = \"dev\"; }", "doppler", doppler, &["KEY=dop-key"]);
}

#[test]
fn a_command_prints_exports_dotenv_or_json() {
    for (format, text) in
        [("exports", "export V='cmd-v'"), ("dotenv", "V=cmd-v"), ("json", "{\"V\":\"cmd-v\"}")]
    {
        check(
            &format!("command {{ argv = [ \"give\" ]; format = \"{format}\"; }}"),
            "give",
            &format!("cat <<'X'\n{text}\nX"),
            &["V=cmd-v"],
        );
    }
}

#[test]
fn a_program_that_fails_or_is_missing_stops_the_job_and_says_why() {
    let ran = with_programs(
        &reveal("vault { path = \"x\"; }", "HOME"),
        &[("vault", "echo permission denied >&2; exit 2")],
    )
    .run(&[]);
    assert_eq!((ran.code, ran.result("a").as_str()), (1, "failure"));
    assert!(
        ran.out.contains("provider `vault` failed") && ran.out.contains("permission denied"),
        "{}",
        ran.out
    );
    let ran = with_programs(&reveal("doppler { }", "HOME"), &[]).run(&[]);
    assert!(ran.code == 1 && ran.out.contains("cannot run `doppler`"), "{}", ran.out);
}

#[test]
fn options_are_checked() {
    let found = Project::new(
        r#"jobs.a = { envFrom = with nixactions.envProviders; [ (vault { paht = "x"; }) (azureKeyVault { vault = "v"; }) (awsSecrets { secret = "s"; variable = "1X"; }) ];
             steps = [ { bash = "true"; } ]; };"#,
    )
    .findings();
    assert!(found.contains("envProviders.vault has no key `paht`"), "{found}");
    assert!(found.contains("envProviders.azureKeyVault has no `secrets`"), "{found}");
    assert!(found.contains("`1X`"), "{found}");
}
