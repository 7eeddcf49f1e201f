//! The chain of jobs that decided how long a run took.

use crate::engine::event::Timestamp;

/// What is to be known of a job: what it needs, by place, and when it ran.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    pub(super) needs: Vec<usize>,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
}

/// From the job that ended last back to the need that it waited for longest, and so on; first job
/// first. The way goes through skipped jobs, but they are not on it: they took no time. Empty when
/// nothing ran.
pub(super) fn critical_path(spans: &[Span]) -> Vec<usize> {
    let latest = |candidates: &mut dyn Iterator<Item = usize>| {
        candidates
            .filter_map(|job| Some((job, spans.get(job)?)))
            .filter(|(_, span)| span.finished.0 > 0)
            .max_by_key(|(_, span)| span.finished)
            .map(|(job, _)| job)
    };
    let mut path = Vec::new();
    let mut next = latest(&mut (0..spans.len()));
    // Needs have no cycles; a plan from elsewhere that had one must not keep us here.
    while let Some(job) = next.filter(|_| path.len() < spans.len()) {
        path.push(job);
        next = latest(&mut spans[job].needs.iter().copied());
    }
    path.retain(|job| spans[*job].started.0 > 0);
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(needs: &[usize], started: u64, finished: u64) -> Span {
        Span { needs: needs.to_vec(), started: Timestamp(started), finished: Timestamp(finished) }
    }

    #[test]
    fn it_follows_the_need_that_ended_last() {
        let spans = [span(&[], 1, 5), span(&[], 1, 9), span(&[0, 1], 9, 12), span(&[0], 5, 7)];
        assert_eq!(critical_path(&spans), [1, 2]);
        let skipped = [span(&[], 1, 5), span(&[0], 0, 5), span(&[1], 5, 6)];
        assert_eq!(critical_path(&skipped), [0, 2]);
        assert!(critical_path(&[span(&[], 0, 0)]).is_empty());
        assert_eq!(critical_path(&[span(&[1], 1, 3), span(&[0], 1, 2)]).len(), 2);
    }
}
