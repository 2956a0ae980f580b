//! Views and maps are computed where they are read.
//!
//! A tensor that one statement writes with `=` at plain loops, `t[i, j] = e(i, j)`, is a function of its indices, so that
//! `t[a, b]` is `e(a, b)`. A view's `e` is one read: inlining it costs nothing. A map's `e` computes: it is inlined where it is
//! computed no more often than before.

use crate::expression::{Access, Expr};
use crate::index::Index;
use crate::program::{LoopId, Program, Reduce, Role, Statement, Step, TensorId};

use super::map_statements;

/// The largest body that is inlined, in nodes: a long chain of maps is computed in pieces, and an expression stays one that a C
/// compiler and a reader can take in.
const INLINED_NODES: usize = 64;

/// Inlines every tensor whose definition is one read, or no read at all.
pub fn inline_views(program: Program) -> Program {
    inline(program, &|_, _, producer| {
        matches!(producer.body, Expr::Read(_) | Expr::Literal(..) | Expr::Index(_))
    })
}

/// Inlines every map that is read in one place which visits each of its elements at most once, unless the map itself reads a
/// reduction and is read by another one: it is then better off as the end of the first. So is a map that makes the sums of a reduction
/// smaller where the reader can be the end of a later one: memory would hold the sums.
pub fn inline_maps(program: Program) -> Program {
    inline(program, &|program, id, producer| {
        let places: Vec<&Statement> = program
            .statements()
            .into_iter()
            .filter(|s| s.accesses().iter().any(|a| a.tensor == id))
            .collect();
        let [reader] = places[..] else { return false };
        let once = reader.accesses().iter().filter(|a| a.tensor == id).count() == 1
            && program.read_counts()[id.0 as usize] == 1;
        let points = |s: &Statement| s.loops.iter().map(|l| l.extent).product::<usize>();
        once && points(reader) <= points(producer)
            && top_level(program, reader)
            && !(reader.reduce != Reduce::Set && reads_reduction(program, producer))
            && !(narrows_sums(program, producer) && ends_a_later_sum(program, reader, producer))
    })
}

/// Whether a map reads a reduction of wider elements than its own.
fn narrows_sums(program: &Program, map: &Statement) -> bool {
    let bytes = |id: TensorId| program.tensor(id).dtype.bytes();
    let wider = |s: &&Statement| s.reduce != Reduce::Set && bytes(s.out) > bytes(map.out);
    let reads = map.reads();
    program.statements().into_iter().filter(wider).any(|s| reads.contains(&s.out))
}

/// Whether a map reads another reduction, or the map of one, that stands behind `producer`.
fn ends_a_later_sum(program: &Program, reader: &Statement, producer: &Statement) -> bool {
    let reads = reader.reads();
    let behind = program.statements().into_iter().skip_while(|s| !std::ptr::eq(*s, producer)).skip(1);
    let ends = |s: &&Statement| s.reduce != Reduce::Set || reads_reduction(program, s);
    behind.filter(ends).any(|s| s.out != producer.out && reads.contains(&s.out))
}

fn top_level(program: &Program, statement: &Statement) -> bool {
    program.steps.iter().any(|step| matches!(step, Step::Statement(s) if std::ptr::eq(s, statement)))
}

fn reads_reduction(program: &Program, statement: &Statement) -> bool {
    let reads = statement.reads();
    program.statements().iter().any(|s| s.reduce != Reduce::Set && reads.contains(&s.out))
}

/// Inlines every producer that `choose` agrees to, one after the other, into all reads that can take it.
fn inline(program: Program, choose: &dyn Fn(&Program, TensorId, &Statement) -> bool) -> Program {
    let mut program = program;
    let movable = Movable::new(&program);
    for position in 0..program.steps.len() {
        let Step::Statement(producer) = &program.steps[position] else { continue };
        let id = producer.out;
        let mut nodes = 0;
        producer.body.visit(&mut |_| nodes += 1);
        if nodes > INLINED_NODES
            || !movable.is_function(&program, producer)
            || !choose(&program, id, producer)
        {
            continue;
        }
        let producer = producer.clone();
        let steps = std::mem::take(&mut program.steps);
        let reads = |statement: &Statement| statement.accesses().iter().any(|a| a.tensor == id);
        program.steps = map_statements(steps, 0, &mut |_, statement| {
            if !reads(&statement) {
                return statement;
            }
            let body = statement.body.rewrite(&mut |node| match node {
                Expr::Read(access) if access.tensor == id => replace(&program, &producer, access),
                other => other,
            });
            Statement { body, ..statement }
        });
    }
    program
}

