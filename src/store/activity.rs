//! What a daemon tells while it works: log lines and activities. (Nix: `libutil/logging.hh`.)

/// A field of an activity or result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

impl Field {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Field::Text(text) => Some(text),
            Field::Number(_) => None,
        }
    }
}

/// Kinds of activities that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A path is copied.
    CopyPath,
    /// A file is downloaded.
    FileTransfer,
    /// A derivation is built; the first field is its path.
    Build,
    /// A path is fetched from a substituter; the first field is the path.
    Substitute,
    /// Anything else.
    Other(u64),
}

impl From<u64> for Activity {
    fn from(n: u64) -> Activity {
        match n {
            100 => Activity::CopyPath,
            101 => Activity::FileTransfer,
            105 => Activity::Build,
            108 => Activity::Substitute,
            other => Activity::Other(other),
        }
    }
}

/// Result of an activity: a line of a build's log.
pub(super) const RESULT_BUILD_LINE: u64 = 101;
/// Result of an activity: a line of what runs after a build.
pub(super) const RESULT_POST_BUILD_LINE: u64 = 107;

/// Something a daemon told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A line for people.
    Line(String),
    /// An activity began.
    Started {
        /// Its number.
        id: u64,
        /// What it is.
        kind: Activity,
        /// For people; may be empty.
        text: String,
        /// What it is about.
        fields: Vec<Field>,
    },
    /// An activity ended.
    Stopped {
        /// Its number.
        id: u64,
    },
    /// A line of the log of a build that is an activity.
    LogLine {
        /// The build's activity.
        id: u64,
        /// The line.
        line: String,
    },
}

/// Takes what a daemon tells, in order.
pub trait Observer: Send {
    /// Takes one message.
    fn message(&mut self, message: Message);
}

/// Forgets what a daemon tells.
pub struct NoMessages;

impl Observer for NoMessages {
    fn message(&mut self, _: Message) {}
}

impl<F: FnMut(Message) + Send> Observer for F {
    fn message(&mut self, message: Message) {
        self(message);
    }
}
