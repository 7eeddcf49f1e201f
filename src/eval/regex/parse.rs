//! From the text of an expression to a program.

use super::{ByteSet, Inst, Regex};

/// Why an expression is not valid.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SyntaxError {
    /// It does not follow the grammar.
    #[error("invalid regular expression")]
    Invalid,
    /// Its bounds would make the program too large.
    #[error("regular expression is too large")]
    TooLarge,
}

use SyntaxError::Invalid;

/// Instructions of a program at most.
const MAX_PROGRAM: usize = 200_000;
/// Nested groups at most.
const MAX_DEPTH: u32 = 1000;

enum Node {
    Empty,
    Byte(u8),
    Set(ByteSet),
    Start,
    End,
    Group(u32, Box<Node>),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat { node: Box<Node>, min: u32, max: Option<u32> },
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    groups: u32,
    depth: u32,
}

pub(super) fn compile(text: &[u8]) -> Result<Regex, SyntaxError> {
    let mut p = Parser { text, at: 0, groups: 0, depth: 0 };
    let node = p.alternatives()?;
    if p.at != text.len() {
        return Err(Invalid);
    }
    let groups = p.groups as usize;
    let mut e = Emitter { program: Vec::new(), slots: 2 * groups as u32 };
    e.emit(&node)?;
    e.program.push(Inst::Accept);
    let mut first = ByteSet::empty();
    let first = if starts(&node, &mut first) { None } else { Some(first) };
    Ok(Regex { program: e.program, groups, slots: e.slots as usize, first })
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, b: u8) -> bool {
        let hit = self.peek() == Some(b);
        self.at += usize::from(hit);
        hit
    }

    fn alternatives(&mut self) -> Result<Node, SyntaxError> {
        let mut all = vec![self.sequence()?];
        while self.take(b'|') {
            all.push(self.sequence()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Either(all) })
    }

    fn sequence(&mut self) -> Result<Node, SyntaxError> {
        let mut all = Vec::new();
        while let Some(b) = self.peek() {
            if b == b'|' || (b == b')' && self.depth > 0) {
                break;
            }
            let atom = self.atom()?;
            let anchor = matches!(atom, Node::Start | Node::End);
            let node = if anchor { atom } else { self.repeats(atom)? };
            all.push(node);
        }
        Ok(match all.len() {
            0 => Node::Empty,
            1 => all.remove(0),
            _ => Node::Sequence(all),
        })
    }

    fn atom(&mut self) -> Result<Node, SyntaxError> {
        let b = self.peek().ok_or(Invalid)?;
        self.at += 1;
        match b {
            b'(' => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(SyntaxError::TooLarge);
                }
                let index = self.groups;
                self.groups += 1;
                let inner = self.alternatives()?;
                if !self.take(b')') {
                    return Err(Invalid);
                }
                self.depth -= 1;
                Ok(Node::Group(index, Box::new(inner)))
            }
            b'[' => self.bracket(),
            b'.' => {
                let mut set = ByteSet::empty();
                set.add(0);
                set.invert();
                Ok(Node::Set(set))
            }
            b'^' => Ok(Node::Start),
            b'$' => Ok(Node::End),
            b'\\' => {
                let c = self.peek().ok_or(Invalid)?;
                self.at += 1;
                if b"^.*[]$()\\+?{}|".contains(&c) && c != b']' { Ok(Node::Byte(c)) } else { Err(Invalid) }
            }
            b'*' | b'+' | b'?' | b'{' | b')' => Err(Invalid),
            b => Ok(Node::Byte(b)),
        }
    }

    fn repeats(&mut self, mut node: Node) -> Result<Node, SyntaxError> {
        loop {
            let (min, max) = match self.peek() {
                Some(b'*') => (0, None),
                Some(b'+') => (1, None),
                Some(b'?') => (0, Some(1)),
                Some(b'{') => {
                    self.at += 1;
                    let bounds = self.bounds()?;
                    node = Node::Repeat { node: Box::new(node), min: bounds.0, max: bounds.1 };
                    continue;
                }
                _ => return Ok(node),
            };
            self.at += 1;
            node = Node::Repeat { node: Box::new(node), min, max };
        }
    }

    fn number(&mut self) -> Option<u32> {
        let digits = self.text[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.text[self.at..self.at + digits]).ok()?;
        self.at += digits;
        text.parse().ok()
    }

    fn bounds(&mut self) -> Result<(u32, Option<u32>), SyntaxError> {
        let min = self.number().ok_or(Invalid)?;
        let max = if self.take(b',') {
            if self.peek() == Some(b'}') { None } else { Some(self.number().ok_or(Invalid)?) }
        } else {
            Some(min)
        };
        if !self.take(b'}') || max.is_some_and(|m| m < min) {
            return Err(Invalid);
        }
        Ok((min, max))
    }

    fn bracket(&mut self) -> Result<Node, SyntaxError> {
        let negated = self.take(b'^');
        let mut set = ByteSet::empty();
        let mut first = true;
        loop {
            let b = self.peek().ok_or(Invalid)?;
            if b == b']' && !first {
                self.at += 1;
                break;
            }
            first = false;
            let Some(low) = self.bracket_item(&mut set)? else { continue };
            let is_range =
                self.peek() == Some(b'-') && self.text.get(self.at + 1).is_some_and(|&b| b != b']');
            if !is_range {
                set.add(low);
                continue;
            }
            self.at += 1;
            let high = self.bracket_item(&mut set)?.ok_or(Invalid)?;
            if high < low {
                return Err(Invalid);
            }
            (low..=high).for_each(|b| set.add(b));
        }
        if negated {
            set.invert();
        }
        Ok(Node::Set(set))
    }

    /// One byte of a bracket expression, or `None` for a class, which goes into the set at once.
    fn bracket_item(&mut self, set: &mut ByteSet) -> Result<Option<u8>, SyntaxError> {
        let b = self.peek().ok_or(Invalid)?;
        self.at += 1;
        if b != b'[' {
            return Ok(Some(b));
        }
        let kind = match self.peek() {
            Some(k @ (b':' | b'.' | b'=')) => k,
            _ => return Ok(Some(b)),
        };
        self.at += 1;
        let rest = &self.text[self.at..];
        let end = rest.windows(2).position(|w| w == [kind, b']']).ok_or(Invalid)?;
        let name = &rest[..end];
        self.at += end + 2;
        if kind != b':' {
            let named = super::names::byte(name).ok_or(Invalid)?;
            if kind == b'.' {
                return Ok(Some(named));
            }
            set.add(named);
            return Ok(None);
        }
        let test: fn(&u8) -> bool = match name {
            b"alpha" => u8::is_ascii_alphabetic,
            b"digit" | b"d" => u8::is_ascii_digit,
            b"alnum" => u8::is_ascii_alphanumeric,
            b"upper" => u8::is_ascii_uppercase,
            b"lower" => u8::is_ascii_lowercase,
            b"space" | b"s" => |b| b.is_ascii_whitespace() || *b == 0x0b,
            b"blank" => |b| matches!(b, b' ' | b'\t'),
            b"punct" => u8::is_ascii_punctuation,
            b"print" => |b| (0x20..0x7f).contains(b),
            b"graph" => u8::is_ascii_graphic,
            b"cntrl" => u8::is_ascii_control,
            b"xdigit" => u8::is_ascii_hexdigit,
            b"w" => |b| b.is_ascii_alphanumeric() || *b == b'_',
            _ => return Err(Invalid),
        };
        (0..=255u8).filter(test).for_each(|b| set.add(b));
        Ok(None)
    }
}

