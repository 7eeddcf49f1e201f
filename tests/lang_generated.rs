//! Generated expressions, well typed for the most part, through our evaluator and through C++ Nix: both must
//! print the same or both must fail. A difference shrinks to a small expression that shows it.
//!
//! The reference is the `nix-instantiate` of `NIX_REFERENCE`, or else that of the machine. Debian's is Nix 2.8,
//! which the evaluator is not held to: with a reference before 2.34 the generator leaves out what has changed
//! its meaning since (see `Dialect`). `PROPTEST_CASES` sets the number of expressions.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod support {
    pub(crate) mod services;
}

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

type Source = BoxedStrategy<String>;

/// What the reference speaks.
#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    /// Nix 2.34.
    Full,
    /// An older Nix. Left out are integers near the ends of their range, which wrapped round,
    /// floats that are whole numbers, which `toJSON` wrote without a fraction, and `replaceStrings`,
    /// which forced all that it was given.
    Older,
}

fn reference() -> (PathBuf, Dialect) {
    let program = match std::env::var_os("NIX_REFERENCE") {
        Some(path) => PathBuf::from(path),
        None => support::services::program("nix-instantiate", "nix-bin"),
    };
    let output = Command::new(&program).arg("--version").output().expect("the reference starts");
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = version.split_whitespace().last().unwrap_or_default().to_owned();
    let minor = number.strip_prefix("2.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    let minor = minor.unwrap_or_else(|| panic!("{}: `{version}` names no version", program.display()));
    (program, if minor >= 34 { Dialect::Full } else { Dialect::Older })
}

/// What evaluation gave: the printed value, or nothing for an error. `Err` is a crash.
fn evaluate(program: &Path, args: &[&str], expr: &str) -> Result<Option<Vec<u8>>, String> {
    let output = Command::new(program)
        .args(args)
        .args(["--eval", "--strict", "-E", expr])
        .current_dir("/")
        .env("HOME", "/homeless")
        .env("NIX_PATH", "")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    match output.status.code() {
        Some(0) => Ok(Some(output.stdout)),
        Some(1) => Ok(None),
        _ => Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}

/// Variables every expression may use; see `wrap`.
fn wrap(body: &str) -> String {
    format!(
        "let i = 3; j = -2; s = \"str\"; l = [ 1 \"two\" [ 3 ] ]; b = true; f = 1.5; \
         a = {{ x = 1; y = {{ z = \"deep\"; }}; n = null; }}; id = v: v; k = v: w: v; \
         p = {{ q ? 4, r ? q }}: [ q r ]; e = throw \"e\"; in {body}"
    )
}

fn leaf(sources: &'static [&'static str]) -> Source {
    prop::sample::select(sources).prop_map(str::to_owned).boxed()
}

fn template(template: &'static str, parts: Vec<Source>) -> Source {
    parts
        .prop_map(move |parts| {
            let mut parts = parts.iter();
            let mut out = String::new();
            for piece in template.split_inclusive('@') {
                match piece.strip_suffix('@') {
                    Some(text) => {
                        out.push_str(text);
                        out.push_str(parts.next().map_or("", String::as_str));
                    }
                    None => out.push_str(piece),
                }
            }
            out
        })
        .boxed()
}

/// A leaf before everything else, so that shrinking ends there.
fn choice(first: Source, rest: Vec<Source>) -> Source {
    let mut all = vec![(3, first)];
    all.extend(rest.into_iter().map(|s| (2, s)));
    prop::strategy::Union::new_weighted(all).boxed()
}

/// Strategies of one depth for each type of value.
#[derive(Clone)]
struct Level {
    int: Source,
    bool: Source,
    string: Source,
    list: Source,
    set: Source,
    function: Source,
    any: Source,
}

fn ground(dialect: Dialect) -> Level {
    let int = match dialect {
        Dialect::Full => leaf(&["0", "1", "i", "j", "7", "a.x", "9223372036854775807"]),
        Dialect::Older => leaf(&["0", "1", "i", "j", "7", "a.x"]),
    };
    let bool = leaf(&["true", "false", "b"]);
    let string = leaf(&["\"\"", "\"a\"", "s", "a.y.z", "\"a.b-1\"", "''\n  two\n    lines''"]);
    let list = leaf(&["[ ]", "l", "[ 1 2 3 ]", "[ \"b\" \"a\" ]", "[ e ]"]);
    let set = leaf(&["{ }", "a", "{ x = 2; }", "{ z = e; }", "a.y"]);
    let function = leaf(&["id", "(v: v)", "(v: [ v ])", "(k 1)", "toString", "builtins.isInt", "(v: e)"]);
    let other = match dialect {
        Dialect::Full => leaf(&["null", "f", "e", "/p/q", "-0.0", "1.0e3"]),
        Dialect::Older => leaf(&["null", "f", "e", "/p/q", "0.5"]),
    };
    let any = any_of(&int, &bool, &string, &list, &set, &function, other);
    Level { int, bool, string, list, set, function, any }
}

fn any_of(i: &Source, b: &Source, s: &Source, l: &Source, a: &Source, f: &Source, other: Source) -> Source {
    prop_oneof![4 => i.clone(), 2 => b.clone(), 3 => s.clone(), 3 => l.clone(), 3 => a.clone(), 1 => f.clone(), 1 => other]
        .boxed()
}

/// `typed`, and now and then something of any type in its place.
fn slip(typed: &Source, any: &Source) -> Source {
    prop_oneof![19 => typed.clone(), 1 => any.clone()].boxed()
}

fn deeper(below: &Level, dialect: Dialect) -> Level {
    let Level { int, bool, string, list, set, function, any } = below;
    let (int, bool, string) = (slip(int, any), slip(bool, any), slip(string, any));
    let (list, set, function) = (slip(list, any), slip(set, any), slip(function, any));
    let t = |text: &'static str, parts: &[&Source]| template(text, parts.iter().copied().cloned().collect());
    let generic = |own: &Source| {
        vec![
            t("(if @ then @ else @)", &[&bool, own, own]),
            t("(let x = @; y = x; in @)", &[any, own]),
            t("(with @; @)", &[&set, own]),
            t("(assert @; @)", &[&bool, own]),
            t("(builtins.seq @ @)", &[any, own]),
            t("(id @)", &[own]),
            t("(k @ @)", &[own, any]),
            t("(@.x or @)", &[&set, own]),
            t("(({ m, n ? @ }: n) { m = @; })", &[own, any]),
            t("(builtins.foldl' (x: y: x) @ @)", &[own, &list]),
        ]
    };
    let level = |own: &Source, special: Vec<Source>| {
        let mut rest = special;
        rest.push(prop::strategy::Union::new(generic(own)).boxed());
        choice(own.clone(), rest)
    };
    let int2 = level(&int, int_forms(&t, &int, &string, &list, &set, any));
    let bool2 = level(&bool, bool_forms(&t, &bool, &int, &string, &list, &set, any));
    let mut string_forms = string_forms(&t, &string, &int, &list, any);
    if dialect == Dialect::Full {
        string_forms.push(t("(builtins.replaceStrings [ @ ] [ @ ] @)", &[&string, &string, &string]));
    }
    let string2 = level(&string, string_forms);
    let list2 = level(&list, list_forms(&t, &list, &int, &string, &set, &function, any));
    let set2 = level(&set, set_forms(&t, &set, &string, &list, &function, any));
    let function2 = level(
        &function,
        vec![
            t("(v: @)", &[any]),
            t("(v: w: @)", &[any]),
            t("({ x ? @, ... }@args: @)", &[any, any]),
            t("{ __functor = self: @; }", &[&function]),
            t("(builtins.add @)", &[&int]),
        ],
    );
    let any2 = any_of(&int2, &bool2, &string2, &list2, &set2, &function2, t("(@ @)", &[&function, any]));
    Level { int: int2, bool: bool2, string: string2, list: list2, set: set2, function: function2, any: any2 }
}

type Template<'t> = &'t dyn Fn(&'static str, &[&Source]) -> Source;

fn int_forms(
    t: Template<'_>,
    int: &Source,
    string: &Source,
    list: &Source,
    set: &Source,
    any: &Source,
) -> Vec<Source> {
    vec![
        t("(@ + @)", &[int, int]),
        t("(@ - @)", &[int, int]),
        t("(@ * @)", &[int, int]),
        t("(@ / @)", &[int, int]),
        t("(- @)", &[int]),
        t("(builtins.length @)", &[list]),
        t("(builtins.stringLength @)", &[string]),
        t("(builtins.head @)", &[list]),
        t("(builtins.elemAt @ @)", &[list, int]),
        t("(builtins.foldl' builtins.add @ @)", &[int, list]),
        t("(builtins.bitXor @ @)", &[int, int]),
        t("@.x", &[set]),
        t("(builtins.compareVersions @ @)", &[string, string]),
        t("(builtins.length (builtins.attrNames @))", &[any]),
    ]
}

fn bool_forms(
    t: Template<'_>,
    bool: &Source,
    int: &Source,
    string: &Source,
    list: &Source,
    set: &Source,
    any: &Source,
) -> Vec<Source> {
    vec![
        t("(@ == @)", &[any, any]),
        t("(@ != @)", &[set, set]),
        t("(@ == @)", &[list, list]),
        t("(@ < @)", &[int, int]),
        t("(@ <= @)", &[string, string]),
        t("(@ > @)", &[list, list]),
        t("(@ && @)", &[bool, bool]),
        t("(@ || @)", &[bool, bool]),
        t("(@ -> @)", &[bool, bool]),
        t("(! @)", &[bool]),
        t("(@ ? x)", &[any]),
        t("(@ ? y.z)", &[set]),
        t("(builtins.elem @ @)", &[any, list]),
        t("(builtins.all (v: @) @)", &[bool, list]),
        t("(builtins.any builtins.isString @)", &[list]),
        t("(builtins.tryEval @).success", &[any]),
        t("(builtins.isAttrs @)", &[any]),
        t("(builtins.hasAttr @ @)", &[string, set]),
    ]
}

fn string_forms(t: Template<'_>, string: &Source, int: &Source, list: &Source, any: &Source) -> Vec<Source> {
    vec![
        t("(@ + @)", &[string, string]),
        t("\"<${@}>\"", &[string]),
        t("''\n  ${@}\n    x\n ''", &[string]),
        t("(toString @)", &[any]),
        t("(builtins.concatStringsSep @ @)", &[string, list]),
        t("(builtins.substring @ @ @)", &[int, int, string]),
        t("(builtins.toJSON @)", &[any]),
        t("(builtins.typeOf @)", &[any]),
        t("(builtins.hashString \"sha256\" @)", &[string]),
        t("(baseNameOf @)", &[string]),
        t("(builtins.toXML @)", &[any]),
    ]
}

fn list_forms(
    t: Template<'_>,
    list: &Source,
    int: &Source,
    string: &Source,
    set: &Source,
    function: &Source,
    any: &Source,
) -> Vec<Source> {
    vec![
        t("[ @ @ ]", &[any, any]),
        t("(@ ++ @)", &[list, list]),
        t("(map @ @)", &[function, list]),
        t("(builtins.filter (v: v != @) @)", &[any, list]),
        t("(builtins.sort (v: w: v < w) @)", &[list]),
        t("(builtins.genList (n: n + @) 3)", &[int]),
        t("(builtins.attrNames @)", &[set]),
        t("(builtins.attrValues @)", &[set]),
        t("(builtins.tail @)", &[list]),
        t("(builtins.concatLists [ @ @ ])", &[list, list]),
        t("(builtins.concatMap (v: [ v @ ]) @)", &[any, list]),
        t("(builtins.split \"[a-c]+\" @)", &[string]),
        t("(p @)", &[set]),
        t("(builtins.catAttrs \"x\" [ @ @ ])", &[set, set]),
        t("(builtins.splitVersion @)", &[string]),
    ]
}

fn set_forms(
    t: Template<'_>,
    set: &Source,
    string: &Source,
    list: &Source,
    function: &Source,
    any: &Source,
) -> Vec<Source> {
    vec![
        t("{ x = @; w = @; }", &[any, any]),
        t("{ x.y = @; x.z = @; }", &[any, any]),
        t("rec { x = @; o = x; }", &[any]),
        t("{ ${@} = @; x = 1; }", &[string, any]),
        t("{ inherit (@) x y; }", &[set]),
        t("(@ // @)", &[set, set]),
        t("(removeAttrs @ [ \"x\" @ ])", &[set, string]),
        t("(builtins.intersectAttrs @ @)", &[set, set]),
        t("(builtins.mapAttrs (n: v: [ n v ]) @)", &[set]),
        t("(builtins.listToAttrs [ { name = @; value = @; } ])", &[string, any]),
        t("(builtins.functionArgs @)", &[function]),
        t("(builtins.tryEval @)", &[any]),
        t("(builtins.partition (v: v == @) @)", &[any, list]),
        t("(builtins.parseDrvName @)", &[string]),
        t("@.y", &[set]),
        t("{ outPath = @; }", &[string]),
        t("{ __toString = self: @; }", &[string]),
    ]
}

#[test]
fn generated_expressions_give_what_nix_gives() {
    let (nix, dialect) = reference();
    let ours = Path::new(env!("CARGO_BIN_EXE_nixactions"));
    let mut level = ground(dialect);
    for _ in 0..3 {
        level = deeper(&level, dialect);
    }
    let expressions = level.any;
    // Failures to start and the like are not differences; there may be few.
    // A fixed seed, so that a change is judged by what it changes; another one explores.
    let seed = std::env::var("LANG_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(34);
    let rng_seed = RngSeed::Fixed(seed);
    let config = Config { failure_persistence: None, max_global_rejects: 20, rng_seed, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&expressions, |body| {
        let expr = wrap(&body);
        let expected = evaluate(&nix, &[], &expr).map_err(TestCaseError::reject)?;
        let got = evaluate(ours, &["eval"], &expr).map_err(TestCaseError::fail)?;
        if got == expected {
            return Ok(());
        }
        let show = |v: &Option<Vec<u8>>| {
            v.as_ref().map_or("an error".into(), |v| String::from_utf8_lossy(v).into_owned())
        };
        Err(TestCaseError::fail(format!("Nix: {}\nours: {}", show(&expected), show(&got))))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
