//! The walk: from each situation the one step that follows by itself, and all that may befall it.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::world::World;
use super::super::*;
use super::befall::Befall;
use super::goal;
use super::key::{FIRST_PID, key};

/// How long a quiet host is watched for something to happen by itself: longer than the second wait
/// of what is tried ever more slowly, a probation, and the budget's window.
const QUIET: Duration = secs(1300);
/// So often a cycle may be gone round before it counts as the end.
const ROUNDS: u32 = 4;

/// The host at which a walk begins.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Root {
    pub(in super::super) has_unit: bool,
    /// fail2ban's own words name the jail at fault.
    pub(in super::super) blames: bool,
    /// What a start that fails leaves behind is a daemon that answers and runs no jail.
    pub(in super::super) lingers: bool,
}

impl Root {
    pub(in super::super) fn begin(self) -> World {
        let mut world = World::begin(&["a", "m"], self.has_unit, FIRST_PID);
        (world.blames, world.lingers) = (self.blames, self.lingers);
        // What the daemon ran before jailwarden first looked is taken to be what is on disk.
        world.pass(secs(1));
        world
    }
}

type Id = u32;

#[derive(Debug, Clone, Copy)]
enum Edge {
    Root(Root),
    Steps(u32),
    Befalls(Befall),
}

#[derive(Debug)]
struct Node {
    from: Option<Id>,
    edge: Edge,
    /// Where it goes by itself; none where it stays.
    next: Option<Id>,
    steps: u32,
    is_good: bool,
}

/// A property that does not hold, and where.
#[derive(Debug)]
struct Broken {
    what: String,
    from: Option<Id>,
    edge: Edge,
    steps: u32,
}

/// All situations that were found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    nodes: Vec<Node>,
    seen: HashMap<u64, Id>,
    transitions: usize,
    broken: Vec<Broken>,
}

/// The sizes of a walk.
#[derive(Debug, Default)]
pub(super) struct Size {
    pub(super) states: usize,
    pub(super) transitions: usize,
    /// The most steps to where a host is protected, or honestly not.
    pub(super) steps_to_goal: u32,
}

impl Walk {
    /// Finds all that can come of these hosts when so many faults befall them, each of those that
    /// `may` be and at any step.
    pub(super) fn of(roots: &[Root], faults: usize, may: impl Fn(Befall) -> bool) -> Self {
        let mut walk = Self::default();
        let mut layer = Vec::new();
        for root in roots {
            let begin = catch(|| root.begin());
            walk.follow(begin, None, Edge::Root(*root), &mut |id, world| {
                layer.push((id, world.clone()));
            });
        }
        for before in 0..faults {
            let is_last = before + 1 == faults;
            let mut next = Vec::new();
            for (id, world) in std::mem::take(&mut layer) {
                for befall in Befall::all(&world).into_iter().filter(|it| may(*it)) {
                    let mut then = world.clone();
                    let then = catch(move || {
                        befall.happens(&mut then);
                        then
                    });
                    walk.follow(then, Some(id), Edge::Befalls(befall), &mut |id, world| {
                        if !is_last {
                            next.push((id, world.clone()));
                        }
                    });
                }
            }
            walk.find_stuck();
            if !walk.broken.is_empty() {
                return walk;
            }
            layer = next;
        }
        walk
    }

    /// Follows a host by itself until it comes to a situation that is known, or to rest.
    fn follow(
        &mut self,
        begin: Result<World, String>,
        from: Option<Id>,
        edge: Edge,
        found: &mut dyn FnMut(Id, &World),
    ) {
        let first = self.nodes.len();
        let (mut at, mut edge, mut from, mut rounds) = (begin, edge, from, 0);
        loop {
            self.transitions += 1;
            let world = match at {
                Ok(world) => world,
                Err(what) => return self.note_broken(what, from, edge),
            };
            let key = key(&world);
            let befell = !matches!(edge, Edge::Steps(_));
            if let Some(known) = self.seen.get(&key).copied() {
                if !befell {
                    self.lead(from, known);
                }
                if (known as usize) < first || befell || rounds == ROUNDS {
                    return;
                }
                rounds += 1;
                let before = if let Edge::Steps(steps) = edge {
                    steps
                } else {
                    0
                };
                let (then, steps) = leap(world);
                (at, edge) = (then, Edge::Steps(before + steps));
                continue;
            }
            let id = self.add(&world, key, from, edge);
            if !befell {
                self.lead(from, id);
            }
            found(id, &world);
            (from, rounds) = (Some(id), 0);
            let mut world = world;
            at = catch(|| {
                step(&mut world);
                world
            });
            edge = Edge::Steps(1);
        }
    }

    fn add(&mut self, world: &World, key: u64, from: Option<Id>, edge: Edge) -> Id {
        let id = Id::try_from(self.nodes.len()).unwrap();
        self.seen.insert(key, id);
        let before = from.map_or(0, |from| self.nodes[from as usize].steps);
        self.nodes.push(Node {
            from,
            edge,
            next: None,
            steps: before + length(edge),
            is_good: goal::is_reached(world),
        });
        id
    }

