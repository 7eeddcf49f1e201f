//! The table of diagnostic codes: one row a code, each with its page in `explain/`.

use super::Severity;

/// A kind of finding, by its stable code.
#[derive(Debug)]
pub struct Code {
    /// `NXA` and three digits; never reused for another meaning.
    pub code: &'static str,
    /// A name that reads well after "allow".
    pub name: &'static str,
    /// How bad it is unless the finding itself says otherwise.
    pub severity: Severity,
    /// One line, lower case, no full stop.
    pub title: &'static str,
    /// The explanation, in Markdown.
    pub page: &'static str,
}

macro_rules! row {
    ($code:literal, $name:literal, $severity:ident, $title:literal) => {
        Code {
            code: $code,
            name: $name,
            severity: Severity::$severity,
            title: $title,
            page: include_str!(concat!("explain/", $code, ".md")),
        }
    };
}

/// Every code there is, in order.
pub static CODES: &[Code] = &[
    row!("NXA000", "syntax-error", Error, "the file is not valid Nix"),
    row!("NXA001", "unknown-key", Error, "a key that this place does not know"),
    row!("NXA002", "missing-key", Error, "a required key is missing"),
    row!("NXA003", "wrong-type", Error, "a value of the wrong type"),
    row!("NXA004", "deprecated-key", Warning, "an older name of a key"),
    row!("NXA005", "mutually-exclusive-keys", Error, "two keys that exclude each other"),
    row!("NXA006", "dropped-job", Error, "a job without steps"),
    row!("NXA010", "duplicate-attribute", Error, "an attribute defined twice"),
    row!("NXA011", "undefined-name", Error, "a variable that nothing defines"),
    row!("NXA012", "unused-binding", Warning, "a `let` binding that nothing uses"),
    row!("NXA013", "unused-argument", Warning, "an argument that the function does not use"),
    row!("NXA014", "redundant-with", Warning, "a `with` from which no name comes"),
    row!("NXA015", "redundant-rec", Warning, "a `rec` whose attributes do not refer to each other"),
    row!("NXA016", "legacy-let", Warning, "the old form `let { … }`"),
    row!("NXA017", "url-literal", Warning, "a URL without quotes"),
    row!("NXA018", "deprecated-builtin", Warning, "a builtin with a better successor"),
    row!("NXA020", "unoffered-argument", Error, "the file asks for an argument nobody offers"),
    row!("NXA021", "nixpkgs-not-found", Error, "`pkgs` is used but nixpkgs was not found"),
    row!("NXA022", "evaluation-error", Error, "evaluating the workflow failed"),
    row!("NXA023", "ambiguous-workflow", Error, "the file holds several workflows, or not the one asked for"),
    row!("NXA024", "invalid-input", Error, "an input that does not fit its declaration"),
    row!("NXA101", "unknown-need", Error, "`needs` names a job that does not exist"),
    row!("NXA102", "needs-cycle", Error, "jobs that need each other in a circle"),
    row!("NXA103", "duplicate-need", Warning, "a job needs the same job twice, or itself"),
    row!("NXA104", "unreachable-job", Warning, "a job that can never run"),
    row!("NXA105", "redundant-need", Hint, "a need that another need already waits for"),
    row!("NXA106", "name-collision", Error, "two things get the same name"),
    row!("NXA107", "invalid-name", Error, "a name that cannot be used as one"),
    row!("NXA109", "workflow-circle", Error, "workflows that use each other in a circle"),
    row!("NXA201", "duplicate-artifact", Error, "two jobs give the same artifact"),
    row!("NXA202", "input-without-producer", Error, "an input artifact that no job gives"),
    row!("NXA203", "producer-not-ancestor", Error, "an input artifact of a job that is not waited for"),
    row!("NXA204", "unused-artifact", Hint, "an artifact that no job takes"),
    row!("NXA205", "artifact-path-escape", Error, "an artifact path that leaves the job directory"),
    row!("NXA206", "unknown-result", Error, "a result that refers to nothing"),
    row!("NXA207", "invalid-cache", Error, "a cache that cannot be kept"),
    row!("NXA301", "invalid-duration", Error, "not a duration"),
    row!("NXA302", "timeout-over-budget", Hint, "a step that may take longer than its job or run"),
    row!("NXA303", "invalid-retry", Error, "a retry rule that cannot be followed"),
    row!("NXA304", "invalid-condition", Error, "a condition that cannot be read"),
    row!("NXA305", "constant-condition", Warning, "a condition that is the same whatever happens"),
    row!("NXA306", "impossible-condition", Warning, "a condition that can never be true here"),
    row!("NXA311", "invalid-matrix", Error, "a matrix that does not give what it seems to"),
    row!("NXA401", "invalid-env-name", Error, "not a name of an environment variable"),
    row!("NXA402", "invalid-env-value", Error, "a value that cannot be an environment variable"),
    row!("NXA403", "secret-literal", Warning, "a secret written into the file"),
    row!("NXA404", "undefined-variable", Hint, "a script uses a variable that nothing sets"),
    row!("NXA405", "repeated-variable", Hint, "a variable set again to the value it has"),
    row!("NXA406", "untrusted-interpolation", Warning, "a value from outside pasted into a script"),
    row!("NXA501", "shellcheck", Warning, "what shellcheck says of a script"),
    row!("NXA502", "missing-command", Hint, "a program that a pure job does not have"),
    row!("NXA503", "deprecated-argument", Warning, "an older name of what the library offers"),
    row!("NXA601", "executor-mismatch", Error, "executors that do not fit together"),
    row!("NXA602", "service-without-containers", Error, "a service with an image where no containers run"),
    row!("NXA701", "unused-suppression", Warning, "a comment that allows or expects what is not found"),
    row!("NXA702", "unknown-suppression", Warning, "a comment for nixactions that it does not understand"),
];

