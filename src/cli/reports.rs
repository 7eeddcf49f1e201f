//! The reports of a run besides what is shown while it goes: files, GitHub's annotations, telemetry.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::error::CliError;
use crate::engine::event::EventSink;
use crate::report::otlp::{self, Config};
use crate::report::{Document, Recorder, Tee, github};

/// Whether GitHub Actions runs us.
pub(super) fn on_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Which reports are wanted.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Reports")]
pub(super) struct ReportArgs {
    /// Write the run as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the run as one HTML page: graph, timeline, output, summaries
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write a status badge as SVG
    #[arg(long, value_name = "FILE")]
    badge: Option<PathBuf>,
}

/// The reports of a run that has not ended.
pub(super) struct Reports {
    documents: Vec<(Document, PathBuf)>,
    telemetry: Option<Config>,
    on_github: bool,
    recorder: Option<Arc<Recorder>>,
}

impl ReportArgs {
    /// Says now what could not be done at the end; nothing runs then.
    pub(super) fn begin(&self) -> Result<Reports, CliError> {
        let files =
            [(Document::Junit, &self.junit), (Document::Html, &self.report), (Document::Badge, &self.badge)];
        let documents: Vec<(Document, PathBuf)> =
            files.into_iter().filter_map(|(document, path)| Some((document, path.clone()?))).collect();
        for (_, path) in &documents {
            Document::probe(path).map_err(|e| CliError::Usage(e.to_string()))?;
        }
        let telemetry = Config::read(&|name| std::env::var(name).ok());
        let telemetry = telemetry.map_err(|e| CliError::Usage(e.to_string()))?;
        let on_github = on_github();
        let wanted = !documents.is_empty() || telemetry.is_some() || on_github;
        Ok(Reports { documents, telemetry, on_github, recorder: wanted.then(Arc::default) })
    }
}

impl Reports {
    /// The sink that serves these reports too.
    pub(super) fn with(&self, shown: Arc<dyn EventSink>) -> Arc<dyn EventSink> {
        match &self.recorder {
            Some(recorder) => Arc::new(Tee(vec![shown, Arc::clone(recorder) as Arc<dyn EventSink>])),
            None => shown,
        }
    }

    /// Writes and sends the reports. All are tried; what failed is said at once. Telemetry and
    /// annotations are an extra: when they fail, the run's own result stands.
    pub(super) fn end(&self) -> Result<(), CliError> {
        let Some(recorder) = &self.recorder else { return Ok(()) };
        let record = recorder.record();
        let mut failed = Vec::new();
        for (document, path) in &self.documents {
            failed.extend(document.write(&record, path).err().map(|e| e.to_string()));
        }
        if self.on_github {
            let summary = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from);
            match github(&record, summary.as_deref()) {
                // GitHub reads both streams; on this one a JSON report is not disturbed.
                Ok(annotations) => eprint!("{annotations}"),
                Err(e) => eprintln!("warning: {e}"),
            }
        }
        if let Some(Err(e)) = self.telemetry.as_ref().map(|config| otlp::send(&record, config)) {
            eprintln!("warning: {e}");
        }
        if failed.is_empty() { Ok(()) } else { Err(CliError::Infrastructure(failed.join("\n"))) }
    }
}
