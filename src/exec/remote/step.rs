//! Running a step: its streams, its end, and the signals that hurry it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::host::{Host, PostMortem, Reader, Session};
use super::marker::{Scanner, Verdict};
use super::program;
use crate::engine::event::{StepEnd, Stream};
use crate::engine::executor::{Cancel, ExecError, OutputSink, StopPolicy};

/// Bytes taken from a stream at a time.
const CHUNK: usize = 64 * 1024;
/// How long the streams may stay silent after the step's end, held open by what it left running.
const LINGER_SILENCE: Duration = Duration::from_millis(250);
/// How long they are listened to in all then.
const LINGER_LIMIT: Duration = Duration::from_secs(2);
/// How long a killed step's supervisor may take to say so.
const LAST_WORD: Duration = Duration::from_secs(10);
/// How long a lost connection is tried to be made again.
const RECONNECT: Duration = Duration::from_secs(60);

/// A step to run.
pub(super) struct Run<'a> {
    pub(super) host: &'a dyn Host,
    /// The program, for a `sh` that reads it from its standard input.
    pub(super) program: Vec<u8>,
    pub(super) token: &'a str,
    pub(super) tag: &'a str,
    /// Prefix of the step's files on the other side.
    pub(super) prefix: &'a str,
    pub(super) timeout: Option<Duration>,
    pub(super) stop: StopPolicy,
    pub(super) sink: &'a dyn OutputSink,
    pub(super) cancel: &'a Cancel,
}

/// How it ended.
pub(super) struct Ended {
    pub(super) end: StepEnd,
    /// What the supervisor said, when that was heard at first hand.
    pub(super) verdict: Option<Verdict>,
    /// Bytes that it printed.
    pub(super) printed: u64,
}

/// The signals still to come, and when.
struct Ladder {
    end: StepEnd,
    rungs: Vec<(Instant, &'static str)>,
}

impl Ladder {
    fn cancel(stop: &StopPolicy) -> Ladder {
        let now = Instant::now();
        let term = now + stop.interrupt;
        Ladder {
            end: StepEnd::Cancelled,
            rungs: vec![(term + stop.terminate, "KILL"), (term, "TERM"), (now, "INT")],
        }
    }

    fn timeout(stop: &StopPolicy) -> Ladder {
        let now = Instant::now();
        Ladder { end: StepEnd::Timeout, rungs: vec![(now + stop.timeout_grace, "KILL"), (now, "TERM")] }
    }

    fn hurry(&mut self) {
        self.rungs = vec![(Instant::now(), "KILL")];
    }

    fn next(&self) -> Option<Instant> {
        self.rungs.last().map(|rung| rung.0)
    }
}

/// What was received of the two streams.
#[derive(Default)]
struct Received {
    out: u64,
    err: u64,
}

/// The open ends of a session.
struct Streams {
    out: Option<Reader>,
    err: Option<Reader>,
    buffers: [Vec<u8>; 2],
}

impl Streams {
    /// Completes when something came, or a stream ended.
    async fn turn(&mut self, scanner: &mut Scanner, received: &mut Received, sink: &dyn OutputSink) {
        let [out_buffer, err_buffer] = &mut self.buffers;
        tokio::select! {
            read = read(&mut self.out, out_buffer) => match read {
                0 => self.out = None,
                n => {
                    received.out += n as u64;
                    sink.write(Stream::Stdout, &out_buffer[..n]);
                }
            },
            read = read(&mut self.err, err_buffer) => {
                let mut pass = |bytes: &[u8]| {
                    received.err += bytes.len() as u64;
                    sink.write(Stream::Stderr, bytes);
                };
                match read {
                    0 => {
                        scanner.finish(pass);
                        self.err = None;
                    }
                    n => scanner.push(&err_buffer[..n], &mut pass),
                }
            },
        }
    }

    fn ended(&self) -> bool {
        self.out.is_none() && self.err.is_none()
    }