struct Emitter {
    program: Vec<Inst>,
    slots: u32,
}

impl Emitter {
    fn here(&self) -> u32 {
        self.program.len() as u32
    }

    fn push(&mut self, i: Inst) -> Result<u32, SyntaxError> {
        if self.program.len() >= MAX_PROGRAM {
            return Err(SyntaxError::TooLarge);
        }
        self.program.push(i);
        Ok(self.here() - 1)
    }

    fn emit(&mut self, node: &Node) -> Result<(), SyntaxError> {
        match node {
            Node::Empty => {}
            Node::Byte(b) => {
                self.push(Inst::Byte(*b))?;
            }
            Node::Set(s) => {
                self.push(Inst::Set(Box::new(s.clone())))?;
            }
            Node::Start => {
                self.push(Inst::Start)?;
            }
            Node::End => {
                self.push(Inst::End)?;
            }
            Node::Group(i, inner) => {
                self.push(Inst::Save(2 * i))?;
                self.emit(inner)?;
                self.push(Inst::Save(2 * i + 1))?;
            }
            Node::Sequence(all) => {
                for n in all {
                    self.emit(n)?;
                }
            }
            Node::Either(all) => self.emit_either(all)?,
            Node::Repeat { node, min, max } => self.emit_repeat(node, *min, *max)?,
        }
        Ok(())
    }

    fn emit_either(&mut self, all: &[Node]) -> Result<(), SyntaxError> {
        let mut jumps = Vec::new();
        for (i, n) in all.iter().enumerate() {
            if i + 1 == all.len() {
                self.emit(n)?;
                break;
            }
            let split = self.push(Inst::Split(0, 0))?;
            self.emit(n)?;
            jumps.push(self.push(Inst::Jump(0))?);
            self.program[split as usize] = Inst::Split(split + 1, self.here());
        }
        let end = self.here();
        for j in jumps {
            self.program[j as usize] = Inst::Jump(end);
        }
        Ok(())
    }

    fn emit_repeat(&mut self, node: &Node, min: u32, max: Option<u32>) -> Result<(), SyntaxError> {
        for _ in 0..min {
            self.emit(node)?;
        }
        let Some(max) = max else {
            let slot = self.slots;
            self.slots += 1;
            let split = self.push(Inst::Split(0, 0))?;
            self.push(Inst::Save(slot))?;
            self.emit(node)?;
            let again = self.push(Inst::Again { slot, head: split, out: 0 })?;
            let out = self.here();
            self.program[split as usize] = Inst::Split(split + 1, out);
            self.program[again as usize] = Inst::Again { slot, head: split, out };
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in min..max {
            splits.push(self.push(Inst::Split(0, 0))?);
            self.emit(node)?;
        }
        let out = self.here();
        for s in splits {
            self.program[s as usize] = Inst::Split(s + 1, out);
        }
        Ok(())
    }
}

/// Adds the bytes a match can begin with; returns whether it can be empty.
fn starts(node: &Node, set: &mut ByteSet) -> bool {
    match node {
        Node::Empty | Node::Start | Node::End => true,
        Node::Byte(b) => {
            set.add(*b);
            false
        }
        Node::Set(s) => {
            set.union(s);
            false
        }
        Node::Group(_, inner) => starts(inner, set),
        Node::Sequence(all) => all.iter().all(|n| starts(n, set)),
        Node::Either(all) => all.iter().fold(false, |empty, n| starts(n, set) | empty),
        Node::Repeat { node, min, .. } => starts(node, set) | (*min == 0),
    }
}
