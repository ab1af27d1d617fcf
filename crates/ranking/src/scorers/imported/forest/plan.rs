//! How each tree is laid out for evaluation. It must not know instructions.
//!
//! A tree of up to 1,024 leaves is laid out by masks, after QuickScorer (Lucchese et al., "QuickScorer: a Fast Algorithm to
//! Rank Documents with Additive Ensembles of Regression Trees", 2015): a test that fails strikes out the leaves of its
//! first branch, and the first leaf that is left when all tests have been asked is the row's. As in RapidScorer (Ye et
//! al., 2018) a row's leaves are bits that lie eight to a byte, a byte of 64 rows is a register, and a test touches
//! only the bytes that hold leaves of its first branch. Here the smaller branch comes first, so that nearly every test
//! touches one byte; and the tests of one byte stand together, so that it stays in a register.

use super::{
    bins::Bins,
    tree::{Binary, Levels, Next, Problem, Tree},
};

/// How many rows are evaluated at a time.
pub(super) const ROWS: usize = 128;
/// A byte of each of them.
pub(super) type Lane = [u8; ROWS];

/// How many leaves a tree of masks may have.
const MOST_LEAVES: usize = 1024;
/// How many questions a tree of levels may have; deeper ones are spread.
const MOST_LEVELS: usize = 8;
/// What marks a leaf in [`Node::next`].
pub(super) const LEAF: u32 = 1 << 31;

/// A test, and what is done where it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    /// Which column of bytes it reads.
    pub(super) column: u16,
    /// What the byte is compared with.
    pub(super) at: u8,
    /// The leaves that are left of eight, or the bit that is set.
    pub(super) bits: u8,
}

/// The tests of eight leaves: where they end among the forest's, those that strike out above and those that do so at
/// most at their byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// The end of the first.
    pub(super) above: u32,
    /// The end of the second.
    pub(super) below: u32,
}

/// A test of a tree that is walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Which column of bytes it reads.
    pub(super) column: u16,
    /// The highest byte that goes left.
    pub(super) at: u8,
    /// Left and right: a node of the forest, or a leaf of the tree with [`LEAF`].
    pub(super) next: [u32; 2],
}

/// How one tree is evaluated; all positions are among the forest's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// By masks: its groups, where its tests start.
    Masks { first: u32, end: u32, tests: u32 },
    /// By levels: its tests.
    Levels { first: u32, end: u32 },
    /// By walking from this.
    Walk { root: u32 },
}

/// One tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Laid {
    pub(super) shape: Shape,
    /// Where its leaves start.
    pub(super) leaves: u32,
    /// How many places they take: a power of two, 8 or more, where the shape gives a byte.
    pub(super) places: u32,
}

/// A forest as it is evaluated.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) bins: Bins,
    pub(super) trees: Vec<Laid>,
    pub(super) groups: Vec<Group>,
    pub(super) tests: Vec<Test>,
    pub(super) nodes: Vec<Node>,
    pub(super) leaves: Vec<f64>,
}

/// Gives the column and the highest byte that goes left.
type Find<'a> = &'a dyn Fn(u32, f32, super::Missing) -> (u16, u8);

impl Plan {
    /// Lays out checked trees.
    pub(super) fn new(trees: Vec<Tree>) -> Result<Self, Problem> {
        let tests = trees.iter().flat_map(|tree| -> Box<dyn Iterator<Item = _>> {
            match tree {
                Tree::Binary(tree) => {
                    Box::new(tree.splits.iter().map(|split| (split.feature, split.at, split.missing)))
                }
                Tree::Levels(tree) => Box::new(tree.questions.iter().copied()),
            }
        });
        let (bins, found) = Bins::new(tests);
        let limit = usize::from(u16::MAX) + 1;
        if bins.len() > limit {
            return Err(Problem::Many { what: "columns of thresholds", given: bins.len(), limit });
        }
        let find = |feature, at, missing| found.test(feature, at, missing);
        let mut plan = Self {
            bins,
            trees: Vec::with_capacity(trees.len()),
            groups: Vec::new(),
            tests: Vec::new(),
            nodes: Vec::new(),
            leaves: Vec::new(),
        };
        for tree in trees {
            match tree {
                Tree::Levels(tree) if tree.questions.len() <= MOST_LEVELS => plan.levels(&tree, &find),
                Tree::Levels(tree) => plan.binary(&tree.spread(), &find),
                Tree::Binary(tree) => plan.binary(&tree, &find),
            }
        }
        Ok(plan)
    }

    fn binary(&mut self, tree: &Binary, find: Find<'_>) {
        if tree.leaves.len() <= MOST_LEAVES { self.masks(tree, find) } else { self.walk(tree, find) }
    }

    fn levels(&mut self, tree: &Levels, find: Find<'_>) {
        let first = self.tests.len() as u32;
        self.tests.extend(tree.questions.iter().enumerate().map(|(level, (feature, at, missing))| {
            let (column, at) = find(*feature, *at, *missing);
            Test { column, at, bits: 1 << level }
        }));
        let shape = Shape::Levels { first, end: self.tests.len() as u32 };
        self.bytes(shape, tree.leaves.iter().copied());
    }

