use std::fmt;

use crate::{Error, Result, Step};

/// Something that steps can be applied to: the kernel, or a stand-in in tests.
pub trait Apply {
    /// Applies one step, wholly or not at all.
    fn apply(&mut self, step: &Step) -> Result<()>;
}

/// Changes under way: what was applied so far can be undone as long as the transaction runs.
pub struct Transaction<'k, K> {
    kernel: &'k mut K,
    done: Vec<Step>,
}

impl<K: Apply> Transaction<'_, K> {
    /// Applies the steps in order and stops at the first that fails.
    pub fn apply(&mut self, steps: impl IntoIterator<Item = Step>) -> Result<()> {
        for step in steps {
            self.kernel.apply(&step)?;
            self.done.push(step);
        }
        Ok(())
    }

    /// The kernel, to look at between steps.
    pub fn kernel(&mut self) -> &mut K {
        self.kernel
    }
}

/// Why a transaction failed, and what could not be put back.
#[derive(Debug)]
pub struct Failed<E> {
    /// The error that ended it.
    pub cause: E,
    /// Errors met while undoing: empty when all is as before.
    pub left: Vec<Error>,
}

impl<E: fmt::Display> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        for error in &self.left {
            write!(f, "; and could not be undone: {error}")?;
        }
        Ok(())
    }
}

/// Runs `work`; when it fails, undoes every step that it applied, in reverse.
///
/// On success gives what `work` gave and the steps that were applied, in order.
pub fn transact<K: Apply, T, E>(
    kernel: &mut K,
    work: impl FnOnce(&mut Transaction<'_, K>) -> Result<T, E>,
) -> Result<(T, Vec<Step>), Failed<E>> {
    let mut transaction = Transaction { kernel, done: Vec::new() };
    match work(&mut transaction) {
        Ok(value) => Ok((value, transaction.done)),
        Err(cause) => {
            let done = transaction.done;
            Err(Failed { cause, left: undo_all(kernel, &done) })
        }
    }
}

/// Undoes steps that were applied in this order, the last one first. It never stops: what is gone
/// already counts as undone, any other error is gathered.
pub fn undo_all<K: Apply>(kernel: &mut K, done: &[Step]) -> Vec<Error> {
    done.iter()
        .rev()
        .filter_map(|step| kernel.apply(&step.inverse()).err())
        .filter(|error| !error.is_gone())
        .collect()
}