    fn lead(&mut self, from: Option<Id>, to: Id) {
        if let Some(from) = from {
            self.nodes[from as usize].next = Some(to);
        }
    }

    fn note_broken(&mut self, what: String, from: Option<Id>, edge: Edge) {
        let before = from.map_or(0, |from| self.nodes[from as usize].steps);
        let steps = before + length(edge);
        self.broken.push(Broken {
            what,
            from,
            edge,
            steps,
        });
    }

    /// Situations from which a host never comes to what it should.
    fn find_stuck(&mut self) {
        let distance = self.distances();
        let ends_in_break: BTreeSet<_> = self.broken.iter().filter_map(|b| b.from).collect();
        if !ends_in_break.is_empty() {
            return;
        }
        for (id, node) in self.nodes.iter().enumerate() {
            if distance[id].is_none() {
                let mut broken = Broken {
                    what: String::new(),
                    from: node.from,
                    edge: node.edge,
                    steps: node.steps,
                };
                let befell = self
                    .way_to(&broken)
                    .into_iter()
                    .filter_map(|edge| match edge {
                        Edge::Befalls(befall) => Some(befall),
                        _ => None,
                    });
                let after: Vec<_> = befell.collect();
                broken.what = format!("never protected, and not said why, after {after:?}");
                self.broken.push(broken);
            }
        }
    }

    /// For each situation the steps to one that is good; none where it never comes to one.
    fn distances(&self) -> Vec<Option<u32>> {
        let mut distance: Vec<Option<Option<u32>>> = vec![None; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let (mut path, mut at) = (Vec::new(), start);
            let mut end = loop {
                if let Some(known) = distance[at] {
                    break known;
                }
                if self.nodes[at].is_good {
                    distance[at] = Some(Some(0));
                    break Some(0);
                }
                // What is met again on the way is a cycle without a good one.
                distance[at] = Some(None);
                path.push(at);
                match self.nodes[at].next {
                    Some(next) => at = next as usize,
                    None => break None,
                }
            };
            while let Some(last) = path.pop() {
                end = end.map(|steps| steps + 1);
                distance[last] = Some(end);
            }
        }
        distance.into_iter().map(Option::flatten).collect()
    }

    pub(super) fn size(&self) -> Size {
        let distance = self.distances();
        Size {
            states: self.nodes.len(),
            transitions: self.transitions,
            steps_to_goal: distance.into_iter().flatten().max().unwrap_or(0),
        }
    }

    /// Each broken property with the shortest way to it, as a test that can be pasted.
    pub(super) fn counterexamples(&self) -> Vec<String> {
        let mut kinds: BTreeMap<&str, &Broken> = BTreeMap::new();
        for broken in &self.broken {
            let kind = broken.what.split(": ").next().unwrap_or_default();
            let shortest = kinds.entry(kind).or_insert(broken);
            if broken.steps < shortest.steps {
                *shortest = broken;
            }
        }
        let shown = kinds.into_values().map(|broken| {
            let way = as_test(&self.way_to(broken));
            format!("{}\n\n{way}\n", broken.what)
        });
        shown.collect()
    }

    fn way_to(&self, broken: &Broken) -> Vec<Edge> {
        let mut edges = vec![broken.edge];
        let mut at = broken.from;
        while let Some(id) = at {
            edges.push(self.nodes[id as usize].edge);
            at = self.nodes[id as usize].from;
        }
        edges.reverse();
        edges
    }
}

fn length(edge: Edge) -> u32 {
    match edge {
        Edge::Steps(steps) => steps,
        Edge::Root(_) | Edge::Befalls(_) => 0,
    }
}

fn as_test(edges: &[Edge]) -> String {
    let mut lines = vec!["#[test]".to_owned(), "fn NAME() {".to_owned()];
    let mut steps = 0;
    for edge in edges {
        match edge {
            Edge::Steps(more) => steps += more,
            Edge::Root(root) => lines.push(format!("    let mut world = {root:?}.begin();")),
            Edge::Befalls(befall) => {
                if steps > 0 {
                    lines.push(format!("    steps(&mut world, {steps});"));
                    steps = 0;
                }
                lines.push(format!("    {befall:?}.happens(&mut world);"));
            }
        }
    }
    if steps > 0 {
        lines.push(format!("    steps(&mut world, {steps});"));
    }
    lines.push("    comes_to_good(&mut world);".to_owned());
    lines.push("}".to_owned());
    lines.join("\n")
}

/// What follows by itself, with all that must hold then.
pub(super) fn step(world: &mut World) {
    world.next();
    world.reports.clear();
    world.check_waits();
}

/// A quiet host is left alone until something happens, or for long.
fn leap(mut world: World) -> (Result<World, String>, u32) {
    let end = world.now + QUIET;
    let doings = world.doings;
    let mut steps = 0;
    let then = catch(|| {
        while world.doings == doings && world.due().is_some_and(|due| due <= end) {
            step(&mut world);
            steps += 1;
        }
        world
    });
    (then, steps)
}

fn catch(f: impl FnOnce() -> World) -> Result<World, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| words(&*panic))
}

pub(super) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    text.unwrap_or_else(|| "a panic without words".to_owned())
}