    /// Keeps reading for processes that outlive their step: a server must not die because nobody
    /// listens any more.
    fn discard_rest(mut self) {
        struct Nobody;
        impl OutputSink for Nobody {
            fn write(&self, _: Stream, _: &[u8]) {}
        }
        tokio::spawn(async move {
            let (mut scanner, mut received) = (Scanner::new(""), Received::default());
            while !self.ended() {
                self.turn(&mut scanner, &mut received, &Nobody).await;
            }
        });
    }
}

async fn read(reader: &mut Option<Reader>, buffer: &mut [u8]) -> usize {
    match reader {
        // A broken stream has ended; the session's own end tells why.
        Some(reader) => reader.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// What became of one session.
enum Heard {
    Verdict(Verdict),
    /// The session ended before the supervisor said anything.
    Lost(ExecError),
}

impl Run<'_> {
    /// Runs it to its end, over as many connections as that takes.
    pub(super) async fn run(&self) -> Ended {
        let mut received = Received::default();
        let mut ladder = None;
        let mut deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let mut program = self.program.clone();
        let mut first = true;
        loop {
            let session = tokio::select! {
                session = self.host.open(&["env", "-i", "sh"]) => session,
                () = self.cancel.cancelled(), if first => return ended(StepEnd::Cancelled, 0),
            };
            let heard = match session {
                Ok(session) => self.listen(session, program, &mut received, &mut ladder, &mut deadline).await,
                Err(error) => Heard::Lost(error),
            };
            let printed = received.out + received.err;
            match heard {
                Heard::Verdict(verdict) => {
                    let end = self.end(&verdict, ladder).await;
                    return Ended { end, verdict: first.then_some(verdict), printed };
                }
                Heard::Lost(error) if first && printed == 0 && !self.host.may_reconnect() => {
                    return ended(self.lost(error, ladder).await, printed);
                }
                Heard::Lost(error) => {
                    if !self.host.may_reconnect() || self.reconnect().await.is_err() {
                        return ended(self.lost(error, ladder).await, printed);
                    }
                }
            }
            first = false;
            program = program::attach(self.prefix, self.token, received.out, received.err).into_bytes();
        }
    }

    /// Feeds and reads one session until the supervisor's word and the end of what was printed.
    async fn listen(
        &self,
        session: Session,
        program: Vec<u8>,
        received: &mut Received,
        ladder: &mut Option<Ladder>,
        deadline: &mut Option<Instant>,
    ) -> Heard {
        let Session { mut stdin, stdout, stderr, end } = session;
        let mut streams =
            Streams { out: Some(stdout), err: Some(stderr), buffers: [vec![0; CHUNK], vec![0; CHUNK]] };
        let mut scanner = Scanner::new(self.token);
        let feed = async move {
            // A failure shows in the streams.
            let _unread = stdin.write_all(&program).await;
            let _unread = stdin.shutdown().await;
        };
        tokio::pin!(feed);
        let (mut fed, mut killed) = (false, false);
        let mut give_up = None;
        while scanner.verdict().is_none() && !streams.ended() {
            let next = ladder.as_ref().map_or(*deadline, Ladder::next);
            tokio::select! {
                biased;
                () = self.cancel.killed(), if !killed => {
                    killed = true;
                    ladder.get_or_insert_with(|| Ladder::cancel(&self.stop)).hurry();
                }
                () = self.cancel.cancelled(), if ladder.is_none() => *ladder = Some(Ladder::cancel(&self.stop)),
                () = at(next), if next.is_some() => match ladder {
                    None => {
                        *deadline = None;
                        *ladder = Some(Ladder::timeout(&self.stop));
                    }
                    Some(ladder) => {
                        let (due, signal) = ladder.rungs.pop().unwrap_or((Instant::now(), "KILL"));
                        // The streams must be read meanwhile, or a full pipe would hold the step up.
                        let send = self.signal(signal);
                        tokio::pin!(send);
                        loop {
                            tokio::select! {
                                _ = &mut send => break,
                                () = streams.turn(&mut scanner, received, self.sink), if !streams.ended() => {}
                            }
                        }
                        // Grace is counted from when a signal has arrived, however slow the way is.
                        let late = Instant::now() - due;
                        ladder.rungs.iter_mut().for_each(|rung| rung.0 += late);
                        if signal == "KILL" {
                            give_up = Some(Instant::now() + LAST_WORD);
                        }
                    }
                },
                () = at(give_up), if give_up.is_some() => break,
                () = &mut feed, if !fed => fed = true,
                () = streams.turn(&mut scanner, received, self.sink) => {}
            }
        }
        if let Some(verdict) = scanner.verdict().cloned() {
            self.linger(&mut streams, &mut scanner, received).await;
            if !self.host.may_reconnect() {
                streams.discard_rest();
            }
            return Heard::Verdict(verdict);
        }
        let error = match tokio::time::timeout(LAST_WORD, end).await {
            Ok(Ok(code)) => {
                let message = format!("{} ended the step's session (exit code {code})", self.host.describe());
                ExecError::infrastructure(message)
            }
            Ok(Err(error)) => error,
            Err(_) => ExecError::infrastructure(format!("{} does not answer", self.host.describe())),
        };
        Heard::Lost(error)
    }

    /// Takes what is still on its way. The step itself has printed all; others that hold its
    /// streams are not waited for.
    async fn linger(&self, streams: &mut Streams, scanner: &mut Scanner, received: &mut Received) {
        let limit = Instant::now() + LINGER_LIMIT;
        let mut wanted: Option<(u64, u64)> = None;
        while !streams.ended() {
            let turn = streams.turn(scanner, received, self.sink);
            let quiet = tokio::time::timeout(LINGER_SILENCE, turn).await.is_err();
            match wanted {
                // Where output is kept, its length tells whether all of it has come.
                Some((out, err)) if received.out >= out && received.err >= err => return,
                Some(_) => {}
                None if quiet || Instant::now() >= limit => match self.kept().await {
                    Some(lengths) => wanted = Some(lengths),
                    None => return,
                },
                None => {}
            }
        }
    }

    /// Lengths of what the other side has kept of the two streams.
    async fn kept(&self) -> Option<(u64, u64)> {
        if !self.host.may_reconnect() {
            return None;
        }
        let prefix = program::word(self.prefix);
        let program = format!("wc -c <{prefix}.out; wc -c <{prefix}.err");
        let done = self.host.urgent(&program, &Cancel::new()).await.ok()?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let mut numbers = text.split_whitespace().filter_map(|n| n.parse().ok());
        Some((numbers.next()?, numbers.next()?))
    }

    async fn signal(&self, signal: &str) -> Vec<String> {
        let program = program::signal(self.tag, signal);
        match self.host.urgent(&program, &Cancel::new()).await {
            Ok(done) => String::from_utf8_lossy(&done.stdout).split_whitespace().map(str::to_owned).collect(),
            // An unreachable host shows in the session itself.
            Err(_) => Vec::new(),
        }
    }

    async fn end(&self, verdict: &Verdict, ladder: Option<Ladder>) -> StepEnd {
        if let Some(ladder) = ladder {
            let stuck = self.clear(&ladder).await;
            if !stuck.is_empty() {
                let message =
                    format!("processes that cannot be killed are left running: {}", stuck.join(", "));
                return StepEnd::Infrastructure { message };
            }
            return ladder.end;
        }
        let host = self.host.describe();
        match verdict.kind {
            b'x' => match verdict.code {
                // A shell gives 128 and the number for a child that a signal ended.
                code @ 129..=192 => {
                    if code == 137
                        && let Some(PostMortem::OutOfMemory(why)) = self.host.post_mortem().await
                    {
                        self.say(&why);
                    }
                    StepEnd::Signal { signal: code - 128 }
                }
                code => StepEnd::Exit { code },
            },
            b'd' => infrastructure(format!("the working directory of the step does not exist on {host}")),
            b'p' => infrastructure(format!(
                "there is no such program on the PATH of the step on {host}: its shell"
            )),
            b'w' => infrastructure(format!("the step's script cannot be written on {host}; is it full?")),
            _ => infrastructure(format!("the step is lost: {host} no longer runs it")),
        }
    }

    /// Gives what else the step started the rest of the ladder.
    async fn clear(&self, ladder: &Ladder) -> Vec<String> {
        let members = program::members(self.tag);
        let mut rungs = ladder.rungs.clone();
        while let Some((next, signal)) = rungs.pop() {
            while Instant::now() < next && !self.cancel.is_killed() {
                match self.host.urgent(&members, &Cancel::new()).await {
                    Ok(done) if done.stdout.trim_ascii().is_empty() => return Vec::new(),
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            if signal != "KILL" {
                self.signal(signal).await;
            }
        }
        self.signal("KILL").await
    }

    async fn lost(&self, error: ExecError, ladder: Option<Ladder>) -> StepEnd {
        if let Some(ladder) = ladder {
            return ladder.end;
        }
        match self.host.post_mortem().await {
            Some(PostMortem::OutOfMemory(why)) => {
                self.say(&why);
                StepEnd::Signal { signal: 9 }
            }
            Some(PostMortem::Gone(why)) => infrastructure(why),
            None => infrastructure(error.message),
        }
    }

    /// Adds a line to what the step printed.
    fn say(&self, what: &str) {
        self.sink.write(Stream::Stderr, format!("nixactions: {what}\n").as_bytes());
    }

    async fn reconnect(&self) -> Result<(), ()> {
        let limit = Instant::now() + RECONNECT;
        let mut pause = Duration::from_millis(100);
        loop {
            tokio::select! {
                done = self.host.reconnect() => if done.is_ok() { return Ok(()) },
                () = self.cancel.killed() => return Err(()),
            }
            if Instant::now() + pause >= limit {
                return Err(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

fn infrastructure(message: String) -> StepEnd {
    StepEnd::Infrastructure { message }
}

fn ended(end: StepEnd, printed: u64) -> Ended {
    Ended { end, verdict: None, printed }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