impl Code {
    /// Whether findings are about text that could be removed: editors show it faded.
    pub fn is_unnecessary(&self) -> bool {
        matches!(self.code, "NXA012" | "NXA013" | "NXA014" | "NXA015" | "NXA105" | "NXA405" | "NXA701")
    }

    /// Whether findings are about an old form: editors strike it through.
    pub fn is_deprecated(&self) -> bool {
        matches!(self.code, "NXA004" | "NXA016" | "NXA017" | "NXA018" | "NXA503")
    }

    /// The code with this name or number, in any case.
    pub fn find(text: &str) -> Option<&'static Code> {
        CODES.iter().find(|c| c.code.eq_ignore_ascii_case(text) || c.name.eq_ignore_ascii_case(text))
    }

    /// The text of the page's code blocks: what is wrong, then what is right.
    pub fn examples(&self) -> Vec<&'static str> {
        self.page
            .split("```nix\n")
            .skip(1)
            .filter_map(|rest| rest.split_once("```").map(|(example, _)| example))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        for pair in CODES.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
        }
        let mut names: Vec<_> = CODES.iter().map(|c| c.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
    }

    #[test]
    fn every_page_has_its_headings_and_two_examples() {
        for c in CODES {
            assert!(c.page.starts_with(&format!("# {}: {}\n", c.code, c.name)), "{}", c.code);
            for heading in ["What it is", "Why it is reported", "Example", "Use instead", "The way out"] {
                assert!(c.page.contains(&format!("\n## {heading}\n")), "{}: {heading}", c.code);
            }
            assert_eq!(c.examples().len(), 2, "{}", c.code);
            assert!(!c.title.ends_with('.'), "{}", c.code);
        }
    }

    #[test]
    fn codes_are_found_by_number_and_name() {
        assert_eq!(Code::find("nxa101").map(|c| c.name), Some("unknown-need"));
        assert_eq!(Code::find("needs-cycle").map(|c| c.code), Some("NXA102"));
        assert!(Code::find("NXA999").is_none());
    }
}