/// What inlining does not change: which tensors are written once, and which change in time.
struct Movable {
    writes: Vec<usize>,
    /// Carried by a repetition: what reads a state, or is the next value of one, stays where it is.
    state: Vec<bool>,
    next: Vec<bool>,
}

impl Movable {
    fn new(program: &Program) -> Movable {
        let none = vec![false; program.tensors.len()];
        let mut movable = Movable { writes: vec![0; program.tensors.len()], state: none.clone(), next: none };
        program.visit_statements(&mut |_, statement| movable.writes[statement.out.0 as usize] += 1);
        movable.carried(&program.steps);
        movable
    }

    fn carried(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Statement(_) => {}
                Step::Repeat(repeat) => {
                    for carry in &repeat.carried {
                        self.state[carry.state.0 as usize] = true;
                        self.next[carry.next.0 as usize] = true;
                    }
                    self.carried(&repeat.body);
                }
                Step::Branch(branch) => {
                    self.carried(&branch.then);
                    self.carried(&branch.otherwise);
                }
            }
        }
    }

    /// Whether a statement alone defines a local tensor, at plain and distinct loops.
    fn is_function(&self, program: &Program, statement: &Statement) -> bool {
        let plain = statement.at.iter().enumerate().all(|(d, index)| match index.as_loop() {
            Some(id) => !statement.at[..d].contains(index) && (id.0 as usize) < statement.loops.len(),
            None => index.as_constant() == Some(0) && program.shape(statement.out)[d] == 1,
        });
        let out = statement.out.0 as usize;
        statement.reduce == Reduce::Set
            && plain
            && self.writes[out] == 1
            && !self.state[out]
            && !self.next[out]
            && program.tensor(statement.out).role == Role::Local
            && !statement.reads().iter().any(|id| self.state[id.0 as usize])
    }
}

/// `t[at]` as the producer's body; the access itself where its edges are not the body's edges.
fn replace(program: &Program, producer: &Statement, access: Access) -> Expr {
    let of = |id: LoopId| {
        let d = producer.at.iter().position(|index| index.as_loop() == Some(id));
        d.map_or(Index::constant(0), |d| access.at[d].clone())
    };
    match (access.outside, &producer.body) {
        (None, body) => body.substitute(&of),
        (Some(_), Expr::Read(inner)) if same_edges(program, producer, &access, inner) => Expr::Read(Access {
            tensor: inner.tensor,
            at: inner.at.iter().map(|i| i.substitute(&of)).collect(),
            outside: access.outside,
        }),
        _ => Expr::Read(access),
    }
}

/// Whether `t[at]` is outside of `t` exactly where the view's source is read outside: every dimension of `t` that may be left
/// is a whole dimension of the source.
fn same_edges(program: &Program, producer: &Statement, access: &Access, inner: &Access) -> bool {
    let source = program.shape(inner.tensor);
    let own = program.shape(producer.out);
    let whole = |index: &Index, extent: usize| {
        index.as_loop().is_some_and(|id| {
            inner.at.iter().zip(source).any(|(i, &n)| i.as_loop() == Some(id) && n == extent)
        })
    };
    let dimensions = producer.at.iter().zip(own).zip(&access.at);
    inner.outside.is_none()
        && inner.at.iter().all(|i| i.as_loop().is_some() || i.as_constant().is_some())
        && dimensions
            .into_iter()
            .all(|((index, &extent), at)| whole(index, extent) || at.as_constant() == Some(0))
}
