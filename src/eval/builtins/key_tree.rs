//! The set of keys that `genericClosure` has seen.
//!
//! A red-black tree that makes the comparisons C++ Nix makes, which keeps the keys in a `std::map`:
//! keys need not be comparable with each other, and which of them are compared decides whether an
//! evaluation fails, and what it then says.

use crate::eval::value::{Res, Value};

const NONE: usize = usize::MAX;

struct Node<'h> {
    key: Value<'h>,
    item: Value<'h>,
    red: bool,
    parent: usize,
    /// The subtrees of smaller and of larger keys.
    child: [usize; 2],
}

/// Keys with the elements they belong to.
pub(super) struct KeyTree<'h> {
    nodes: Vec<Node<'h>>,
    root: usize,
}

impl Default for KeyTree<'_> {
    fn default() -> Self {
        KeyTree { nodes: Vec::new(), root: NONE }
    }
}

impl<'h> KeyTree<'h> {
    /// Adds a key; whether it is a new one.
    ///
    /// # Errors
    /// The error of a comparison; nothing is added.
    pub(super) fn insert(
        &mut self,
        key: Value<'h>,
        item: Value<'h>,
        less: &mut dyn FnMut(Value<'h>, Value<'h>) -> Res<bool>,
    ) -> Res<bool> {
        let (mut at, mut parent, mut side) = (self.root, NONE, 0);
        // The last node that is not larger: the only one that can be equal.
        let mut before = NONE;
        while at != NONE {
            parent = at;
            side = usize::from(!less(key, self.nodes[at].key)?);
            if side == 1 {
                before = at;
            }
            at = self.nodes[at].child[side];
        }
        if before != NONE && !less(self.nodes[before].key, key)? {
            return Ok(false);
        }
        let new = self.nodes.len();
        self.nodes.push(Node { key, item, red: true, parent, child: [NONE, NONE] });
        match parent {
            NONE => self.root = new,
            parent => self.nodes[parent].child[side] = new,
        }
        self.rebalance(new);
        Ok(true)
    }

    fn side_of(&self, at: usize, parent: usize) -> usize {
        usize::from(self.nodes[parent].child[1] == at)
    }

    fn is_red(&self, at: usize) -> bool {
        at != NONE && self.nodes[at].red
    }

    fn rebalance(&mut self, mut at: usize) {
        loop {
            let parent = self.nodes[at].parent;
            if !self.is_red(parent) {
                break;
            }
            // A red node is not the root, so it has a parent.
            let grand = self.nodes[parent].parent;
            let side = self.side_of(parent, grand);
            let uncle = self.nodes[grand].child[1 - side];
            if self.is_red(uncle) {
                self.nodes[parent].red = false;
                self.nodes[uncle].red = false;
                self.nodes[grand].red = true;
                at = grand;
                continue;
            }
            if self.side_of(at, parent) != side {
                self.rotate(parent, side);
                at = parent;
            }
            let parent = self.nodes[at].parent;
            self.nodes[parent].red = false;
            self.nodes[grand].red = true;
            self.rotate(grand, 1 - side);
        }
        let root = self.root;
        self.nodes[root].red = false;
    }

    /// Moves a node down to this side; its child of the other side takes its place.
    fn rotate(&mut self, at: usize, side: usize) {
        let up = self.nodes[at].child[1 - side];
        let inner = self.nodes[up].child[side];
        let parent = self.nodes[at].parent;
        self.nodes[at].child[1 - side] = inner;
        if inner != NONE {
            self.nodes[inner].parent = at;
        }
        self.nodes[up].parent = parent;
        match parent {
            NONE => self.root = up,
            parent => {
                let of = self.side_of(at, parent);
                self.nodes[parent].child[of] = up;
            }
        }
        self.nodes[up].child[side] = at;
        self.nodes[at].parent = up;
    }

    /// The keys in order, with their elements.
    pub(super) fn in_order(&self) -> Vec<(Value<'h>, Value<'h>)> {
        let mut out = Vec::with_capacity(self.nodes.len());
        let mut path = Vec::new();
        let mut at = self.root;
        while at != NONE || !path.is_empty() {
            while at != NONE {
                path.push(at);
                at = self.nodes[at].child[0];
            }
            let Some(node) = path.pop() else { break };
            out.push((self.nodes[node].key, self.nodes[node].item));
            at = self.nodes[node].child[1];
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::SpanId;

    fn int(v: Value<'_>) -> i64 {
        match v {
            Value::Int(_, n) => n,
            _ => 0,
        }
    }

    #[test]
    fn keys_are_kept_once_in_order_and_at_little_depth() {
        let mut tree = KeyTree::default();
        let mut compared = 0;
        for i in 0..2000i64 {
            let v = Value::Int(SpanId::NONE, (i * 7919) % 1500);
            let new = tree.insert(v, v, &mut |a, b| {
                compared += 1;
                Ok(int(a) < int(b))
            });
            assert_eq!(new.ok(), Some(i < 1500));
        }
        let keys: Vec<i64> = tree.in_order().into_iter().map(|(k, _)| int(k)).collect();
        assert_eq!(keys, (0..1500).collect::<Vec<_>>());
        // Twice the logarithm is the most that a red-black tree is deep.
        assert!(compared < 2000 * (2 * 11 + 2), "{compared}");
    }
}
