//! Lines of the form `[2026-01-31T12:00:00.123456Z] [workflow:ci] [job:test] [step:unit] text`.

use std::sync::Mutex;

use super::lines::Prefix;
use super::message::Line;
use crate::engine::event::Timestamp;

/// The structured format. It keeps the text of the current second: most lines share it.
#[derive(Default)]
pub(super) struct Structured {
    second: Mutex<(u64, Vec<u8>)>,
}

impl Prefix for Structured {
    fn write(&self, time: Timestamp, workflow: &str, line: &Line<'_>, out: &mut Vec<u8>) {
        let mut cache = self.second.lock().unwrap_or_else(|e| e.into_inner());
        let (second, text) = &mut *cache;
        if *second != time.0 / 1_000_000 || text.is_empty() {
            *second = time.0 / 1_000_000;
            text.clear();
            let whole = Timestamp(*second * 1_000_000).to_string();
            text.extend_from_slice(whole.split('.').next().unwrap_or_default().as_bytes());
        }
        out.push(b'[');
        out.extend_from_slice(text);
        out.push(b'.');
        let mut micros = time.0 % 1_000_000;
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit += (micros % 10) as u8;
            micros /= 10;
        }
        out.extend_from_slice(&digits);
        out.extend_from_slice(b"Z] [workflow:");
        out.extend_from_slice(workflow.as_bytes());
        if let Some(job) = line.job {
            out.extend_from_slice(b"] [job:");
            out.extend_from_slice(job.as_bytes());
        }
        if let Some(step) = line.step {
            out.extend_from_slice(b"] [step:");
            out.extend_from_slice(step.name.as_bytes());
        }
        out.extend_from_slice(b"] ");
    }
}