    /// Adds a tree whose leaf is found as a byte.
    fn bytes(&mut self, shape: Shape, leaves: impl Iterator<Item = f64>) {
        let start = self.leaves.len();
        self.leaves.extend(leaves);
        let places = (self.leaves.len() - start).next_power_of_two().max(8);
        self.leaves.resize(start + places, 0.0);
        self.trees.push(Laid { shape, leaves: start as u32, places: places as u32 });
    }

    fn walk(&mut self, tree: &Binary, find: Find<'_>) {
        let root = self.nodes.len() as u32;
        let next = |next: Next| match next {
            Next::Split(split) => root + split,
            Next::Leaf(leaf) => LEAF | leaf,
        };
        self.nodes.extend(tree.splits.iter().map(|split| {
            let (column, at) = find(split.feature, split.at, split.missing);
            Node { column, at, next: [next(split.left), next(split.right)] }
        }));
        let (leaves, places) = (self.leaves.len() as u32, tree.leaves.len() as u32);
        self.leaves.extend(&tree.leaves);
        self.trees.push(Laid { shape: Shape::Walk { root }, leaves, places });
    }

    fn masks(&mut self, tree: &Binary, find: Find<'_>) {
        let order = Order::of(tree);
        // For each byte: whether the test strikes out at most at its byte, the test, the leaves that are left.
        let mut strikes: Vec<(u32, bool, Test)> = Vec::new();
        for (split, place) in tree.splits.iter().zip(&order.splits) {
            let (column, at) = find(split.feature, split.at, split.missing);
            for byte in place.first / 8..=(place.end - 1) / 8 {
                let struck = (place.first.max(byte * 8)..place.end.min(byte * 8 + 8))
                    .fold(0_u8, |struck, leaf| struck | 1 << (leaf % 8));
                strikes.push((byte, place.mirrored, Test { column, at, bits: !struck }));
            }
        }
        strikes.sort_unstable();
        strikes.dedup_by(|next, last| {
            let same = (next.0, next.1, next.2.column, next.2.at) == (last.0, last.1, last.2.column, last.2.at);
            if same {
                last.2.bits &= next.2.bits;
            }
            same
        });
        let (first, tests) = (self.groups.len() as u32, self.tests.len() as u32);
        for byte in 0..(tree.leaves.len() as u32).div_ceil(8) {
            let of_byte = |mirrored: bool| {
                strikes.iter().filter(move |strike| strike.0 == byte && strike.1 == mirrored).map(|strike| strike.2)
            };
            self.tests.extend(of_byte(false));
            let above = self.tests.len() as u32;
            self.tests.extend(of_byte(true));
            self.groups.push(Group { above, below: self.tests.len() as u32 });
        }
        let shape = Shape::Masks { first, end: self.groups.len() as u32, tests };
        let leaves: Vec<f64> =
            order.leaves.iter().map(|leaf| tree.leaves.get(*leaf as usize).copied().unwrap_or(0.0)).collect();
        self.bytes(shape, leaves.into_iter());
    }
}

/// The leaves that a split's first branch holds, and whether that is its right one.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    first: u32,
    end: u32,
    mirrored: bool,
}

/// The leaves from first to last, where the smaller branch of each split comes first.
#[derive(Debug)]
struct Order {
    splits: Vec<Place>,
    leaves: Vec<u32>,
}

impl Order {
    fn of(tree: &Binary) -> Self {
        // Parents before children, so that backwards every branch is counted before what it hangs on.
        let mut down = Vec::with_capacity(tree.splits.len());
        let mut open = vec![tree.root()];
        while let Some(next) = open.pop() {
            if let Next::Split(number) = next
                && let Some(split) = tree.splits.get(number as usize)
            {
                down.push((number as usize, split));
                open.extend([split.right, split.left]);
            }
        }
        let mut sizes = vec![0_u32; tree.splits.len()];
        let size = |sizes: &[u32], next: Next| match next {
            Next::Leaf(_) => 1,
            Next::Split(number) => sizes.get(number as usize).copied().unwrap_or(0),
        };
        for (number, split) in down.iter().rev() {
            sizes[*number] = size(&sizes, split.left) + size(&sizes, split.right);
        }
        let mut order = Self { splits: vec![Place::default(); tree.splits.len()], leaves: vec![0; tree.leaves.len()] };
        let mut open = vec![(tree.root(), 0_u32)];
        while let Some((next, first)) = open.pop() {
            match next {
                Next::Leaf(leaf) => order.leaves[first as usize] = leaf,
                Next::Split(number) => {
                    let Some(split) = tree.splits.get(number as usize) else { continue };
                    let (left, right) = (size(&sizes, split.left), size(&sizes, split.right));
                    let mirrored = right < left;
                    let (here, there) = if mirrored { (split.right, split.left) } else { (split.left, split.right) };
                    let end = first + left.min(right);
                    order.splits[number as usize] = Place { first, end, mirrored };
                    open.extend([(here, first), (there, end)]);
                }
            }
        }
        order
    }
}
